// System calls made in a stopped task: the kernel's answer comes back, and the task goes on as if nothing had
// been.
#include "criu_plugin/remote_call.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>

#include "criu_plugin/rseq_section.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

// ptrace takes numbers as pointers.
void* AsPointer(uint64_t number) {
  return reinterpret_cast<void*>(number);  // NOLINT(performance-no-int-to-ptr)
}

// A child that we trace and that stands still.
class TracedTask {
 public:
  explicit TracedTask(
      const std::function<void()>& body = [] {}, unsigned long options = 0)
      : child_(body) {
    seized_ = ::ptrace(PTRACE_SEIZE, pid(), nullptr, AsPointer(options)) == 0;
    if (!seized_) return;
    Stop();
  }
  pid_t pid() const { return child_.pid(); }
  bool seized() const { return seized_; }
  ChildProcess& child() { return child_; }
  void Stop() const {
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, pid(), nullptr, nullptr), 0);
    int status = 0;
    ASSERT_EQ(WaitForTask(pid(), &status), pid());
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  void LetGo() const { ASSERT_EQ(::ptrace(PTRACE_DETACH, pid(), nullptr, nullptr), 0); }

  user_regs_struct Registers() const {
    user_regs_struct registers{};
    EXPECT_EQ(::ptrace(PTRACE_GETREGS, pid(), nullptr, &registers), 0);
    return registers;
  }
  uint64_t SignalMask() const {
    constexpr auto kGetSignalMask = static_cast<__ptrace_request>(0x420a);
    uint64_t mask = 0;
    EXPECT_EQ(::ptrace(kGetSignalMask, pid(), AsPointer(sizeof mask), &mask), 0);
    return mask;
  }
  // A line of /proc/PID/status that is a number in hexadecimal.
  uint64_t StatusMask(const std::string& key) const {
    std::ifstream status("/proc/" + std::to_string(pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1), nullptr, 16);
    }
    ADD_FAILURE() << "no " << key;
    return 0;
  }

 private:
  ChildProcess child_;
  bool seized_ = false;
};

constexpr uint64_t Bit(int signal) {
  return 1ull << (signal - 1);
}

TEST(RemoteCall, GivesTheKernelsAnswer) {
  const TracedTask task;
  RemoteCall call(task.pid());
  ASSERT_EQ(call.error(), 0);
  EXPECT_NE(call.syscall_address(), 0U);
  EXPECT_EQ(call.Call(SYS_getpid), task.pid());
  EXPECT_EQ(call.Call(SYS_getppid), ::getpid());
  EXPECT_EQ(call.Call(SYS_close, static_cast<uint64_t>(-1)), -EBADF);
  EXPECT_EQ(call.Call(SYS_getpid), task.pid());
}

TEST(RemoteCall, PassesAllSixArguments) {
  const TracedTask task;
  RemoteCall call(task.pid());
  const long address = call.Call(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                 static_cast<uint64_t>(-1), 0);
  ASSERT_GT(address, 0);
  const char text[] = "written from outside";
  char read[sizeof text] = {};
  EXPECT_TRUE(call.WriteMemory(static_cast<uint64_t>(address) + 100, text, sizeof text));
  EXPECT_TRUE(call.ReadMemory(static_cast<uint64_t>(address) + 100, read, sizeof read));
  EXPECT_STREQ(read, text);
  EXPECT_EQ(call.Call(SYS_munmap, static_cast<uint64_t>(address), 8192), 0);
  EXPECT_FALSE(call.ReadMemory(static_cast<uint64_t>(address), read, sizeof read));
}

TEST(RemoteCall, RegistersAndSignalMaskAreAsBefore) {
  const TracedTask task([] {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  });
  const user_regs_struct before = task.Registers();
  {
    RemoteCall call(task.pid());
    ASSERT_EQ(call.Call(SYS_getpid), task.pid());
    ASSERT_EQ(call.Call(SYS_close, static_cast<uint64_t>(-1)), -EBADF);
  }
  const user_regs_struct after = task.Registers();
  EXPECT_EQ(std::memcmp(&before, &after, sizeof before), 0);
  EXPECT_EQ(task.SignalMask(), Bit(SIGUSR2));
}

