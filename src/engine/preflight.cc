// Pass 1: what CRIU or a restart would stumble over, found while the job runs, so that it is never frozen in
// vain.
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <thread>

#include "base/page.h"
#include "engine/engine.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "linux/sockets.h"

namespace holdfast {
namespace {

// What the kernel calls descriptors that CRIU 4.1 cannot dump.
struct Refused {
  std::string_view target;
  std::string_view what;
  std::string_view remedy;
};
constexpr std::array<Refused, 8> kRefused = {
    {{"anon_inode:[io_uring]", "holds an io_uring",
      "most programs fall back to epoll when io_uring is off (for Node: UV_USE_IO_URING=0)"},
     {"anon_inode:[userfaultfd]", "holds a userfaultfd",
      "stop the part of it that handles page faults itself"},
     {"anon_inode:[perf_event]", "holds a performance counter", "stop profiling it"},
     {"anon_inode:bpf", "holds a BPF object", "close it before the checkpoint"},
     {"anon_inode:kvm", "runs a virtual machine", "checkpoint inside the machine instead"},
     {"anon_inode:[fanotify]", "holds an fanotify group", "close it before the checkpoint"},
     {"anon_inode:[landlock", "holds a Landlock rule set", "close it before the checkpoint"},
     {"mqueue:", "holds a POSIX message queue", "close it before the checkpoint"}}};

// Character devices that keep no state: the memory devices (major 1: null, zero, full, random, urandom),
// terminals.
bool IsHarmlessDevice(uint64_t device) {
  constexpr unsigned kMemory = 1;
  constexpr unsigned kTty = 5;
  constexpr unsigned kPtsFirst = 136;
  constexpr unsigned kPtsLast = 143;
  constexpr unsigned kMisc = 10;
  constexpr unsigned kTun = 200;
  const unsigned major_number = major(device);
  const unsigned minor_number = minor(device);
  if (major_number == kMemory) return std::set<unsigned>{3, 5, 7, 8, 9}.contains(minor_number);
  if (major_number == kMisc) return minor_number == kTun;
  return major_number == kTty || (major_number >= kPtsFirst && major_number <= kPtsLast);
}

bool IsSupportedFamily(int domain) {
  return domain == AF_UNIX || domain == AF_INET || domain == AF_INET6 || domain == AF_NETLINK ||
         domain == AF_PACKET;
}

class Inspector {
 public:
  explicit Inspector(std::vector<pid_t> tree) : tree_(std::move(tree)) {}

  std::vector<Obstacle> Inspect() {
    for (const pid_t pid : tree_) {
      const Result<ProcessStatus> status = ReadStatus(pid);
      if (!status || status->zombie()) continue;
      name_ = status->name;
      pid_ = pid;
      InspectProcess(*status);
      InspectFiles();
      InspectMappings();
    }
    InspectUnixPeers();
    return std::move(obstacles_);
  }

 private:
  void Add(std::string what, std::string_view remedy) {
    obstacles_.push_back({pid_, name_, std::move(what), std::string(remedy)});
  }

