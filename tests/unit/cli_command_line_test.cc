// The command line as a whole: what is refused, with which words, and which exit code.
#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/App.hpp>

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

CommandText Text(const std::string& name) {
  CommandText text;
  text.name = name;
  text.summary = "does something";
  return text;
}

// A program with two commands: `run`, which takes a job's command, and `show NAME`.
class CommandLineTest : public ::testing::Test {
 protected:
  Outcome Run(std::vector<std::string> words) {
    CommandLine line;
    CLI::App& run = line.Add(Text("run"), [&](const GlobalOptions& global) -> Result<int> {
      command_ = global.job_command;
      quiet_ = global.quiet;
      return 7;
    });
    run.add_flag("--background", background_, "Goes to the background");
    CLI::App& show = line.Add(Text("show"), [&](const GlobalOptions&) -> Result<int> {
      if (name_ == "missing") return Fail(ErrorKind::kNotFound, "there is none").WithHint("look elsewhere");
      if (name_ == "throws") throw std::runtime_error("out of luck");
      return 0;
    });
    show.add_option("NAME", name_, "Whose")->required()->type_name("NAME");
    words.insert(words.begin(), "holdfast");
    std::vector<char*> arguments;
    arguments.reserve(words.size());
    for (std::string& word : words) arguments.push_back(word.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.code = line.Run(static_cast<int>(arguments.size()), arguments.data());
    outcome.out = ::testing::internal::GetCapturedStdout();
    outcome.err = ::testing::internal::GetCapturedStderr();
    return outcome;
  }

  std::vector<std::string> command_;
  std::string name_;
  bool background_ = false;
  bool quiet_ = false;
};

TEST_F(CommandLineTest, TheActionsResultIsTheExitCode) {
  EXPECT_EQ(Run({"run", "--background", "--", "python3", "x.py"}).code, 7);
  EXPECT_TRUE(background_);
  EXPECT_EQ(Run({"show", "job"}).code, 0);
  EXPECT_EQ(name_, "job");
}

TEST_F(CommandLineTest, WhatComesAfterTheSeparatorIsTheJobs) {
  EXPECT_EQ(Run({"run", "-q", "--", "cmd", "--json", "--", "-q", "--help"}).code, 7);
  EXPECT_EQ(command_, (std::vector<std::string>{"cmd", "--json", "--", "-q", "--help"}));
  EXPECT_TRUE(quiet_);
}

TEST_F(CommandLineTest, GlobalOptionsStandAnywhere) {
  EXPECT_EQ(Run({"-q", "run", "--", "x"}).code, 7);
  EXPECT_TRUE(quiet_);
}

TEST_F(CommandLineTest, AnErrorIsToldWithItsHintAndItsCode) {
  const Outcome outcome = Run({"show", "missing"});
  EXPECT_EQ(outcome.code, 66);
  EXPECT_EQ(outcome.err, "holdfast: there is none\n  hint: look elsewhere\n");
}

TEST_F(CommandLineTest, ErrorsAreJsonWhenAsked) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"show", "missing", "--json"},
                                             {"--json", "nonsense"},
                                             {"show", "--json"},
                                             {"--json", "show", "x", "--bad"}}) {
    const Outcome outcome = Run(words);
    EXPECT_NE(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_THAT(outcome.out, HasSubstr("\"error\""));
  }
}

TEST_F(CommandLineTest, AFaultIsOursAndDoesNotEscape) {
  const Outcome outcome = Run({"show", "throws"});
  EXPECT_EQ(outcome.code, 70);
  EXPECT_THAT(outcome.err, HasSubstr("out of luck"));
}

TEST_F(CommandLineTest, MistakesAreUsageErrorsWithAHint) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"shwo"},
                                             {"show"},
                                             {"show", "a", "b"},
                                             {"run", "--backgruond", "--", "x"},
                                             {"show", "x", "--", "y"},
                                             {"run", "python3", "x.py"},
                                             {"show", "--bad", "x"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 64) << ::testing::PrintToString(words) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("hint: ")) << ::testing::PrintToString(words);
  }
}

TEST_F(CommandLineTest, AnUnknownOptionWithoutACommandIsAUsageError) {
  EXPECT_EQ(Run({"--bad"}).code, 64);
}

TEST_F(CommandLineTest, NearWordsAreSuggested) {
  EXPECT_THAT(Run({"shwo", "x"}).err, HasSubstr("'show'"));
  EXPECT_THAT(Run({"run", "--backgruond", "--", "x"}).err, HasSubstr("'--background'"));
  EXPECT_THAT(Run({"run", "python3", "x.py"}).err, HasSubstr("-- python3 x.py"));
}

TEST_F(CommandLineTest, HelpIsHelpWhateverElseIsMissing) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--help"}, {"-h"}, {"help"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Exit codes"));
    EXPECT_THAT(outcome.out, HasSubstr("show"));
  }
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"show", "--help"}, {"help", "show"}, {"show", "-h"}}) {
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.out, HasSubstr("Usage: holdfast show"));
    EXPECT_THAT(outcome.out, HasSubstr("NAME"));
  }
}

TEST_F(CommandLineTest, HelpForWhatIsNoCommandIsAnError) {
  EXPECT_EQ(Run({"help", "shwo"}).code, 64);
}

TEST_F(CommandLineTest, TellsItsVersion) {
  const Outcome outcome = Run({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, std::string("holdfast ") + HOLDFAST_VERSION + "\n");
}

TEST_F(CommandLineTest, HiddenCommandsWorkAndAreNotShown) {
  CommandLine line;
  line.AddHidden(Text("secret"), [](const GlobalOptions&) -> Result<int> { return 5; });
  std::string program = "holdfast";
  std::string command = "secret";
  char* arguments[] = {program.data(), command.data()};
  EXPECT_EQ(line.Run(2, arguments), 5);
  EXPECT_THAT(FormatProgramHelp(line.Describe()), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace holdfast