TEST(RemoteCall, EndMayComeTwiceAndTheTaskMayBeCalledAgain) {
  const TracedTask task;
  RemoteCall first(task.pid());
  ASSERT_EQ(first.Call(SYS_getpid), task.pid());
  first.End();
  first.End();
  RemoteCall second(task.pid(), first.syscall_address());
  EXPECT_EQ(second.error(), 0);
  EXPECT_EQ(second.Call(SYS_getpid), task.pid());
}

TEST(RemoteCall, ASignalThatCameMeanwhileIsStillDelivered) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  static int write_to = -1;
  write_to = ends[1];
  const TracedTask task([] {
    ::signal(SIGUSR1, [](int) {
      const char byte = 'u';
      if (::write(write_to, &byte, 1) != 1) ::_exit(1);
    });
  });
  ::close(ends[1]);
  ASSERT_EQ(::kill(task.pid(), SIGUSR1), 0);
  {
    RemoteCall call(task.pid());
    EXPECT_EQ(call.Call(SYS_getpid), task.pid());
  }
  task.LetGo();
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'u');
  ::close(ends[0]);
}

// The kernel reports a single step by a forced SIGTRAP, which takes the handler away where the signal is
// blocked or ignored.
TEST(RemoteCall, AHandlerForTheTrapSignalStays) {
  const TracedTask task([] { ::signal(SIGTRAP, [](int) {}); });
  ASSERT_NE(task.StatusMask("SigCgt") & Bit(SIGTRAP), 0U);
  {
    RemoteCall call(task.pid());
    EXPECT_EQ(call.Call(SYS_getpid), task.pid());
  }
  EXPECT_NE(task.StatusMask("SigCgt") & Bit(SIGTRAP), 0U);
}

// A task stopped in a system call that the kernel restarts, with errno that a failing call must not touch.
TEST(RemoteCall, ABlockedSystemCallGoesOnAndErrnoIsTheTasks) {
  int question[2];
  int answer[2];
  ASSERT_EQ(::pipe(question), 0);
  ASSERT_EQ(::pipe(answer), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    errno = 77;
    char byte = 'r';
    if (::write(answer[1], &byte, 1) != 1) ::_exit(1);
    const ssize_t got = ::read(question[0], &byte, 1);
    const char result = got != 1 ? '1' : byte != 'q' ? '2' : errno != 77 ? '3' : '0';
    ::_exit(::write(answer[1], &result, 1) == 1 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(answer[0], &byte, 1), 1);
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0);
  int status = 0;
  ASSERT_EQ(WaitForTask(pid, &status), pid);
  {
    RemoteCall call(pid);
    EXPECT_EQ(call.Call(SYS_getpid), pid);
    EXPECT_EQ(call.Call(SYS_close, static_cast<uint64_t>(-1)), -EBADF);
  }
  ASSERT_EQ(::ptrace(PTRACE_DETACH, pid, nullptr, nullptr), 0);
  ASSERT_EQ(::write(question[1], "q", 1), 1);
  EXPECT_EQ(::read(answer[0], &byte, 1), 1);
  EXPECT_EQ(byte, '0') << "1: the read failed, 2: wrong byte, 3: errno changed";
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  for (const int fd : {question[0], question[1], answer[0], answer[1]}) ::close(fd);
}

TEST(RemoteCall, ASeccompFilterOfTheTaskDoesNotStandInTheWay) {
  const TracedTask task(
      [] {
        sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 1),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        const sock_fprog program{sizeof filter / sizeof filter[0], filter};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
          ::_exit(1);
        }
      },
      PTRACE_O_SUSPEND_SECCOMP);
  if (!task.seized()) GTEST_SKIP() << "seccomp cannot be suspended here: " << std::strerror(errno);
  RemoteCall call(task.pid());
  ASSERT_EQ(call.error(), 0);
  EXPECT_EQ(call.Call(SYS_getpid), task.pid());
}

