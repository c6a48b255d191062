// Names for jobs whose users gave none.
#include "job/job_name.h"

#include <gtest/gtest.h>

#include "job/did_you_mean.h"
#include "store/manifest.h"

namespace holdfast {
namespace {

using Command = std::vector<std::string>;

TEST(NameForCommand, IsTheProgramWithoutItsPath) {
  EXPECT_EQ(NameForCommand({"/usr/local/bin/solver", "--fast"}), "solver");
  EXPECT_EQ(NameForCommand({"./a.out"}), "a.out");
  EXPECT_EQ(NameForCommand({"build/"}), "build");
}

TEST(NameForCommand, OfAnInterpreterIsWhatItRuns) {
  EXPECT_EQ(NameForCommand({"python3", "train.py", "--epochs", "3"}), "train");
  EXPECT_EQ(NameForCommand({"/usr/bin/python3.11", "-u", "/home/me/my train.py"}), "python3.11");
  EXPECT_EQ(NameForCommand({"python3", "-m", "torch.distributed.run", "x.py"}), "torch.distributed");
  EXPECT_EQ(NameForCommand({"bash", "/opt/run-all.sh"}), "run-all");
  EXPECT_EQ(NameForCommand({"java", "-Xmx1g", "Main"}), "Main");
  EXPECT_EQ(NameForCommand({"env", "python"}), "python");
}

TEST(NameForCommand, ProgramTextIsNoName) {
  EXPECT_EQ(NameForCommand({"sh", "-c", "while true; do date; done"}), "sh");
  EXPECT_EQ(NameForCommand({"python3", "-c", "print(1)"}), "python3");
  EXPECT_EQ(NameForCommand({"perl", "-e", "1"}), "perl");
  EXPECT_EQ(NameForCommand({"python3"}), "python3");
  EXPECT_EQ(NameForCommand({"bash", "-l"}), "bash");
}

TEST(NameForCommand, WhatOnlyBeginsLikeAnInterpreterIsNone) {
  EXPECT_EQ(NameForCommand({"shutdown", "now.py"}), "shutdown");
  EXPECT_EQ(NameForCommand({"nodetool", "x.js"}), "nodetool");
}

TEST(NameForCommand, IsAValidNameWhateverTheCommand) {
  for (const Command& command :
       {Command{}, Command{""}, Command{"/"}, Command{"..."}, Command{"-x"}, Command{"a b\nc"},
        Command{"\xff\xfe"}, Command{"\xc3\xa4rger"}, Command{std::string(5000, 'x')},
        Command{"python3", ".hidden.py"}, Command{"python3", ""}, Command{"python3", "-m"},
        Command{"python3", "-m", ""}, Command{"sh", "/"}, Command{std::string("nul\0x", 5)}}) {
    const std::string name = NameForCommand(command);
    EXPECT_TRUE(ValidateLineageName(name)) << name;
  }
  EXPECT_EQ(NameForCommand({}), "job");
  EXPECT_EQ(NameForCommand({"..."}), "job");
}

TEST(FreeNameForCommand, CountsFromTwoWhenTheWordIsTaken) {
  const auto free_besides = [](const std::vector<std::string>& names) {
    return FreeNameForCommand({"python3", "train.py"},
                              [names](const std::string& name) {
                                return std::find(names.begin(), names.end(), name) != names.end();
                              })
        .value();
  };
  EXPECT_EQ(free_besides({}), "train");
  EXPECT_EQ(free_besides({"train"}), "train-2");
  EXPECT_EQ(free_besides({"train", "train-2", "train-4"}), "train-3");
}

TEST(FreeNameForCommand, GivesUpWhenEveryNameIsTaken) {
  std::string longest;
  const Result<std::string> name = FreeNameForCommand({std::string(500, 'x')}, [&](const std::string& taken) {
    if (taken.size() > longest.size()) longest = taken;
    return true;
  });
  ASSERT_FALSE(name);
  EXPECT_EQ(name.error().kind, ErrorKind::kExists);
  EXPECT_TRUE(ValidateLineageName(longest)) << "even the longest is a name";
}

TEST(DidYouMean, ListsNearNames) {
  EXPECT_EQ(DidYouMean("trian", {"train", "other"}), "did you mean 'train'?");
  EXPECT_EQ(DidYouMean("job", {"job-2", "job-1"}), "did you mean 'job-1' or 'job-2'?");
  EXPECT_EQ(DidYouMean("abc", {"xyz"}), "");
  EXPECT_EQ(DidYouMean("abc", {}), "");
}

}  // namespace
}  // namespace holdfast
