// A process whose threads do thirty kinds of things to their memory, at random, for as long as it lives. What
// it does follows from the seed; when, does not.
#pragma once

#include <fcntl.h>
#include <pthread.h>
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

class RestlessMemory {
 public:
  static constexpr int kOperations = 30;
  static constexpr int kThreads = 3;
  static constexpr uint64_t kBytes = 40ull << 20;

  // Starts it. `directory`: for two files that it maps and reads.
  RestlessMemory(uint64_t seed, const std::string& directory) : seed_(seed) {
    file_ = MakeFile(directory + "/restless", 64);
    start_ = reinterpret_cast<uint64_t>(
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    counts_ = static_cast<uint64_t*>(
        mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ == 0) Live(parent);
  }
  RestlessMemory(const RestlessMemory&) = delete;
  RestlessMemory& operator=(const RestlessMemory&) = delete;
  ~RestlessMemory() {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
    }
    munmap(reinterpret_cast<void*>(start_), kBytes);
    munmap(counts_, kPageBytes);
    close(file_);
  }

  pid_t pid() const { return pid_; }
  // How often each kind of operation has been done.
  uint64_t count(int operation) const { return __atomic_load_n(counts_ + operation, __ATOMIC_RELAXED); }

 private:
  struct Thread {
    const RestlessMemory* memory;
    uint64_t state;
    uint64_t Next() {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      return state;
    }
    uint64_t Below(uint64_t limit) { return Next() % limit; }
  };
  struct Range {
    uint64_t start;
    uint64_t bytes;
    void* address() const { return reinterpret_cast<void*>(start); }
  };

