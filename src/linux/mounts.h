// What is mounted where a process lives.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)); spaces and the like are decoded.
struct Mount {
  std::string root;   // the part of its file system that is mounted
  std::string point;  // where, as the process sees it
  std::string type;   // "overlay", "ext4", "tmpfs"
  std::string file_system_options;
};
Result<std::vector<Mount>> ParseMounts(std::string_view text);
// In the order in which they were made.
Result<std::vector<Mount>> ReadMounts(pid_t pid);

}  // namespace holdfast
