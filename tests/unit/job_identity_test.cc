#include <gtest/gtest.h>
#include <sys/wait.h>

#include "job/process_identity.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

TEST(ProcessIdentity, IsOneProcessAndNoOtherThatGetsItsPid) {
  ChildProcess child;
  const ProcessIdentity identity = IdentifyProcess(child.pid()).value();
  EXPECT_TRUE(IsAlive(identity));
  ProcessIdentity later = identity;
  later.start_ticks += 1;
  EXPECT_FALSE(IsAlive(later)) << "the same pid, started at another time";
  ProcessIdentity other_boot = identity;
  other_boot.boot_id = "another boot";
  EXPECT_FALSE(IsAlive(other_boot));
  child.Kill();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(IsAlive(identity)) << "a zombie";
  child.KillAndCollect();
  EXPECT_FALSE(IsAlive(identity));
  EXPECT_FALSE(IsAlive({}));
  EXPECT_EQ(IdentifyProcess(DeadPid()).error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