  void InspectProcess(const ProcessStatus& status) {
    if (status.tracer != 0) {
      const Result<ProcessStatus> tracer = ReadStatus(status.tracer);
      Add(fmt::format("is being traced by process {} ({})", status.tracer, tracer ? tracer->name : "gone"),
          "detach the debugger or wait for the other checkpoint");
    }
    const Result<std::string> namespace_of_root = ReadNamespace(tree_.front(), "pid");
    const Result<std::string> own = ReadNamespace(pid_, "pid");
    if (namespace_of_root && own && *own != *namespace_of_root) {
      Add("lives in another pid namespace than the job's root", "checkpoint the container as a whole");
    }
    const Fd program(open(fmt::format("/proc/{}/exe", pid_).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<unsigned char, EI_NIDENT> identity{};
    if (program.valid() && pread(program.get(), identity.data(), identity.size(), 0) == EI_NIDENT &&
        identity[EI_CLASS] != ELFCLASS64) {
      Add("is a 32-bit program", "only 64-bit programs are supported");
    }
    constexpr int kSeccompStrict = 1;
    if (status.seccomp_mode == kSeccompStrict)
      Add("runs under strict seccomp", "use a seccomp filter instead");
  }

  void InspectFiles() {
    const Result<std::vector<OpenFile>> files = ReadOpenFiles(pid_);
    if (!files) {
      if (files.error().kind == ErrorKind::kPermission) Add("may not be looked into", "run holdfast as root");
      return;
    }
    const Result<Fd> pidfd = OpenPidfd(pid_);
    for (const OpenFile& file : *files) {
      InspectTarget(file);
      if (S_ISBLK(file.mode) || (S_ISCHR(file.mode) && !IsHarmlessDevice(file.special_device))) {
        Add(fmt::format("has the device {} open (fd {})", file.target, file.fd),
            "stop using the device before the checkpoint");
      }
      if (!S_ISSOCK(file.mode) || !pidfd) continue;
      sockets_of_[file.inode] = {pid_, name_, file.fd};
      const Result<SocketKind> kind = ReadSocketKind(*pidfd, file.fd);
      if (kind && !IsSupportedFamily(kind->domain)) {
        Add(fmt::format("has a socket of an unsupported family ({}) open (fd {})", kind->domain, file.fd),
            "close it before the checkpoint");
      }
    }
  }

  void InspectTarget(const OpenFile& file) {
    for (const Refused& refused : kRefused) {
      if (!file.target.starts_with(refused.target)) continue;
      Add(fmt::format("{} (fd {})", refused.what, file.fd), refused.remedy);
    }
  }

  void InspectMappings() {
    const Result<std::vector<Mapping>> mappings = ReadMaps(pid_);
    if (!mappings) return;
    std::set<std::string> named;
    const std::string ipc = ReadNamespace(pid_, "ipc").value_or("");
    const bool machine_ipc = ipc == ReadNamespace(getpid(), "ipc").value_or("");
    for (const Mapping& mapping : *mappings) {
      if (mapping.name.starts_with("/SYSV") && machine_ipc && named.insert("/SYSV").second) {
        Add("uses SysV shared memory of the machine", "start it as `holdfast run -- unshare --ipc CMD...`");
      }
      if (mapping.name.starts_with("anon_inode:") && named.insert(mapping.name).second &&
          mapping.name.find("io_uring") != std::string::npos) {
        Add("has an io_uring mapped", kRefused[0].remedy);
      }
      const bool device = mapping.name.starts_with("/dev/") && !mapping.name.starts_with("/dev/zero") &&
                          !mapping.name.starts_with("/dev/shm/") &&
                          !mapping.name.starts_with("/dev/hugepages/");
      if (device && named.insert(mapping.name).second) {
        Add(fmt::format("has the device {} mapped", mapping.name),
            "stop using the device before the checkpoint");
      }
    }
  }

  // A stream whose other end is not in the tree cannot be given back.
  void InspectUnixPeers() {
    const Result<std::map<uint64_t, UnixSocket>> all = ReadUnixSockets(tree_.front());
    if (!all) return;
    for (const auto& [inode, holder] : sockets_of_) {
      const auto found = all->find(inode);
      if (found == all->end() || !found->second.stream || found->second.peer_inode == 0) continue;
      if (sockets_of_.contains(found->second.peer_inode)) continue;
      pid_ = holder.pid;
      name_ = holder.name;
      Add(fmt::format("has a Unix socket connected to a process outside of the job (fd {})", holder.fd),
          "start both ends as one job, or close the connection");
    }
  }

  struct SocketHolder {
    pid_t pid = 0;
    std::string name;
    int fd = -1;
  };
  std::vector<pid_t> tree_;
  pid_t pid_ = 0;
  std::string name_;
  std::map<uint64_t, SocketHolder> sockets_of_;
  std::vector<Obstacle> obstacles_;
};

bool IsOurAncestor(pid_t pid) {
  for (pid_t at = getpid(); at > 1;) {
    if (at == pid) return true;
    const Result<ProcessStatus> status = ReadStatus(at);
    if (!status) return false;
    at = status->parent;
  }
  return pid == 1;
}

Result<void> RefuseRoot(pid_t root) {
  const std::string who = fmt::format("process {}", root);
  if (root <= 0) return Fail(ErrorKind::kUsage, fmt::format("{} is no process id", root));
  const Result<ProcessStatus> status = ReadStatus(root);
  if (!status) {
    if (status.error().kind == ErrorKind::kPermission) {
      return Error(status.error()).Within(who).WithHint("run holdfast as root");
    }
    return Fail(ErrorKind::kNotFound, who + " does not exist (any more)")
        .WithHint("`holdfast ps` lists the jobs");
  }
  if (status->kernel_thread)
    return Fail(ErrorKind::kUnsupported, who + " is a kernel thread (" + status->name + ")");
  if (status->zombie()) {
    return Fail(ErrorKind::kNotFound, who + " (" + status->name + ") has ended and waits for its parent");
  }
  if (IsOurAncestor(root)) {
    return Fail(ErrorKind::kUsage, who + " (" + status->name + ") is holdfast itself or runs it")
        .WithHint("checkpoint from outside of the job");
  }
  if (geteuid() != 0) {
    return Fail(ErrorKind::kPermission, "checkpoint and restart need root")
        .WithHint("run holdfast with sudo");
  }
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kPageBytes)) {
    return Fail(ErrorKind::kUnsupported, "this kernel's pages are not of 4 KiB");
  }
  return {};
}

}  // namespace

// The job runs on while it is looked at: a connection that is made in that moment may have an end in a
// process that has been looked at already, or is too new. So only what stays is an obstacle.
Result<std::vector<Obstacle>> Preflight(const CheckpointOptions& options) {
  constexpr int kLooksMax = 3;
  constexpr std::chrono::milliseconds kBetween{20};
  TRY(RefuseRoot(options.root_pid));
  std::vector<Obstacle> obstacles = Inspector(TRY(ReadTree(options.root_pid))).Inspect();
  for (int looks = 1; looks < kLooksMax && !obstacles.empty(); ++looks) {
    std::this_thread::sleep_for(kBetween);
    const std::vector<Obstacle> now = Inspector(TRY(ReadTree(options.root_pid))).Inspect();
    std::erase_if(obstacles, [&](const Obstacle& one) {
      return std::none_of(now.begin(), now.end(), [&](const Obstacle& other) {
        return other.pid == one.pid && other.what == one.what;
      });
    });
  }
  return obstacles;
}

}  // namespace holdfast
