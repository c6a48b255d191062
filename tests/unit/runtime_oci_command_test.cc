#include "runtime/oci_command.h"

#include <gmock/gmock.h>

#include <csignal>
#include <vector>

namespace holdfast {
namespace {

OciCommand Parse(const std::vector<const char*>& words) {
  return ParseOciCommand(words);
}

TEST(OciCommand, AsContainerdCreates) {
  const OciCommand command =
      Parse({"--root", "/run/R", "--log", "/L", "--log-format", "json", "--systemd-cgroup", "create",
             "--bundle", "/B", "--pid-file", "/P", "--console-socket", "/S", "--no-pivot", "ID"});
  EXPECT_TRUE(command.understood);
  EXPECT_EQ(command.verb, Verb::kCreate);
  EXPECT_EQ(command.root, "/run/R");
  EXPECT_EQ(command.log, "/L");
  EXPECT_EQ(command.log_format, "json");
  EXPECT_EQ(command.bundle, "/B");
  EXPECT_EQ(command.id, "ID");
}

TEST(OciCommand, AsConmonCallsCrun) {
  const OciCommand command =
      Parse({"--cgroup-manager=systemd", "--root=/run/crun", "--log=/L", "create", "--bundle=/B", "ID"});
  EXPECT_TRUE(command.understood);
  EXPECT_EQ(command.root, "/run/crun");
  EXPECT_EQ(command.bundle, "/B");
}

TEST(OciCommand, EveryVerbWithAContainerIsKnown) {
  const std::vector<std::pair<const char*, Verb>> verbs = {
      {"create", Verb::kCreate},         {"run", Verb::kRun},        {"start", Verb::kStart},
      {"state", Verb::kState},           {"kill", Verb::kKill},      {"delete", Verb::kDelete},
      {"checkpoint", Verb::kCheckpoint}, {"restore", Verb::kRestore}};
  for (const auto& [text, verb] : verbs) {
    const OciCommand command = Parse({text, "ID"});
    EXPECT_EQ(command.verb, verb) << text;
    EXPECT_TRUE(command.understood) << text;
    EXPECT_EQ(command.id, "ID") << text;
  }
  EXPECT_EQ(Parse({"exec", "-t", "ID", "sh", "-c", "x"}).verb, Verb::kOther);
  EXPECT_EQ(Parse({"exec", "ID"}).verb_text, "exec");
}

TEST(OciCommand, GoTakesOptionsAfterTheIdAndOneDash) {
  const OciCommand command = Parse({"-root", "/R", "create", "ID", "-b", "/B"});
  EXPECT_TRUE(command.understood);
  EXPECT_EQ(command.root, "/R");
  EXPECT_EQ(command.bundle, "/B");
}

TEST(OciCommand, Kill) {
  OciCommand command = Parse({"kill", "ID", "15"});
  EXPECT_EQ(command.signal, "15");
  EXPECT_FALSE(command.all);
  command = Parse({"kill", "--all", "ID", "KILL"});
  EXPECT_TRUE(command.all);
  EXPECT_EQ(command.signal, "KILL");
  EXPECT_FALSE(Parse({"kill", "--all=false", "ID"}).all);
  EXPECT_TRUE(Parse({"kill", "ID"}).signal.empty());
}

TEST(OciCommand, AfterTwoDashesNothingIsAnOption) {
  const OciCommand command = Parse({"kill", "--", "-id", "9"});
  EXPECT_TRUE(command.understood);
  EXPECT_EQ(command.id, "-id");
}

TEST(OciCommand, WhatIsNotKnownIsNotUnderstood) {
  const std::vector<std::vector<const char*>> lines = {
      {},
      {"--help"},
      {"--version"},
      {"--new-option", "create", "ID"},
      {"--root"},
      {"create", "--new-option", "ID"},
      {"create", "--bundle"},
      {"create"},
      {"create", "ID", "another"},
      {"kill", "ID", "15", "more"},
      {"create", "--help", "ID"},
      {""},
  };
  for (const auto& line : lines) {
    const OciCommand command = Parse(line);
    EXPECT_FALSE(command.understood && command.verb != Verb::kOther) << testing::PrintToString(line);
  }
}

TEST(OciCommand, SignalsAsRuncReadsThem) {
  EXPECT_EQ(SignalNumber("15"), SIGTERM);
  EXPECT_EQ(SignalNumber("TERM"), SIGTERM);
  EXPECT_EQ(SignalNumber("SIGTERM"), SIGTERM);
  EXPECT_EQ(SignalNumber("sigquit"), SIGQUIT);
  EXPECT_EQ(SignalNumber("SIGRTMIN+3"), 37);
  EXPECT_EQ(SignalNumber("37"), 37);
  for (const char* none :
       {"", "0", "-9", "65", "15x", "NOPE", "SIG", "RTMIN+", "RTMIN+40", "99999999999999999999"}) {
    EXPECT_EQ(SignalNumber(none), 0) << none;
  }
}

}  // namespace
}  // namespace holdfast