TEST(RemoteCall, ATaskThatDiesInTheMiddleIsNoSuchProcess) {
  TracedTask task;
  const pid_t killer = ::fork();
  if (killer == 0) {
    ::usleep(20'000);  // until the call is under way; before it would do, too
    ::_exit(::kill(task.pid(), SIGKILL));
  }
  {
    RemoteCall call(task.pid());
    ASSERT_EQ(call.error(), 0);
    EXPECT_EQ(call.Call(SYS_pause), -ESRCH);
    EXPECT_EQ(call.Call(SYS_getpid), -ESRCH);
  }
  task.child().Forget();  // the tracer, which we are, has collected it
  int status = 0;
  EXPECT_EQ(::waitpid(killer, &status, 0), killer);
  EXPECT_EQ(status, 0);
}

TEST(RemoteCall, ATaskThatIsNotStoppedIsAnErrorAndStaysAsItIs) {
  const ChildProcess child;  // not even traced
  const RemoteCall call(child.pid());
  EXPECT_NE(call.error(), 0);
  const RemoteCall nobody(DeadPid());
  EXPECT_NE(nobody.error(), 0);
}

TEST(RemoteCall, AClonedChildIsToldAndStandsStill) {
  const TracedTask task([] {}, PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK);
  RemoteCall call(task.pid());
  const long child = call.Call(SYS_clone, 0, 0, 0, 0, 0);  // no exit signal
  ASSERT_GT(child, 0);
  EXPECT_EQ(call.new_child(), child);
  int status = 0;
  ASSERT_EQ(WaitForTask(static_cast<pid_t>(child), &status), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  ::kill(static_cast<pid_t>(child), SIGKILL);
  while (WaitForTask(static_cast<pid_t>(child), &status) > 0 && WIFSTOPPED(status)) {
  }
  EXPECT_EQ(call.Call(SYS_wait4, static_cast<uint64_t>(child), 0, WNOHANG | __WALL, 0), child);
  EXPECT_EQ(call.new_child(), 0);
}

TEST(RemoteCall, AStopThatComesInBetweenIsNotLost) {
  const TracedTask task;
  {
    RemoteCall call(task.pid());
    ASSERT_EQ(::kill(task.pid(), SIGSTOP), 0);
    EXPECT_EQ(call.Call(SYS_getpid), task.pid());
    EXPECT_EQ(call.Call(SYS_getpid), task.pid());
  }
  task.LetGo();
  int status = 0;
  ASSERT_EQ(::waitpid(task.pid(), &status, WUNTRACED), task.pid());
  EXPECT_TRUE(WIFSTOPPED(status));
}

TEST(RemoteCall, AParkedTaskHearsNoSignal) {
  const TracedTask task;
  {
    RemoteCall call(task.pid());
    call.ParkInPause();
  }
  EXPECT_EQ(task.SignalMask() | Bit(SIGKILL) | Bit(SIGSTOP), ~0ull);
  task.LetGo();
  ASSERT_EQ(::kill(task.pid(), SIGTERM), 0);
  EXPECT_NE(task.StatusMask("ShdPnd") & Bit(SIGTERM), 0U);
}

// struct rseq_cs of linux/rseq.h, for a section that the task is not in.
constexpr uint32_t kRseqSignature = 0x53053053;  // glibc's, x86-64
alignas(32) const struct {
  uint32_t signature_before_abort = kRseqSignature;
  uint32_t abort = 0;
} abort_code;
alignas(32) struct {
  uint32_t version = 0;
  uint32_t flags = 0;
  uint64_t start = 0;
  uint64_t bytes = 0;
  uint64_t abort = 0;
} section;

TEST(RemoteCall, TheNoteOfARestartableSequenceIsPutBack) {
  section.start = reinterpret_cast<uint64_t>(&abort_code);
  section.bytes = 1;
  section.abort = reinterpret_cast<uint64_t>(&abort_code.abort);
  const TracedTask task;
  const uint64_t area = FindRseqArea(task.pid());
  if (area == 0) GTEST_SKIP() << "the C library registers no rseq area";
  const auto wanted = reinterpret_cast<uint64_t>(&section);
  RemoteCall call(task.pid());
  ASSERT_EQ(call.error(), 0);
  call.End();
  ASSERT_EQ(::ptrace(PTRACE_POKEDATA, task.pid(), AsPointer(area + kRseqSectionOffset), AsPointer(wanted)),
            0);
  {
    RemoteCall again(task.pid());
    EXPECT_EQ(again.Call(SYS_getpid), task.pid());
  }
  errno = 0;
  const long found = ::ptrace(PTRACE_PEEKDATA, task.pid(), AsPointer(area + kRseqSectionOffset), nullptr);
  EXPECT_EQ(errno, 0);
  EXPECT_EQ(static_cast<uint64_t>(found), wanted);
}

}  // namespace
}  // namespace holdfast
