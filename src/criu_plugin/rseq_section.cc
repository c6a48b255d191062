// SPDX-License-Identifier: MIT
#include "criu_plugin/rseq_section.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <unistd.h>

#include <cstdio>

#include "criu_plugin/threads.h"

#ifndef __x86_64__
#error "where a thread stands is read for x86-64 so far"
#endif

namespace holdfast {
namespace {

constexpr int kPtraceGetRseqConfiguration = 0x420f;  // linux/ptrace.h; glibc 2.36 lacks it

struct RseqConfiguration {
  uint64_t address;
  uint32_t size;
  uint32_t signature;
  uint32_t flags;
  uint32_t pad;
};

// struct rseq_cs, linux/rseq.h.
struct CriticalSection {
  uint32_t version;
  uint32_t flags;
  uint64_t start;
  uint64_t bytes;  // from the start to what commits it
  uint64_t abort;
};
static_assert(sizeof(CriticalSection) == 32);

bool Read(int memory, uint64_t address, void* out, size_t bytes) {
  return pread(memory, out, bytes, static_cast<off_t>(address)) == static_cast<ssize_t>(bytes);
}

void AbortIn(pid_t thread, int memory) {
  const uint64_t area = FindRseqArea(thread);
  uint64_t pointer = 0;
  CriticalSection section{};
  user_regs_struct registers{};
  if (area == 0 || !Read(memory, area + kRseqSectionOffset, &pointer, sizeof pointer) || pointer == 0 ||
      !Read(memory, pointer, &section, sizeof section) ||
      ptrace(PTRACE_GETREGS, thread, nullptr, &registers) != 0 ||
      registers.rip - section.start >= section.bytes) {
    return;
  }
  registers.rip = section.abort;
  if (ptrace(PTRACE_SETREGS, thread, nullptr, &registers) != 0) return;
  const uint64_t none = 0;
  if (pwrite(memory, &none, sizeof none, static_cast<off_t>(area + kRseqSectionOffset)) < 0) return;
}

}  // namespace

uint64_t FindRseqArea(pid_t thread) {
  RseqConfiguration rseq{};
  const long got = ptrace(static_cast<__ptrace_request>(kPtraceGetRseqConfiguration), thread,
                          reinterpret_cast<void*>(sizeof rseq), &rseq);
  return got > 0 ? rseq.address : 0;
}

void AbortRseqSections(pid_t task) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", task);
  const int memory = open(path, O_RDWR | O_CLOEXEC);
  if (memory < 0) return;
  ForEachThread(task, [memory](pid_t thread) { AbortIn(thread, memory); });
  close(memory);
}

}  // namespace holdfast
