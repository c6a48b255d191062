// SPDX-License-Identifier: MIT
#include "criu_plugin/remote_call.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "criu_plugin/rseq_section.h"

#ifndef __x86_64__
#error "remote calls are written for x86-64 so far"
#endif

namespace holdfast {
namespace {

// linux/ptrace.h; glibc 2.36 lacks the newer ones.
constexpr int kPtraceGetSignalMask = 0x420a;
constexpr int kPtraceSetSignalMask = 0x420b;

long Ptrace(int request, pid_t task, void* address, void* data) {
  return ptrace(static_cast<__ptrace_request>(request), task, address, data);
}

// ---- x86-64 ----
constexpr unsigned char kSyscallInstruction[2] = {0x0f, 0x05};

void SetArguments(user_regs_struct& r, uint64_t address, long number, const uint64_t (&arguments)[6]) {
  r.rip = address;
  r.rax = static_cast<uint64_t>(number);
  r.orig_rax = ~0ull;  // not in a system call: nothing to restart
  r.rdi = arguments[0];
  r.rsi = arguments[1];
  r.rdx = arguments[2];
  r.r10 = arguments[3];
  r.r8 = arguments[4];
  r.r9 = arguments[5];
}
// ---- x86-64 ----

// The address of a syscall instruction in the task's vdso; 0 when there is none.
uint64_t FindSyscallInstruction(pid_t task, int memory) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/maps", task);
  FILE* maps = fopen(path, "re");
  if (maps == nullptr) return 0;
  uint64_t found = 0;
  char* line = nullptr;
  size_t capacity = 0;
  while (found == 0 && getline(&line, &capacity, maps) > 0) {
    if (strstr(line, "[vdso]") == nullptr) continue;
    char* rest = nullptr;
    const uint64_t start = strtoull(line, &rest, 16);
    const uint64_t end = strtoull(rest + 1, nullptr, 16);
    constexpr uint64_t kVdsoBytesMax = 1 << 16;
    static unsigned char code[kVdsoBytesMax];
    if (end <= start || end - start > kVdsoBytesMax) break;
    const ssize_t got = pread(memory, code, end - start, static_cast<off_t>(start));
    for (ssize_t i = 0; i + 1 < got; ++i) {
      if (code[i] == kSyscallInstruction[0] && code[i + 1] == kSyscallInstruction[1]) {
        found = start + static_cast<uint64_t>(i);
        break;
      }
    }
  }
  free(line);
  fclose(maps);
  return found;
}

}  // namespace

int WaitForTask(pid_t task, int* status) {
  for (;;) {
    const pid_t pid = wait4(task, status, __WALL, nullptr);  // inside of CRIU it is the interposer's
    if (pid >= 0) return pid;
    if (errno != EINTR) return -1;
  }
}

RemoteCall::RemoteCall(pid_t task, uint64_t syscall_address)
    : task_(task), syscall_address_(syscall_address) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", task);
  memory_ = open(path, O_RDWR | O_CLOEXEC);
  if (memory_ < 0) {
    error_ = errno;
    return;
  }
  if (syscall_address_ == 0) syscall_address_ = FindSyscallInstruction(task, memory_);
  if (syscall_address_ == 0) {
    error_ = ENOEXEC;
    return;
  }
  if (Ptrace(PTRACE_GETREGS, task, nullptr, &registers_) != 0) {
    error_ = errno;
    return;
  }
  // The kernel forgets the critical section when it sees the task outside of it, which our stepping does.
  const uint64_t rseq_area = FindRseqArea(task);
  if (rseq_area != 0 && ReadMemory(rseq_area + kRseqSectionOffset, &rseq_section_, sizeof rseq_section_)) {
    rseq_area_ = rseq_area;
  }
  // But for SIGTRAP: our single step forces one, and the kernel resets what is blocked and forced to its
  // default action (kernel/signal.c, force_sig_info_to_task). As long as it is ignored, that happens all the
  // same.
  uint64_t every_signal = ~(1ull << (SIGTRAP - 1));
  if (Ptrace(kPtraceGetSignalMask, task, reinterpret_cast<void*>(8), &signal_mask_) != 0 ||
      Ptrace(kPtraceSetSignalMask, task, reinterpret_cast<void*>(8), &every_signal) != 0) {
    error_ = errno;
    return;
  }
  active_ = true;
}

long RemoteCall::Call(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
  new_child_ = 0;
  user_regs_struct registers = registers_;
  SetArguments(registers, syscall_address_, number, {a, b, c, d, e, f});
  if (Ptrace(PTRACE_SETREGS, task_, nullptr, &registers) != 0) return -ESRCH;
  for (;;) {
    int status = 0;
    if (Ptrace(PTRACE_SINGLESTEP, task_, nullptr, nullptr) != 0 || WaitForTask(task_, &status) < 0 ||
        !WIFSTOPPED(status)) {
      active_ = false;
      return -ESRCH;
    }
    const int event = status >> 16;
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_VFORK) {
      unsigned long child = 0;
      Ptrace(PTRACE_GETEVENTMSG, task_, nullptr, &child);
      new_child_ = static_cast<pid_t>(child);
      continue;
    }
    if (event == 0 && WSTOPSIG(status) == SIGSTOP) told_to_stop_ = true;
    if (event != 0 || WSTOPSIG(status) != SIGTRAP) continue;  // a group stop in between; step on
    if (Ptrace(PTRACE_GETREGS, task_, nullptr, &registers) != 0) return -ESRCH;
    return static_cast<long>(registers.rax);
  }
}

uint64_t RemoteCall::stack_pointer() const {
  return registers_.rsp;
}

bool RemoteCall::ReadMemory(uint64_t address, void* out, uint64_t bytes) const {
  return pread(memory_, out, bytes, static_cast<off_t>(address)) == static_cast<ssize_t>(bytes);
}

bool RemoteCall::WriteMemory(uint64_t address, const void* in, uint64_t bytes) const {
  return pwrite(memory_, in, bytes, static_cast<off_t>(address)) == static_cast<ssize_t>(bytes);
}

void RemoteCall::ParkInPause() {
  SetArguments(registers_, syscall_address_, SYS_pause, {0, 0, 0, 0, 0, 0});
  signal_mask_ = ~0ull;
  rseq_area_ = 0;
}

void RemoteCall::End() {
  if (active_) {
    active_ = false;
    Ptrace(PTRACE_SETREGS, task_, nullptr, &registers_);
    if (rseq_area_ != 0 && rseq_section_ != 0) {
      WriteMemory(rseq_area_ + kRseqSectionOffset, &rseq_section_, sizeof rseq_section_);
    }
    Ptrace(kPtraceSetSignalMask, task_, reinterpret_cast<void*>(8), &signal_mask_);
    // It met our steps, which went on; the task is to meet it.
    if (told_to_stop_) kill(task_, SIGSTOP);
  }
  if (memory_ >= 0) close(memory_);
  memory_ = -1;
}

}  // namespace holdfast
