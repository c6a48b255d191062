#include "linux/run_apart.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "process_test_support.h"

namespace holdfast {
namespace {

TEST(RunApart, SharesMemoryAndIsAnotherProcess) {
  pid_t pid = 0;
  std::vector<std::string> words;
  ASSERT_TRUE(RunApart([&]() -> Result<void> {
    pid = ::getpid();
    for (int i = 0; i < 1000; ++i) words.emplace_back(100, 'x');
    return {};
  }));
  EXPECT_NE(pid, ::getpid());
  EXPECT_NE(pid, 0);
  EXPECT_EQ(words.size(), 1000U);
}

TEST(RunApart, SharesDescriptors) {
  int ends[2] = {-1, -1};
  ASSERT_TRUE(RunApart([&]() -> Result<void> {
    if (::pipe(ends) != 0) return FailErrno("pipe");
    return {};
  }));
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(RunApart, AnErrorComesBack) {
  const Result<void> result = RunApart([]() -> Result<void> { return Fail(ErrorKind::kBusy, "not now"); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "not now");
}

TEST(RunApart, IsCompletedThoughWeAreKilled) {
  auto* const steps = static_cast<volatile int*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t killed = ::fork();
  if (killed == 0) {
    static_cast<void>(RunApart([&]() -> Result<void> {
      *steps = 1;
      while (*steps == 1) ::usleep(100);
      *steps = 3;
      return {};
    }));
    ::_exit(0);
  }
  while (*steps != 1) ::usleep(100);
  ::kill(killed, SIGTERM);
  ::kill(killed, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(killed, &status, 0), killed);
  EXPECT_TRUE(WIFSIGNALED(status));
  *steps = 2;
  for (int i = 0; i < 100'000 && *steps != 3; ++i) ::usleep(100);
  EXPECT_EQ(*steps, 3);
}

}  // namespace
}  // namespace holdfast
