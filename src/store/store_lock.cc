// Named locks. The flock decides on this machine and frees itself with its holder; the record in the file
// tells people who holds it, and other hosts, which may not see the flock, until when to believe it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "store/file_io.h"
#include "store/format.h"
#include "store/json_fields.h"
#include "store/names.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

constexpr uint32_t kLockNameBytesMax = 200;
constexpr size_t kCommandBytesMax = 4096;
constexpr int kOpenTriesMax = 1000;
constexpr auto kPollInterval = std::chrono::milliseconds(10);

struct LockOwner {
  int32_t pid = 0;
  uint64_t start_ticks = 0;
  std::string host;
  std::string boot_id;
  std::string command;
  int64_t since_ms = 0;
  int64_t expires_ms = 0;
};

std::string ReadProcFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Field 22 of /proc/self/stat; the name in field 2 may hold spaces and brackets.
uint64_t OwnStartTicks() {
  const std::string stat = ReadProcFile("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  size_t at = name_end + 1;
  for (int field = 2; field < 22; ++field) at = std::min(stat.find(' ', at), stat.size() - 1) + 1;
  return std::strtoull(stat.c_str() + std::min(at, stat.size()), nullptr, 10);
}

LockOwner Ourselves() {
  LockOwner owner;
  owner.pid = ::getpid();
  owner.start_ticks = OwnStartTicks();
  char host[256] = {};
  if (::gethostname(host, sizeof(host) - 1) == 0) owner.host = host;
  owner.boot_id = ReadProcFile("/proc/sys/kernel/random/boot_id");
  owner.boot_id.erase(std::remove(owner.boot_id.begin(), owner.boot_id.end(), '\n'), owner.boot_id.end());
  owner.command = ReadProcFile("/proc/self/cmdline").substr(0, kCommandBytesMax);
  std::replace(owner.command.begin(), owner.command.end(), '\0', ' ');
  while (owner.command.ends_with(' ')) owner.command.pop_back();
  owner.since_ms = WallClockMs();
  owner.expires_ms = owner.since_ms + format::kLockLeaseMs;
  return owner;
}

std::string EncodeOwner(const LockOwner& owner) {
  return PrintJson({{"pid", owner.pid},
                    {"start_ticks", owner.start_ticks},
                    {"host", EncodeText(owner.host)},
                    {"boot_id", EncodeText(owner.boot_id)},
                    {"command", EncodeText(owner.command)},
                    {"since_ms", owner.since_ms},
                    {"expires_ms", owner.expires_ms}});
}

// Nothing when the record is missing, half written or damaged.
std::optional<LockOwner> ReadOwner(int fd) {
  std::string text(format::kLockRecordBytesMax, '\0');
  const ssize_t bytes = ::pread(fd, text.data(), text.size(), 0);
  if (bytes <= 0) return std::nullopt;
  text.resize(static_cast<size_t>(bytes));
  const Result<Json> json = ParseJson(text, "lock");
  if (!json) return std::nullopt;
  LockOwner owner;
  std::string problem;
  JsonFields fields(*json, "lock", problem);
  fields.Get("pid", owner.pid);
  fields.Get("start_ticks", owner.start_ticks);
  fields.Get("host", owner.host);
  fields.Get("boot_id", owner.boot_id);
  fields.Get("command", owner.command);
  fields.Get("since_ms", owner.since_ms);
  fields.Get("expires_ms", owner.expires_ms);
  if (!problem.empty()) return std::nullopt;
  return owner;
}

Error Busy(const std::string& name, const std::optional<LockOwner>& owner, bool elsewhere) {
  if (!owner) return Fail(ErrorKind::kBusy, fmt::format("'{}' is in use by another process", name));
  Error error = Fail(ErrorKind::kBusy, fmt::format("'{}' is in use by process {}{} ({}) since {}", name,
                                                   owner->pid, elsewhere ? " on host " + owner->host : "",
                                                   owner->command, FormatWallClock(owner->since_ms)));
  if (!elsewhere) return std::move(error).WithHint("wait for it to end");
  return std::move(error).WithHint(
      fmt::format("if it is gone, the lock ends at {}; to end it now remove locks/{}.lock",
                  FormatWallClock(owner->expires_ms), name));
}

// Does somebody whose flock we cannot see hold it?
bool HeldElsewhere(const LockOwner& owner, const LockOwner& us) {
  const bool same_kernel = owner.boot_id == us.boot_id;
  const bool rebooted_since = owner.host == us.host && !same_kernel;
  return !same_kernel && !rebooted_since && owner.expires_ms > us.since_ms;
}

// The locked file; kBusy when somebody has it.
Result<Fd> TryLock(int folder, const std::string& name) {
  const std::string file = name + ".lock";
  for (int tries = 0; tries < kOpenTriesMax; ++tries) {
    Fd fd = TRY(OpenBeneath(folder, file, O_RDWR | O_CREAT | O_NONBLOCK));
    const struct stat status = TRY(StatFd(fd.get(), file));
    if (!S_ISREG(status.st_mode))
      return Fail(ErrorKind::kCorrupt, "locks/" + file + " is not a regular file");
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return FailErrno("lock locks/" + file);
      return Busy(name, ReadOwner(fd.get()), /*elsewhere=*/false);
    }
    if (!SameFile(fd.get(), folder, file)) continue;  // its holder removed it as we came
    const LockOwner us = Ourselves();
    if (const std::optional<LockOwner> owner = ReadOwner(fd.get()); owner && HeldElsewhere(*owner, us)) {
      return Busy(name, owner, /*elsewhere=*/true);
    }
    if (::fchmod(fd.get(), 0600) != 0 || ::ftruncate(fd.get(), 0) != 0)
      return FailErrno("write locks/" + file);
    Result<void> written = WriteAll(fd.get(), 0, AsBytes(EncodeOwner(us)), "locks/" + file);
    // The flock holds without a record; nobody shall be kept from making room in a full store.
    if (!written && written.error().kind != ErrorKind::kNoSpace) return std::move(written).error();
    return fd;
  }
  return Fail(ErrorKind::kBusy, fmt::format("'{}' changes hands all the time", name));
}

}  // namespace

struct StoreLock::Impl {
  Fd folder;
  Fd file;
  std::string name;

  ~Impl() {
    // Removed while it is still ours, and only if it is: see SameFile in TryLock.
    const std::string file_name = name + ".lock";
    if (SameFile(file.get(), folder.get(), file_name)) ::unlinkat(folder.get(), file_name.c_str(), 0);
  }
};

StoreLock::StoreLock(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreLock::StoreLock(StoreLock&&) noexcept = default;
StoreLock& StoreLock::operator=(StoreLock&&) noexcept = default;
StoreLock::~StoreLock() = default;

Result<StoreLock> StoreLock::Take(int store_root, const std::string& name, double wait_seconds) {
  using std::chrono::steady_clock;
  TRY(ValidateName(name, kLockNameBytesMax));
  auto impl = std::make_unique<Impl>();
  impl->folder = TRY(OpenOrMakeFolder(store_root, "locks"));
  impl->name = name;
  const auto deadline = steady_clock::now() + std::chrono::duration<double>(std::max(0.0, wait_seconds));
  for (;;) {
    Result<Fd> file = TryLock(impl->folder.get(), name);
    if (file) {
      impl->file = *std::move(file);
      return StoreLock(std::move(impl));
    }
    if (file.error().kind != ErrorKind::kBusy || steady_clock::now() >= deadline)
      return std::move(file).error();
    std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace holdfast
