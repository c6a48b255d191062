// What a job loses by checkpoints, measured on processes that compute.
#include "job/loss_meter.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "linux/proc.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

void Wait(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

// Computes for ever in a process of its own, below another one.
class Spinning {
 public:
  Spinning()
      : child_([] {
          if (::fork() != 0) return;
          ::prctl(PR_SET_PDEATHSIG, SIGKILL);
          for (volatile unsigned rounds = 0;;) {
            rounds = rounds + 1;
          }
        }) {}

  pid_t root() const { return child_.pid(); }
  void Signal(int number) const {
    const Result<std::vector<pid_t>> tree = ReadTree(root());
    ASSERT_TRUE(tree);
    EXPECT_EQ(tree->size(), 2U);
    for (const pid_t pid : *tree) ::kill(pid, number);
  }

 private:
  ChildProcess child_;
};

TEST(LossMeter, AJobThatStandsStillLosesAllOfTheTime) {
  const Spinning job;
  LossMeter meter(job.root());
  Wait(1);
  meter.CheckpointStarted();
  const Stopwatch during;
  job.Signal(SIGSTOP);
  Wait(0.5);
  const double lost_s = meter.CheckpointEnded(0.01);
  job.Signal(SIGCONT);
  EXPECT_GT(lost_s, 0.4);
  EXPECT_LE(lost_s, during.ElapsedMs() / 1000);
}

TEST(LossMeter, AJobThatDoesNotComputeLosesTheFreeze) {
  const ChildProcess idle;
  LossMeter meter(idle.pid());
  Wait(0.6);
  meter.CheckpointStarted();
  Wait(0.1);
  EXPECT_DOUBLE_EQ(meter.CheckpointEnded(0.01), 0.01);
}

TEST(LossMeter, AJobThatIsGoneLosesTheFreeze) {
  LossMeter meter(DeadPid());
  meter.CheckpointStarted();
  EXPECT_DOUBLE_EQ(meter.CheckpointEnded(0.01), 0.01);
}

}  // namespace
}  // namespace holdfast
