// SPDX-License-Identifier: MIT
// The threads and the children of a task, and its place in its pid namespace.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

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

// Calls action(pid) for each child of `task`, whichever of its threads has made it.
template <typename Action>
void ForEachChild(pid_t task, const Action& action) {
  ForEachThread(task, [task, &action](pid_t thread) {
    char path[80];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", task, thread);
    FILE* children = fopen(path, "re");
    int child = 0;
    while (children != nullptr && fscanf(children, "%d", &child) == 1) action(child);
    if (children != nullptr) fclose(children);
  });
}

// Whether it is the first process of its pid namespace, which need not be ours.
inline bool IsNamespaceInit(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE* status = fopen(path, "re");
  if (status == nullptr) return false;
  constexpr const char* kKey = "NSpid:";  // ours first, the innermost last
  char line[512];
  bool first = false;
  while (fgets(line, sizeof line, status) != nullptr) {
    if (strncmp(line, kKey, strlen(kKey)) != 0) continue;
    const char* last = strrchr(line, '\t');
    first = last != nullptr && atoi(last + 1) == 1;
    break;
  }
  fclose(status);
  return first;
}

}  // namespace holdfast
