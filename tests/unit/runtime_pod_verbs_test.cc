#include "runtime/pod_verbs.h"

#include <gmock/gmock.h>

#include <array>

#include "oci/runtime_helper.h"
#include "runtime_test_support.h"

namespace holdfast {
namespace {

ContainerIdentity Whole() {
  ContainerIdentity identity;
  identity.id = "c1";
  identity.in_pod = true;
  identity.pod_namespace = "ml";
  identity.pod_uid = "0b3d6f0e";
  identity.container_name = "main";
  identity.owner_uid = "5aa1";
  identity.template_hash = "5d9c";
  identity.slot = "0";
  return identity;
}

TEST(RuntimePodVerbs, AnIdentityIsWholeOrNone) {
  EXPECT_EQ(IdentityPath(Whole()).value_or(""), "ml/5aa1/5d9c/0/main");
  for (std::string ContainerIdentity::*part :
       {&ContainerIdentity::owner_uid, &ContainerIdentity::template_hash, &ContainerIdentity::slot}) {
    ContainerIdentity identity = Whole();
    identity.*part = "";
    EXPECT_FALSE(IdentityPath(identity));
  }
  ContainerIdentity alone = Whole();
  alone.in_pod = false;
  EXPECT_FALSE(IdentityPath(alone));
}

class Helper : public testing::Test {
 protected:
  HelperAnswer Call(const std::string& script, int milliseconds = 60'000) {
    HelperCall call;
    call.program = scratch_.Write("helper", "#!/bin/sh\n" + script, 0755);
    call.arguments = {"one", "two words"};
    call.milliseconds = milliseconds;
    return CallHelper(call);
  }
  ScratchDirectory scratch_;
};

TEST_F(Helper, AnswersWithAWordAndASentence) {
  HelperAnswer answer = Call("echo \"done $1, $2\" >&3");
  EXPECT_TRUE(answer.done && answer.given);
  EXPECT_EQ(answer.said, "one, two words");
  answer = Call("echo 'pass-on it is not there' >&3; exit 0");
  EXPECT_FALSE(answer.done);
  EXPECT_TRUE(answer.given);
  EXPECT_EQ(answer.said, "it is not there");
}

TEST_F(Helper, ThatSaysNothingHasNotDoneIt) {
  EXPECT_THAT(Call("exit 3").said, testing::HasSubstr("ended with status 3 without an answer"));
  EXPECT_THAT(Call("kill -SEGV $$").said, testing::HasSubstr("was killed by signal 11 without an answer"));
  EXPECT_FALSE(Call("echo done; echo done >&2").done);
  EXPECT_FALSE(Call("echo doneish >&3").done);
  EXPECT_FALSE(Call("echo >&3").done);
  EXPECT_FALSE(Call("kill -KILL $$").given);
}

TEST_F(Helper, ThatTakesTooLongIsToldToEnd) {
  const HelperAnswer answer = Call("trap 'echo told >$0.told; exit' TERM; while :; do sleep 0.05; done", 200);
  EXPECT_FALSE(answer.done);
  EXPECT_THAT(answer.said, testing::HasSubstr("took too long"));
  EXPECT_EQ(scratch_.Read("helper.told"), "told\n");
}

TEST_F(Helper, HasItsDescriptorsAndNoOthers) {
  EXPECT_EQ(Call("readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 >$0.seen; "
                 "ls /proc/$$/fd | grep -v '^10$' | tr '\\n' ' ' >>$0.seen; echo done >&3")
                .done,
            true);
  EXPECT_THAT(scratch_.Read("helper.seen"),
              testing::AllOf(testing::StartsWith("/dev/null\n"), testing::EndsWith("0 1 2 3 4 5 6 ")));
}

TEST_F(Helper, HoldsNoStreamsThatItDoesNotNeed) {
  ASSERT_TRUE(Call("readlink /proc/$$/fd/4 /proc/$$/fd/5 /proc/$$/fd/6 >$0.seen; echo done >&3").done);
  EXPECT_EQ(scratch_.Read("helper.seen"), "/dev/null\n/dev/null\n/dev/null\n");
}

// It may stand still after its snapshot, and a stopped process hears no signal.
TEST_F(Helper, KilledInTheMidstOfAStopLeavesAContainerThatIsLetGoOn) {
  const std::string runtime = scratch_.Write("runc", "#!/bin/sh\necho \"$*\" >>$0.calls\n", 0755);
  RuntimeSettings settings;
  settings.store = "/mnt/hf";
  const std::array words = {"--root", "/run/hf", "kill", "c1", "15"};
  const Decision decision{Verdict::kTakes, "", Whole()};
  settings.holdfast = scratch_.Write("holdfast", "#!/bin/sh\nkill -KILL $$\n", 0755);
  EXPECT_FALSE(DoPodVerb(ParseOciCommand(words), words, decision, {}, runtime, settings).done);
  EXPECT_EQ(scratch_.Read("runc.calls"), "--root /run/hf kill --all c1 CONT\n");
  settings.holdfast = scratch_.Write("holdfast", "#!/bin/sh\necho 'pass-on it failed' >&3\n", 0755);
  EXPECT_FALSE(DoPodVerb(ParseOciCommand(words), words, decision, {}, runtime, settings).done);
  EXPECT_EQ(scratch_.Read("runc.calls"), "--root /run/hf kill --all c1 CONT\n") << "it has done so itself";
}

TEST(RuntimeSettingsOfPods, AreReadAndChecked) {
  RuntimeSettings settings = ParseSettings("store = /mnt/hf\nholdfast=/opt/holdfast\nwait = 7\ndeadline=0\n");
  EXPECT_EQ(settings.store, "/mnt/hf");
  EXPECT_EQ(settings.holdfast, "/opt/holdfast");
  EXPECT_EQ(settings.wait_seconds, 7);
  EXPECT_EQ(settings.deadline_seconds, 0);
  settings =
      ParseSettings("store = mnt\nwait = -1\ndeadline = 1e9\nwait = 99999999999999999999\nwait = 7s\n");
  EXPECT_EQ(settings.store, "");
  EXPECT_EQ(settings.wait_seconds, RuntimeSettings().wait_seconds);
  EXPECT_EQ(settings.deadline_seconds, RuntimeSettings().deadline_seconds);
}

}  // namespace
}  // namespace holdfast
