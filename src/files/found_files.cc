#include "files/found_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <map>
#include <optional>
#include <string_view>

#include "base/limits.h"
#include "base/parallel.h"
#include "linux/proc.h"

namespace holdfast {

namespace {

constexpr std::string_view kDeleted = " (deleted)";
constexpr std::string_view kSharedMemoryDirectory = "/dev/shm/";

// One way in which one process has a file.
struct Use {
  FileKey key;
  std::string path;
  std::string link;
  pid_t pid = 0;
  bool writes = false;
  bool appends = false;  // writes with O_APPEND
  bool mapped = false;
};

bool IsIgnored(std::string_view path, const std::vector<std::string>& ignored) {
  return std::any_of(ignored.begin(), ignored.end(), [&](const std::string& one) {
    return one.ends_with('/') ? path.starts_with(one) : path == one;
  });
}

// The kernel marks a name that is gone by a suffix, which a file may as well really have.
bool NameIsGone(pid_t pid, const std::string& path, const FileKey& key) {
  if (!path.ends_with(kDeleted)) return false;
  const std::string through_root = fmt::format("/proc/{}/root{}", pid, path);
  struct stat status {};
  return ::lstat(through_root.c_str(), &status) != 0 || FileKey{status.st_dev, status.st_ino} != key;
}

class ProcessFiles {
 public:
  ProcessFiles(pid_t pid, const std::vector<std::string>& ignored, int64_t began_ms)
      : pid_(pid), ignored_(ignored), began_ms_(began_ms) {}

  Result<void> Find() {
    TRY(FindOpen());
    return FindMapped();
  }
  std::vector<Use> uses;
  std::vector<std::string> warnings;

 private:
  Result<void> FindOpen() {
    for (const OpenFile& file : TRY(ReadOpenPaths(pid_))) {
      if (!S_ISREG(file.mode) || file.link_count == 0) continue;
      const bool own = file.mtime_ms >= began_ms_;
      if (!file.writable() && !own && !file.target.starts_with(kSharedMemoryDirectory)) continue;
      Use use;
      use.key = {file.device, file.inode};
      use.path = file.target;
      use.link = fmt::format("/proc/{}/fd/{}", pid_, file.fd);
      use.writes = file.writable();
      use.appends = file.writable() && (file.flags & O_APPEND) != 0;
      Add(std::move(use));
    }
    return {};
  }

  Result<void> FindMapped() {
    for (const Mapping& mapping : TRY(ReadMaps(pid_))) {
      const bool shared_memory = mapping.name.starts_with(kSharedMemoryDirectory);
      if (!mapping.name.starts_with('/') || mapping.inode == 0 || !(mapping.shared || shared_memory))
        continue;
      const std::string link = fmt::format("/proc/{}/map_files/{:x}-{:x}", pid_, mapping.start, mapping.end);
      struct stat target {};
      struct stat descriptor {};
      if (::lstat(link.c_str(), &descriptor) != 0 || ::stat(link.c_str(), &target) != 0) continue;
      if (!S_ISREG(target.st_mode) || target.st_nlink == 0) continue;
      Use use;
      // The link's own mode tells how the mapped file was opened (fs/proc/base.c,
      // proc_map_files_instantiate): what is not writable now may become so by mprotect, and may have been so
      // before.
      use.mapped = mapping.shared && (mapping.writable || (descriptor.st_mode & S_IWUSR) != 0);
      if (!use.mapped && !shared_memory) continue;
      use.key = {target.st_dev, target.st_ino};
      // Not the name in maps, where a newline is written as \\012.
      std::array<char, PATH_MAX> path{};
      const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
      if (length <= 0) continue;
      use.path.assign(path.data(), static_cast<size_t>(length));
      use.link = link;
      Add(std::move(use));
    }
    return {};
  }

  void Add(Use use) {
    if (IsIgnored(use.path, ignored_)) return;
    if (NameIsGone(pid_, use.path, use.key)) {
      warnings.push_back(fmt::format(
          "{} has other names, but the one by which process {} opened it is gone; its content is not kept",
          use.path.substr(0, use.path.size() - kDeleted.size()), pid_));
      return;
    }
    use.pid = pid_;
    uses.push_back(std::move(use));
  }

  pid_t pid_;
  const std::vector<std::string>& ignored_;
  int64_t began_ms_;
};

// All uses of one file.
struct Merged {
  Use first;
  bool written = false;
  bool only_appended = true;
  bool mapped = false;
};

std::vector<FoundFile> Merge(const std::vector<ProcessFiles>& processes) {
  std::map<FileKey, Merged> by_key;
  std::map<std::string, FileKey> by_path;
  for (const ProcessFiles& process : processes) {
    for (const Use& use : process.uses) {
      // A mapping of an overlay file may name the inode of the layer below under the same path.
      FileKey key = use.key;
      if (!by_key.contains(key)) {
        const auto same_path = by_path.find(use.path);
        if (same_path != by_path.end()) key = same_path->second;
      }
      auto [entry, is_new] = by_key.try_emplace(key);
      Merged& merged = entry->second;
      if (is_new) {
        merged.first = use;
        by_path.emplace(use.path, key);
      }
      merged.written |= use.writes;
      merged.only_appended &= !use.writes || use.appends;
      merged.mapped |= use.mapped;
    }
  }
  std::vector<FoundFile> files;
  files.reserve(by_key.size());
  for (auto& [key, merged] : by_key) {
    FoundFile& file = files.emplace_back();
    file.key = key;
    file.path = std::move(merged.first.path);
    file.link = std::move(merged.first.link);
    file.pid = merged.first.pid;
    file.append_only = merged.written && merged.only_appended && !merged.mapped;
    file.mapped = merged.mapped;
    file.read_only = !merged.written && !merged.mapped && !file.path.starts_with(kSharedMemoryDirectory);
  }
  std::sort(files.begin(), files.end(),
            [](const FoundFile& a, const FoundFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

Result<FoundFiles> FindFiles(const std::vector<pid_t>& pids, const std::vector<std::string>& ignored,
                             int64_t began_ms) {
  std::vector<ProcessFiles> processes;
  processes.reserve(pids.size());
  for (const pid_t pid : pids) processes.emplace_back(pid, ignored, began_ms);
  TRY(ParallelFor(processes.size(), [&](size_t i) -> Result<void> {
    Result<void> found = processes[i].Find();
    if (!found && found.error().kind == ErrorKind::kNotFound) return {};
    return found;
  }));
  FoundFiles found;
  found.files = Merge(processes);
  for (ProcessFiles& process : processes) {
    found.warnings.insert(found.warnings.end(), process.warnings.begin(), process.warnings.end());
  }
  if (found.files.size() > limits::kFilesPerSnapshotMax) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("the job has {} files open for writing; at most {} can be "
                            "kept",
                            found.files.size(), limits::kFilesPerSnapshotMax));
  }
  return found;
}

}  // namespace holdfast
