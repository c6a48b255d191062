// A process stopped for a moment.
#include "linux/stopped_process.h"

#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "linux/proc.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

constexpr int kMillisecondsMax = 10'000;

// What the child does is seen here.
class SharedCounts {
 public:
  SharedCounts()
      : counts_(static_cast<std::atomic<uint64_t>*>(
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  SharedCounts(const SharedCounts&) = delete;
  SharedCounts& operator=(const SharedCounts&) = delete;
  ~SharedCounts() { ::munmap(counts_, 4096); }
  std::atomic<uint64_t>& operator[](int i) const { return counts_[i]; }

 private:
  std::atomic<uint64_t>* counts_;
};

void* CountForEver(void* count) {
  for (;;) ++*static_cast<std::atomic<uint64_t>*>(count);
}

bool Grows(const std::atomic<uint64_t>& count) {
  const uint64_t before = count;
  for (int i = 0; i < 1000 && count == before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return count != before;
}

TEST(StoppedProcess, StandsStillWithAllItsThreadsAndGoesOn) {
  const SharedCounts counts;
  ChildProcess child([&] {
    pthread_t id{};
    for (int i = 0; i < 3; ++i) ::pthread_create(&id, nullptr, CountForEver, &counts[i]);
  });
  for (int round = 0; round < 20; ++round) {
    {
      const Result<StoppedProcess> stopped = StoppedProcess::Stop(child.pid(), kMillisecondsMax);
      ASSERT_TRUE(stopped) << stopped.error().message;
      const uint64_t sum = counts[0] + counts[1] + counts[2];
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      EXPECT_EQ(counts[0] + counts[1] + counts[2], sum);
      EXPECT_EQ(ReadStatus(child.pid())->tracer, ::getpid());
    }
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(Grows(counts[i]));
    EXPECT_EQ(ReadStatus(child.pid())->tracer, 0);
  }
}

TEST(StoppedProcess, LosesNoSignal) {
  static const SharedCounts counts;
  ChildProcess child([] {
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
      counts[0] += static_cast<uint64_t>(info->si_value.sival_int);
    };
    ::sigaction(SIGRTMIN, &action, nullptr);
  });
  uint64_t sent = 0;
  for (int i = 1; i <= 200; ++i) {
    sigval value{};
    value.sival_int = i;
    ASSERT_EQ(::sigqueue(child.pid(), SIGRTMIN, value), 0);
    sent += static_cast<uint64_t>(i);
    ASSERT_TRUE(StoppedProcess::Stop(child.pid(), kMillisecondsMax));
  }
  for (int i = 0; i < 5000 && counts[0] != sent; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(counts[0], sent);
}

TEST(StoppedProcess, ThatWasStoppedBeforeStaysSo) {
  ChildProcess child;
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child.pid(), &status, WUNTRACED), child.pid());
  ASSERT_TRUE(StoppedProcess::Stop(child.pid(), kMillisecondsMax));
  for (int i = 0; i < 1000 && ReadStatus(child.pid())->state != 'T'; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(ReadStatus(child.pid())->state, 'T');
}

TEST(StoppedProcess, ThatIsGoneIsNotFound) {
  const Result<StoppedProcess> stopped = StoppedProcess::Stop(DeadPid(), kMillisecondsMax);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
