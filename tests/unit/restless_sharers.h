// Processes that share one object of anonymous memory and do to it, and to their mappings of it, what one can
// do, at random, for as long as they live. What they do follows from the seed; when, does not.
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/page.h"

namespace holdfast {

class RestlessSharers {
 public:
  static constexpr int kOperations = 16;
  static constexpr int kProcesses = 3;
  static constexpr uint64_t kBytes = 12ull << 20;
  static constexpr uint64_t kPages = kBytes / kPageBytes;
  static constexpr uint64_t kKeptPages = 16;  // of the first mapping, never unmapped: from it others are made

  // `directory`: for a file that they read from.
  RestlessSharers(uint64_t seed, const std::string& directory) : seed_(seed) {
    file_ = open((directory + "/restless").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    std::array<char, kPageBytes> page{};
    for (int i = 0; i < 64; ++i) {
      page.fill(static_cast<char>(i + 1));
      if (write(file_, page.data(), page.size()) < 0) _exit(1);
    }
    // Nothing lies beside them, so that they may grow.
    void* room = mmap(nullptr, 4 * kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    first_ = reinterpret_cast<uint64_t>(room);
    second_ = first_ + 2 * kBytes;
    counts_ = static_cast<uint64_t*>(
        mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) Live(parent);
  }
  RestlessSharers(const RestlessSharers&) = delete;
  RestlessSharers& operator=(const RestlessSharers&) = delete;
  ~RestlessSharers() {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
    }
    munmap(reinterpret_cast<void*>(first_), 4 * kBytes);
    munmap(counts_, kPageBytes);
    close(file_);
  }

  pid_t pid() const { return pid_; }
  uint64_t address() const { return first_; }
  // How often each kind of operation has been done.
  uint64_t count(int operation) const { return __atomic_load_n(counts_ + operation, __ATOMIC_RELAXED); }

 private:
  struct Chance {
    uint64_t state;
    uint64_t Next() {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      return state;
    }
    uint64_t Below(uint64_t limit) { return Next() % limit; }
  };
  static inline sigjmp_buf back_;
  static inline uint64_t done_ = 0;  // of a child; outlives a jump
  static void OnFault(int) { siglongjmp(back_, 1); }
  static void* At(uint64_t address) { return reinterpret_cast<void*>(address); }

  [[noreturn]] void Live(pid_t parent) const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct sigaction action {};
    action.sa_handler = OnFault;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    munmap(At(first_), 4 * kBytes);
    mmap(At(first_), kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    int number = 0;
    for (int i = 1; i < kProcesses && number == 0; ++i) {
      if (fork() == 0) number = i;
    }
    if (number != 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    Chance chance{seed_ * 7919 + static_cast<uint64_t>(number) * 104'729 + 1};
    for (;;) {
      if (sigsetjmp(back_, 1) != 0) continue;
      const int operation = Choose(chance);
      __atomic_add_fetch(counts_ + operation, 1, __ATOMIC_RELAXED);
      Do(operation, chance);
      if (chance.Below(4) == 0) usleep(static_cast<useconds_t>(chance.Below(300)));
    }
  }

  // Mostly those after which marks still tell everything.
  static int Choose(Chance& chance) {
    if (chance.Below(4000) == 0) return 8 + static_cast<int>(chance.Below(kOperations - 8));
    return static_cast<int>(chance.Below(8));
  }

  static void WriteTo(uint64_t page, Chance& chance) {
    *reinterpret_cast<volatile uint64_t*>(page + chance.Below(512) * 8) = chance.Next();
  }

  void Do(int operation, Chance& chance) const {
    const uint64_t base = chance.Below(4) == 0 ? second_ : first_;
    const uint64_t page = chance.Below(kPages);
    const uint64_t pages = std::min(1 + chance.Below(chance.Below(8) != 0 ? 20 : 600), kPages - page);
    const uint64_t start = base + page * kPageBytes;
    const uint64_t bytes = pages * kPageBytes;
    const uint64_t movable = std::max(page, kKeptPages);  // as above, but what must be kept is left alone
    const uint64_t tail = first_ + movable * kPageBytes;
    switch (operation) {
      case 0:
        for (uint64_t at = 0; at < bytes; at += kPageBytes) WriteTo(start + at, chance);
        break;
      case 1:
        WriteTo(start, chance);
        break;
      case 2:
        for (uint64_t at = 0; at < bytes; at += kPageBytes) {
          static_cast<void>(*reinterpret_cast<volatile uint64_t*>(start + at));
        }
        break;
      case 3:  // by the kernel
        if (pread(file_, At(start), std::min<uint64_t>(bytes, 64 * kPageBytes), 0) < 0) break;
        break;
      case 4: {  // into another process
        uint64_t words[8];
        for (uint64_t& word : words) word = chance.Next();
        iovec from{words, sizeof words};
        iovec to{At(start + chance.Below(4000)), sizeof words};
        process_vm_writev(getppid(), &from, 1, &to, 1, 0);
        break;
      }
      case 5:
        madvise(At(start), bytes, chance.Below(2) != 0 ? 21 : 20);  // MADV_PAGEOUT, MADV_COLD
        break;
      case 6:
        mprotect(At(start), bytes, PROT_READ);
        WriteOrNot(start, chance);
        mprotect(At(base), kBytes, PROT_READ | PROT_WRITE);
        break;
      case 7:
        madvise(At(start), bytes, chance.Below(2) != 0 ? MADV_DONTNEED : 23);  // MADV_POPULATE_WRITE
        break;
      case 8:
        madvise(At(start), bytes, MADV_REMOVE);
        if (chance.Below(2) != 0) static_cast<void>(*reinterpret_cast<volatile uint64_t*>(start));
        break;
      case 9: {
        const uint64_t from = chance.Below(2) != 0 ? tail : first_ + kKeptPages * kPageBytes;
        munmap(At(from), first_ + kBytes - from);
        break;
      }
      case 10: {  // a second mapping of it all, for a moment or for longer
        const bool stays = chance.Below(2) != 0;
        const uint64_t place = stays ? second_ : second_ + kBytes;
        mremap(At(first_), 0, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, At(place));
        WriteTo(place + page * kPageBytes, chance);
        if (!stays) munmap(At(place), kBytes);
        break;
      }
      case 11:
        munmap(At(second_), kBytes);
        break;
      case 12:  // grows back
        mremap(At(first_), kKeptPages * kPageBytes, kBytes, 0);
        WriteOrNot(start, chance);
        break;
      case 13:  // grows, is written to where it has grown, and shrinks again
        if (mremap(At(first_), kKeptPages * kPageBytes, kBytes, 0) == MAP_FAILED) break;
        WriteTo(tail, chance);
        mremap(At(first_), kBytes, kKeptPages * kPageBytes, 0);
        break;
      case 14:
        Fork(chance, false);
        break;
      case 15:
        Fork(chance, true);
        break;
      default:
        break;
    }
  }

  static void WriteOrNot(uint64_t page, Chance& chance) {
    if (chance.Below(2) != 0) WriteTo(page, chance);
  }

  // A child, or an orphan, that writes to what it shares, and is gone soon.
  void Fork(Chance& chance, bool orphan) const {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (fork() != 0) return;
    if (orphan && fork() != 0) _exit(0);
    constexpr uint64_t kWrites = 20;
    chance.state += static_cast<uint64_t>(getpid());
    done_ = 0;
    while (done_ < kWrites) {
      ++done_;
      if (sigsetjmp(back_, 1) == 0) WriteTo(first_ + chance.Below(kPages) * kPageBytes, chance);
    }
    if (chance.Below(4) == 0) usleep(static_cast<useconds_t>(chance.Below(10'000)));
    _exit(0);
  }

  uint64_t seed_;
  uint64_t first_ = 0;
  uint64_t second_ = 0;
  uint64_t* counts_ = nullptr;
  int file_ = -1;
  pid_t pid_ = -1;
};

}  // namespace holdfast
