#include "linux/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "process_test_support.h"

namespace holdfast {
namespace {

Fd MemoryFile(const std::string& content = "") {
  Fd file(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(::pwrite(file.get(), content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  return file;
}

std::string ContentOf(const Fd& file) {
  std::string text(65536, '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

SpawnOptions Shell(const std::string& script) {
  SpawnOptions options;
  options.arguments = {"/bin/sh", "-c", script};
  return options;
}

// What a shell script prints when it is run with `options`.
std::string Output(SpawnOptions options) {
  const Fd output = MemoryFile();
  options.output = output.get();
  Result<Subprocess> child = Subprocess::Spawn(options);
  if (!child) return "did not start: " + child.error().message;
  const int status = child->Wait().value();
  EXPECT_EQ(status, 0) << DescribeWaitStatus(status);
  return ContentOf(output);
}

TEST(Subprocess, TellsItsExitStatus) {
  EXPECT_EQ(DescribeWaitStatus(Subprocess::Spawn(Shell("exit 0"))->Wait().value()), "exited with 0");
  EXPECT_EQ(DescribeWaitStatus(Subprocess::Spawn(Shell("exit 7"))->Wait().value()), "exited with 7");
}

TEST(Subprocess, TellsTheSignalThatKilledIt) {
  EXPECT_EQ(DescribeWaitStatus(Subprocess::Spawn(Shell("kill -9 $$"))->Wait().value()),
            "was killed by signal 9 (Killed)");
}

TEST(Subprocess, AProgramThatIsNotThereExitsWith127) {
  SpawnOptions options;
  options.arguments = {"/nonexistent/program"};
  EXPECT_EQ(DescribeWaitStatus(Subprocess::Spawn(options)->Wait().value()), "exited with 127");
}

TEST(Subprocess, ArgumentsArriveAsTheyAre) {
  SpawnOptions options = Shell("for a in \"$0\" \"$@\"; do printf '<%s>' \"$a\"; done");
  for (const char* argument : {"a b", "", "$x", "*", "new\nline", "\xff"})
    options.arguments.emplace_back(argument);
  EXPECT_EQ(Output(options), "<a b><><$x><*><new\nline><\xff>");
}

TEST(Subprocess, EnvironmentIsOursWithAdditionsThatReplace) {
  ::setenv("HOLDFAST_TEST_OURS", "old", 1);
  ::setenv("HOLDFAST_TEST_REPLACED", "old", 1);
  SpawnOptions options = Shell(
      "echo $HOLDFAST_TEST_OURS,$HOLDFAST_TEST_REPLACED,$HOLDFAST_TEST_NEW; "
      "env | grep -c ^HOLDFAST_TEST_REPLACED=");
  options.environment = {{"HOLDFAST_TEST_REPLACED", "new"}, {"HOLDFAST_TEST_NEW", "a=b c"}};
  EXPECT_EQ(Output(options), "old,new,a=b c\n1\n");
  ::unsetenv("HOLDFAST_TEST_OURS");
  ::unsetenv("HOLDFAST_TEST_REPLACED");
}

TEST(Subprocess, DescriptorsArriveAtTheirNumbersAndNoOthersDo) {
  const Fd one = MemoryFile("one");
  const Fd two = MemoryFile("two");
  const Fd inherited(::dup(one.get()));  // without close-on-exec: stays behind all the same
  SpawnOptions options = Shell(
      "cat <&8; cat <&3; n=0; while [ $n -lt 100 ]; do [ -e /proc/$$/fd/$n ] && printf ' %s' $n; "
      "n=$((n + 1)); done");
  options.descriptors = {{one.get(), 8}, {two.get(), 3}};
  EXPECT_EQ(Output(options), "onetwo 0 1 2 3 8");
}

TEST(Subprocess, DescriptorsMayTradeNumbers) {
  const Fd one = MemoryFile("one");
  const Fd two = MemoryFile("two");
  SpawnOptions options =
      Shell("cat /proc/$$/fd/" + std::to_string(two.get()) + " /proc/$$/fd/" + std::to_string(one.get()));
  options.descriptors = {{one.get(), two.get()}, {two.get(), one.get()}};
  EXPECT_EQ(Output(options), "onetwo");
}

TEST(Subprocess, DescriptorsWithHighNumbersArriveToo) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur < 1100) GTEST_SKIP() << "only " << limit.rlim_cur << " descriptors are allowed";
  const Fd one = MemoryFile("one");
  const Fd two(::fcntl(MemoryFile("two").get(), F_DUPFD_CLOEXEC, 1000));
  SpawnOptions options = Shell("cat /proc/self/fd/5 /proc/self/fd/6");
  options.descriptors = {{one.get(), 5}, {two.get(), 6}};
  EXPECT_EQ(Output(options), "onetwo");
}

TEST(Subprocess, StdinAndUnwantedOutputAreDevNull) {
  const Fd report = MemoryFile();
  SpawnOptions options = Shell("a=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo \"$a\" >&7");
  options.descriptors = {{report.get(), 7}};
  ASSERT_EQ(Subprocess::Spawn(options)->Wait().value(), 0);
  EXPECT_EQ(ContentOf(report), "/dev/null\n/dev/null\n/dev/null\n");
}

TEST(Subprocess, BlockedSignalsOfOursAreNotTheChilds) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  const int status = Subprocess::Spawn(Shell("kill -TERM $$; exit 3"))->Wait().value();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << DescribeWaitStatus(status);
}

TEST(Subprocess, IsKilledAndCollectedWithItsHandle) {
  pid_t pid = 0;
  {
    const Result<Subprocess> child = Subprocess::Spawn(Shell("sleep 1000"));
    ASSERT_TRUE(child);
    pid = child->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(Subprocess, MovesWithItsHandle) {
  Result<Subprocess> first = Subprocess::Spawn(Shell("sleep 1000"));
  ASSERT_TRUE(first);
  const pid_t pid = first->pid();
  Subprocess second = *std::move(first);
  EXPECT_EQ(second.pid(), pid);
  second.Kill();
  EXPECT_TRUE(WIFSIGNALED(second.Wait().value()));
}

TEST(Subprocess, ItsPidfdIsReadableWhenItHasEnded) {
  Result<Subprocess> child = Subprocess::Spawn(Shell("exit 0"));
  ASSERT_TRUE(child);
  pollfd end{child->pidfd().get(), POLLIN, 0};
  EXPECT_EQ(::poll(&end, 1, -1), 1);
  EXPECT_EQ(child->Wait().value(), 0);
}

// A process between us and the program starts it and dies at once; then we ask the program whether it lives.
std::string AnswerAfterTheStartersDeath(bool outlives_us) {
  int question[2];
  int answer[2];
  EXPECT_EQ(::pipe2(question, O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(answer, O_CLOEXEC), 0);
  const pid_t starter = ::fork();
  if (starter == 0) {
    SpawnOptions options = Shell("read line <&7 && echo $line >&8");
    options.descriptors = {{question[0], 7}, {answer[1], 8}};
    options.outlives_us = outlives_us;
    const Result<Subprocess> child = Subprocess::Spawn(options);
    ::_exit(child ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(starter, &status, 0), starter);
  EXPECT_EQ(status, 0);
  const Fd ask(question[1]);
  const Fd hear(answer[0]);
  ::close(answer[1]);
  // Where it must be dead, nobody may be there to read this.
  EXPECT_EQ(::write(ask.get(), "alive\n", 6), 6);
  char text[16];
  const ssize_t got = ::read(hear.get(), text, sizeof text);
  ::close(question[0]);
  return {text, static_cast<size_t>(got < 0 ? 0 : got)};
}

TEST(Subprocess, DiesWithUs) {
  EXPECT_EQ(AnswerAfterTheStartersDeath(false), "");
}

TEST(Subprocess, OutlivesUsWhenTold) {
  EXPECT_EQ(AnswerAfterTheStartersDeath(true), "alive\n");
}

TEST(Subprocess, OutOfReachOfTheTerminalWhenItOutlivesUs) {
  SpawnOptions options = Shell("ps -o pgid= -p $$ | tr -d ' '; echo $$");
  options.outlives_us = true;
  const std::string own_group = Output(options);
  EXPECT_EQ(own_group.substr(0, own_group.find('\n')),
            own_group.substr(own_group.find('\n') + 1, own_group.find('\n')));
}

}  // namespace
}  // namespace holdfast
