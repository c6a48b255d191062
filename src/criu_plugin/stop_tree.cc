// SPDX-License-Identifier: MIT
#include "criu_plugin/stop_tree.h"

#include <sys/ptrace.h>

#include <cstdint>

#include "criu_plugin/threads.h"

namespace holdfast {
namespace {

constexpr pid_t kPidLimit = 4 * 1024 * 1024;  // PID_MAX_LIMIT, include/linux/threads.h

// A bit for each pid there can be; pages that are not used cost nothing.
class PidSet {
 public:
  bool Has(pid_t pid) const { return pid > 0 && pid < kPidLimit && (bits_[pid / 8] >> pid % 8 & 1) != 0; }
  void Set(pid_t pid, bool on) {
    if (pid <= 0 || pid >= kPidLimit) return;
    const auto bit = static_cast<uint8_t>(1u << pid % 8);
    bits_[pid / 8] = static_cast<uint8_t>(on ? bits_[pid / 8] | bit : bits_[pid / 8] & ~bit);
  }

 private:
  uint8_t bits_[kPidLimit / 8];
};

PidSet seized;
PidSet interrupted;

// Returns how many threads it has stopped that were not stopped before.
int StopThreads(pid_t task) {
  int stopped = 0;
  ForEachThread(task, [&stopped](pid_t thread) {
    if (seized.Has(thread) || ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0) return;
    seized.Set(thread, true);
    interrupted.Set(thread, ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) == 0);
    ++stopped;
  });
  return stopped;
}

int StopBelow(pid_t task) {
  int stopped = StopThreads(task);
  ForEachChild(task, [&stopped](pid_t child) { stopped += StopBelow(child); });
  return stopped;
}

}  // namespace

void StopTree(pid_t root) {
  // What still ran may have made new threads and processes meanwhile.
  constexpr int kRoundsMax = 4;
  for (int round = 0; round < kRoundsMax && StopBelow(root) > 0; ++round) {
  }
}

bool WasSeized(pid_t thread) {
  return seized.Has(thread);
}

bool TakeInterrupt(pid_t thread) {
  const bool was = interrupted.Has(thread);
  interrupted.Set(thread, false);
  return was;
}

}  // namespace holdfast
