#include "linux/pidfd.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "process_test_support.h"

namespace holdfast {
namespace {

TEST(Pidfd, NamesItsProcess) {
  const ChildProcess child;
  const Fd pidfd = OpenPidfd(child.pid()).value();
  EXPECT_EQ(PidOfPidfd(pidfd.get()).value(), child.pid());
}

TEST(Pidfd, OfAProcessThatIsGoneIsNotFound) {
  EXPECT_EQ(OpenPidfd(DeadPid()).error().kind, ErrorKind::kNotFound);
}

TEST(Pidfd, NamesNobodyAfterTheEnd) {
  ChildProcess child;
  const Fd pidfd = OpenPidfd(child.pid()).value();
  child.KillAndCollect();
  EXPECT_EQ(PidOfPidfd(pidfd.get()).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(SendSignal(pidfd.get(), SIGTERM).error().kind, ErrorKind::kNotFound);
}

TEST(Pidfd, OfWhatIsNoProcessNamesNobody) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd reading(ends[0]);
  const Fd writing(ends[1]);
  EXPECT_FALSE(PidOfPidfd(reading.get()));
  EXPECT_FALSE(PidOfPidfd(-1));
}

TEST(SendSignal, ReachesTheProcess) {
  ChildProcess child;
  ASSERT_TRUE(SendSignal(OpenPidfd(child.pid())->get(), SIGTERM));
  const int status = child.Collect();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

TEST(WaitForEnd, IsBusyWhileItRunsAndDoneWhenItIsAZombie) {
  ChildProcess child;
  const Fd pidfd = OpenPidfd(child.pid()).value();
  EXPECT_EQ(WaitForEnd(pidfd.get(), 0).error().kind, ErrorKind::kBusy);
  child.Kill();
  EXPECT_TRUE(WaitForEnd(pidfd.get(), -1));
  EXPECT_TRUE(WaitForEnd(pidfd.get(), 0));
  EXPECT_TRUE(WIFSIGNALED(child.Collect()));
}

}  // namespace
}  // namespace holdfast
