// Which runtime gets the verb, and that it gets it whatever becomes of us.
#include "runtime/real_runtime.h"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <functional>

#include "runtime/last_resort.h"
#include "runtime/settings.h"
#include "runtime_test_support.h"

namespace holdfast {
namespace {

constexpr const char* kScript = "#!/bin/sh\nexit 0\n";

TEST(RealRuntime, TheNamedOneThenRuncThenCrun) {
  const ScratchDirectory scratch;
  const std::string named = scratch.Write("named", kScript, 0755);
  const std::string crun = scratch.Write("first/crun", kScript, 0755);
  const std::string runc = scratch.Write("second/runc", kScript, 0755);
  const std::string path = scratch.path().string() + "/first:" + scratch.path().string() + "/second";
  EXPECT_EQ(FindRealRuntime(named, path), named);
  EXPECT_EQ(FindRealRuntime(named, path, {named}), runc);
  EXPECT_EQ(FindRealRuntime("", path), runc);
  EXPECT_EQ(FindRealRuntime("", path, {runc}), crun);
  EXPECT_EQ(FindRealRuntime("/no/such/runc", path), runc);
}

TEST(RealRuntime, WhatCannotBeExecutedIsPassedOver) {
  const ScratchDirectory scratch;
  scratch.Write("a/runc", kScript, 0644);
  std::filesystem::create_directories(scratch.path() / "b/runc");
  const std::string good = scratch.Write("c/runc", kScript, 0755);
  const std::string base = scratch.path();
  EXPECT_EQ(FindRealRuntime("", base + "/a:" + base + "/b:" + base + "/none::relative:" + base + "/c"), good);
}

TEST(RealRuntime, NeverItselfUnderAnyName) {
  const ScratchDirectory scratch;
  std::filesystem::create_directories(scratch.path() / "a");
  const std::string copy = scratch.path() / "a/runc";
  std::filesystem::copy_file(HOLDFAST_RUNTIME_BINARY, copy);
  const std::string link = scratch.path() / "link";
  std::filesystem::create_symlink(HOLDFAST_RUNTIME_BINARY, link);
  const std::string good = scratch.Write("b/runc", kScript, 0755);
  EXPECT_TRUE(IsHoldfastRuntime(copy));
  EXPECT_FALSE(IsHoldfastRuntime(good));
  EXPECT_FALSE(IsHoldfastRuntime("/bin/sh"));
  EXPECT_EQ(FindRealRuntime(link, scratch.path().string() + "/a:" + scratch.path().string() + "/b"), good);
}

TEST(RuntimeSettings, LinesOfKeyAndValue) {
  const RuntimeSettings settings =
      ParseSettings("# a comment\n\n runc = /opt/runc  \r\nlog=/var/log/hf\nnew = 3\nrubbish\n");
  EXPECT_EQ(settings.runc, "/opt/runc");
  EXPECT_EQ(settings.log, "/var/log/hf");
}

TEST(RuntimeSettings, GarbageLeavesTheDefaults) {
  for (const std::string& text :
       {std::string(), std::string("="), std::string("runc"), std::string("runc = runc"),
        std::string("runc=\0/x", 8), std::string("runc=/a\0b", 9), std::string(1000, '='),
        std::string("#runc=/x"), std::string("log=")}) {
    const RuntimeSettings settings = ParseSettings(text);
    EXPECT_EQ(settings.runc, "") << text;
    EXPECT_EQ(settings.log, "/run/holdfast/runtime") << text;
  }
}

// Runs `work` in a process of its own with a LastResort, which writes its arguments and how it finds its
// signals.
class Rescued : public testing::Test {
 protected:
  int Run(const std::function<void()>& work, int milliseconds = 60'000) {
    const std::string out = scratch_.path() / "out";
    const std::string script =
        scratch_.Write("runc",
                       "#!/bin/sh\n{ printf '%s|' \"$@\"; grep -E '^Sig(Blk|Ign)' /proc/self/status; } >" +
                           out + "\nexit 42\n",
                       0755);
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGXFSZ, SIG_IGN);
      std::string words[] = {"wrapper", "create", "a b", ""};
      char* argv[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
      {
        const LastResort resort(script, argv, milliseconds);
        work();
      }
      BecomeRuntime(script, argv);
      ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string Output() { return scratch_.Read("out"); }
  ScratchDirectory scratch_;
};

// Memory that may not be written to.
volatile char* const forbidden =
    static_cast<char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

// Without the last call's result nobody could leave the calls out.
// NOLINTNEXTLINE(misc-no-recursion)
int Recurse(int depth) {
  volatile char big[4096];
  big[0] = static_cast<char>(depth);
  return depth < 0 ? big[0] : Recurse(depth + 1) + big[0];
}

TEST_F(Rescued, WhateverHappens) {
  ASSERT_EQ(Run([] {}), 42);
  const std::string untouched = Output();
  ASSERT_THAT(untouched, testing::StartsWith("create|a b||"));
  const std::vector<std::pair<const char*, std::function<void()>>> accidents = {
      {"a bad access", [] { *forbidden = 1; }},
      {"an abort", [] { std::abort(); }},
      {"a bus error", [] { ::raise(SIGBUS); }},
      {"an exception that nobody catches", [] { std::terminate(); }},
  };
  for (const auto& [name, accident] : accidents) {
    EXPECT_EQ(Run(accident), 42) << name;
    EXPECT_EQ(Output(), untouched) << name;
  }
}

TEST_F(Rescued, FromAFullStack) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer has a stack of its own";
#endif
  EXPECT_EQ(Run([] { Recurse(0); }), 42);
}

TEST_F(Rescued, FromAnEndlessLoop) {
  EXPECT_EQ(Run(
                [] {
                  while (forbidden != nullptr)
                    ;
                },
                50),
            42);
  EXPECT_THAT(Output(), testing::StartsWith("create|a b||"));
}

}  // namespace
}  // namespace holdfast
