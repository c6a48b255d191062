// What /proc says of a process, typed. Every function takes a pid of our own pid namespace. A process that is
// gone is kNotFound. Parsers take text, so
// that they can be tested without a process; they refuse what does not parse instead of guessing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// One line of /proc/PID/maps.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  uint64_t offset = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  uint64_t inode = 0;
  std::string name;  // path, "[heap]", "[vdso]", "/dev/zero (deleted)", or empty
  std::string line;  // the line itself, without the newline

  uint64_t bytes() const { return end - start; }
};

// VmFlags of /proc/PID/smaps, the two-letter words in their order ("rd", "wr", "mr", ...), and the figures
// that are used.
struct MappingDetail {
  Mapping mapping;
  uint64_t resident_bytes = 0;
  uint64_t anonymous_huge_bytes = 0;
  std::vector<std::string> flags;

  bool Has(std::string_view flag) const;
};

Result<std::vector<Mapping>> ParseMaps(std::string_view text);
Result<std::vector<MappingDetail>> ParseSmaps(std::string_view text);
Result<std::vector<Mapping>> ReadMaps(pid_t pid);
Result<std::vector<MappingDetail>> ReadSmaps(pid_t pid);

// /proc/PID/stat and status.
struct ProcessStatus {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  char state = '?';  // 'R', 'S', 'Z', ...
  std::string name;
  bool kernel_thread = false;  // PF_KTHREAD in stat's flags
  bool exiting = false;        // PF_EXITING: killed or ended, and no zombie yet; its memory may be gone
  uint64_t start_ticks = 0;    // since boot, clock ticks: with the pid, names a process for ever
  uint64_t user_ticks = 0;     // clock ticks spent in its own code, by children that it waited for, too
  uint32_t uid = 0;            // real
  uint32_t effective_uid = 0;
  uint32_t gid = 0;
  uint64_t resident_bytes = 0;
  uint64_t anonymous_bytes = 0;      // RssAnon: of the resident ones, the private ones
  uint64_t peak_resident_bytes = 0;  // VmHWM
  uint64_t locked_bytes = 0;         // VmLck
  int seccomp_mode = 0;
  pid_t tracer = 0;                   // TracerPid
  std::vector<pid_t> namespace_pids;  // NSpid: ours first, the innermost last
  bool zombie() const { return state == 'Z' || state == 'X'; }
};
// From the texts of stat and of status.
Result<ProcessStatus> ParseStatus(std::string_view stat, std::string_view status);
Result<ProcessStatus> ReadStatus(pid_t pid);

// When the process was started, ms since 1970, to a clock tick (10 ms).
Result<int64_t> StartedMs(pid_t pid);

Result<std::vector<pid_t>> ReadThreads(pid_t pid);
// Live children of all threads, zombies too.
Result<std::vector<pid_t>> ReadChildren(pid_t pid);
// `root` and all its descendants, parents before children.
Result<std::vector<pid_t>> ReadTree(pid_t root);
// All processes that /proc shows.
Result<std::vector<pid_t>> ReadAllProcesses();

// One entry of /proc/PID/fd with its fdinfo.
struct OpenFile {
  int fd = -1;
  std::string target;  // readlink: path, "pipe:[123]", "socket:[4]", "anon_inode:[eventpoll]"; " (deleted)"
                       // may follow
  uint32_t flags = 0;  // open flags (O_APPEND, ...), from fdinfo
  uint64_t position = 0;
  uint32_t mode = 0;            // st_mode of what is open
  uint64_t device = 0;          // st_dev
  uint64_t inode = 0;           // st_ino
  uint64_t special_device = 0;  // st_rdev
  uint64_t bytes = 0;           // st_size
  int64_t mtime_ms = 0;         // st_mtime, ms since 1970
  uint64_t link_count = 0;      // st_nlink

  bool writable() const { return (flags & 3) != 0; }
};
Result<std::vector<OpenFile>> ReadOpenFiles(pid_t pid);
// Only those whose target is a path. A socket costs one readlink and no more: for use while a job is frozen.
Result<std::vector<OpenFile>> ReadOpenPaths(pid_t pid);

// Only the ends of pipes; the same.
Result<std::vector<OpenFile>> ReadOpenPipes(pid_t pid);

// The inodes of the sockets it has open. One readlink for each descriptor.
Result<std::vector<uint64_t>> ReadOpenSockets(pid_t pid);

Result<std::vector<std::string>> ReadCommandLine(pid_t pid);
Result<std::vector<std::string>> ReadEnvironment(pid_t pid);
Result<std::string> ReadWorkingDirectory(pid_t pid);
// "pid:[4026531836]" for kind "pid"; kinds: pid mnt net ipc uts user cgroup.
Result<std::string> ReadNamespace(pid_t pid, std::string_view kind);

// The whole of a small file (procfs, sysfs), bounded by limits::kProcFileBytesMax.
Result<std::string> ReadFile(const std::string& path);

}  // namespace holdfast
