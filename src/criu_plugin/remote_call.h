// SPDX-License-Identifier: MIT
// System calls made in a task that is stopped under ptrace, by single-stepping the vdso's own syscall
// instruction: no memory of the task is written, and every register, the signal mask and the rseq pointer are
// put back.
//
// x86-64 only for now; what depends on it is in remote_call.cc between the two markers.
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>

namespace holdfast {

class RemoteCall {
 public:
  // Requires: `task` is in ptrace-stop and we are its tracer. Blocks all its signals until End or the
  // destructor. `syscall_address`: of a syscall instruction in the task, when known (a twin has its
  // parent's), else 0.
  explicit RemoteCall(pid_t task, uint64_t syscall_address = 0);
  RemoteCall(const RemoteCall&) = delete;
  RemoteCall& operator=(const RemoteCall&) = delete;
  ~RemoteCall() { End(); }

  // 0 when ready, else the errno of what failed; Call must not be used then.
  int error() const { return error_; }
  pid_t task() const { return task_; }
  uint64_t syscall_address() const { return syscall_address_; }

  // The kernel's return value (-errno for errors). -ESRCH when the task died, which is no fault of ours.
  // A child made by a traced clone is left stopped under us; its pid is then new_child().
  long Call(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0, uint64_t e = 0,
            uint64_t f = 0);
  pid_t new_child() const { return new_child_; }

  uint64_t stack_pointer() const;
  bool ReadMemory(uint64_t address, void* out, uint64_t bytes) const;
  bool WriteMemory(uint64_t address, const void* in, uint64_t bytes) const;

  // Leaves the task, when it is let go, in pause() with every signal blocked, instead of where it was.
  void ParkInPause();
  // Puts back what the constructor found. Idempotent; does nothing for a task that is dead.
  void End();

 private:
  pid_t task_;
  int memory_ = -1;  // /proc/PID/mem
  int error_ = 0;
  bool active_ = false;
  bool told_to_stop_ = false;  // by a SIGSTOP that nothing can block
  uint64_t syscall_address_ = 0;
  uint64_t signal_mask_ = 0;
  uint64_t rseq_area_ = 0;
  uint64_t rseq_section_ = 0;
  pid_t new_child_ = 0;
  user_regs_struct registers_{};
};

// Waits for the next stop or end of `task`, ours to trace. The wait status, or -1 with errno.
int WaitForTask(pid_t task, int* status);

}  // namespace holdfast