  static int MakeFile(const std::string& path, int pages) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    std::array<char, kPageBytes> page{};
    for (int i = 0; i < pages; ++i) {
      for (size_t j = 0; j < page.size(); ++j)
        page[j] = static_cast<char>(i * 31 + static_cast<int>(j) * 7 + 1);
      if (write(fd, page.data(), page.size()) < 0) _exit(1);
    }
    return fd;
  }

  static inline thread_local sigjmp_buf back_;
  static inline thread_local uint64_t done_ = 0;  // of a child; outlives a jump
  static void OnFault(int) { siglongjmp(back_, 1); }

  [[noreturn]] void Live(pid_t parent) const {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    struct sigaction action {};
    action.sa_handler = OnFault;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
    std::array<Thread, kThreads> threads{};
    for (size_t i = 0; i < threads.size(); ++i) threads[i] = {this, seed_ * 7919 + i * 104'729 + 1};
    for (size_t i = 1; i < threads.size(); ++i) {
      pthread_t id{};
      pthread_create(&id, nullptr, Work, &threads[i]);
    }
    Work(&threads[0]);
    _exit(1);
  }

  static void* Work(void* argument) {
    Thread& thread = *static_cast<Thread*>(argument);
    for (;;) {
      if (sigsetjmp(back_, 1) != 0) continue;
      const int operation = static_cast<int>(thread.Below(kOperations));
      thread.memory->Do(operation, thread);
      __atomic_add_fetch(thread.memory->counts_ + operation, 1, __ATOMIC_RELAXED);
    }
  }

  // Mostly small, sometimes a whole huge page.
  Range Choose(Thread& thread) const {
    constexpr uint64_t kHugeBytes = 2ull << 20;
    const uint64_t pages = kBytes / kPageBytes;
    if (thread.Below(6) == 0) {
      const uint64_t at = (start_ + thread.Below(kBytes - 2 * kHugeBytes) + kHugeBytes) & ~(kHugeBytes - 1);
      return {at, kHugeBytes};
    }
    const uint64_t first = thread.Below(pages);
    const uint64_t wanted = 1 + thread.Below(thread.Below(8) != 0 ? 40 : 700);
    return {start_ + first * kPageBytes, std::min(wanted, pages - first) * kPageBytes};
  }

  static void WriteTo(uint64_t page, Thread& thread) {
    *reinterpret_cast<volatile uint64_t*>(page + thread.Below(512) * 8) = thread.Next();
  }

  void Do(int operation, Thread& thread) const {
    const Range range = Choose(thread);
    const Range other = Choose(thread);
    const bool fits = other.start + range.bytes <= start_ + kBytes;
    constexpr int kWritable = PROT_READ | PROT_WRITE;
    constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    switch (operation) {
      case 0:
      case 1:
        for (uint64_t at = 0; at < range.bytes; at += kPageBytes) {
          if (thread.Below(3) != 0) WriteTo(range.start + at, thread);
        }
        break;
      case 2:
        WriteTo(range.start, thread);
        break;
      case 3:  // by the kernel
        if (pread(file_, range.address(), range.bytes, 0) < 0) break;
        break;
      case 4: {
        uint64_t words[8];
        for (uint64_t& word : words) word = thread.Next();
        iovec from{words, sizeof words};
        iovec to{reinterpret_cast<void*>(range.start + thread.Below(4000)), sizeof words};
        process_vm_writev(getpid(), &from, 1, &to, 1, 0);
        break;
      }
      case 5:
        munmap(range.address(), range.bytes);
        break;
      case 6:
        mmap(range.address(), range.bytes, kWritable, kAnonymous, -1, 0);
        break;
      case 7:
        mmap(range.address(), range.bytes, kWritable, MAP_PRIVATE | MAP_FIXED, file_,
             static_cast<off_t>(thread.Below(32) * kPageBytes));
        break;
      case 8:
        if (fits)
          mremap(range.address(), range.bytes, range.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, other.address());
        break;
      case 9:
        mremap(range.address(), range.bytes, std::max(range.bytes / 2 & ~(kPageBytes - 1), kPageBytes), 0);
        break;
      case 10: {
        const uint64_t bytes = range.bytes + thread.Below(64) * kPageBytes;
        if (other.start + bytes > start_ + kBytes) break;
        mremap(range.address(), range.bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, other.address());
        break;
      }
      case 11: {
        constexpr int kDontUnmap = 4;  // MREMAP_DONTUNMAP
        if (!fits) break;
        mremap(range.address(), range.bytes, range.bytes, MREMAP_MAYMOVE | MREMAP_FIXED | kDontUnmap,
               other.address());
        break;
      }
      case 12:
        madvise(range.address(), range.bytes, MADV_DONTNEED);
        break;
      case 13:
        madvise(range.address(), range.bytes, MADV_FREE);
        break;
      case 14:
        madvise(range.address(), range.bytes, MADV_HUGEPAGE);
        break;
      case 15:
        madvise(range.address(), range.bytes, MADV_NOHUGEPAGE);
        break;
      case 16:
        madvise(range.address(), range.bytes, 25);  // MADV_COLLAPSE
        break;
      case 17:
        madvise(range.address(), range.bytes, 21);  // MADV_PAGEOUT
        break;
      case 18:
        madvise(range.address(), range.bytes, 20);  // MADV_COLD
        break;
      case 19:
        mprotect(range.address(), range.bytes, thread.Below(2) != 0 ? PROT_READ : PROT_NONE);
        break;
      case 20:
        mprotect(range.address(), range.bytes, kWritable);
        break;
      case 21:
        MoveBreak(thread);
        break;
      case 22:
        Fork(thread);
        break;
      case 23:
        if (thread.Below(4) == 0) mlock(range.address(), range.bytes);
        break;
      case 24:
        munlock(range.address(), range.bytes);
        break;
      case 25:
        madvise(range.address(), range.bytes, MADV_DONTFORK);
        break;
      case 26:
        madvise(range.address(), range.bytes, MADV_DOFORK);
        break;
      case 27:
        for (uint64_t at = 0; at < range.bytes; at += kPageBytes) {
          static_cast<void>(*reinterpret_cast<volatile uint64_t*>(range.start + at));
        }
        break;
      case 28:
        madvise(range.address(), range.bytes, thread.Below(2) != 0 ? MADV_MERGEABLE : MADV_UNMERGEABLE);
        break;
      case 29:
        madvise(range.address(), range.bytes, thread.Below(2) != 0 ? 22 : 23);  // MADV_POPULATE_READ, _WRITE
        break;
      default:
        break;
    }
  }

  static void MoveBreak(Thread& thread) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static char* first = nullptr;
    constexpr intptr_t kMost = 6 << 20;
    pthread_mutex_lock(&mutex);
    if (first == nullptr) first = static_cast<char*>(sbrk(0));
    const intptr_t step =
        (static_cast<intptr_t>(thread.Below(200)) - 100) * static_cast<intptr_t>(kPageBytes);
    const intptr_t now = static_cast<char*>(sbrk(0)) - first;
    if (now + step > 0 && now + step < kMost) sbrk(step);
    const auto end = reinterpret_cast<uint64_t>(sbrk(0)) - kPageBytes;
    for (uint64_t at = reinterpret_cast<uint64_t>(first); at < end; at += kPageBytes) {
      if (thread.Below(4) == 0) *reinterpret_cast<volatile uint64_t*>((at + 8) & ~7ull) = thread.Next();
    }
    pthread_mutex_unlock(&mutex);
  }

  // A child that writes to what it shares with its parent, and goes at some time.
  void Fork(Thread& thread) const {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (thread.Below(16) != 0) return;
    const pid_t child = fork();
    if (child != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    constexpr uint64_t kWrites = 200;
    done_ = 0;
    while (done_ < kWrites) {
      ++done_;
      if (sigsetjmp(back_, 1) == 0) WriteTo(start_ + thread.Below(kBytes / kPageBytes) * kPageBytes, thread);
    }
    usleep(static_cast<useconds_t>(thread.Below(30'000)));
    _exit(0);
  }

  uint64_t seed_;
  uint64_t start_ = 0;
  uint64_t* counts_ = nullptr;
  int file_ = -1;
  pid_t pid_ = -1;
};

}  // namespace holdfast
