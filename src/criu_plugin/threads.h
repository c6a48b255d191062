// SPDX-License-Identifier: MIT
// The threads of a task.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast {

// Calls action(tid) for each thread of `pid`; for none when /proc cannot be read.
template <typename Action>
void ForEachThread(pid_t pid, const Action& action) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR* directory = opendir(path);
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory)) {
    const int thread = atoi(entry->d_name);
    if (thread > 0) action(thread);
  }
  closedir(directory);
}

}  // namespace holdfast
