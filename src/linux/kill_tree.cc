#include "linux/kill_tree.h"

#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "linux/proc.h"

namespace holdfast {

void KillTree(pid_t root) {
  static constexpr int kRoundsMax = 5;  // a tree that forks faster than this is stopped first
  const Result<std::vector<pid_t>> first = ReadTree(root);
  if (first) {
    for (const pid_t pid : *first) ::kill(pid, SIGSTOP);
  }
  for (int round = 0; round < kRoundsMax; ++round) {
    const Result<std::vector<pid_t>> tree = ReadTree(root);
    if (!tree) break;
    // Children first: a dead parent hides them from us.
    for (auto pid = tree->rbegin(); pid != tree->rend(); ++pid) {
      if (*pid != root) ::kill(*pid, SIGKILL);
    }
    if (tree->size() <= 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(root, SIGKILL);
}

}  // namespace holdfast
