// SPDX-License-Identifier: MIT
#include "criu_plugin/event_semaphore.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace holdfast {
namespace {

// In the upper half of the 32 bits that CRIU gives to eventfd(2): no counter is about there by chance.
constexpr unsigned kMark = 0x5ea50000;
constexpr unsigned kMarkMask = 0xffff0000;
constexpr size_t kTextBytesMax = 1024;

}  // namespace

int MarkSemaphore(int fd) {
  char text[kTextBytesMax];
  const ssize_t length = pread(fd, text, sizeof text - 1, 0);
  if (length <= 0) return fd;
  text[length] = 0;
  constexpr const char* kCount = "\neventfd-count:";
  char* const count_line = strstr(text, kCount);
  if (count_line == nullptr || strstr(text, "\neventfd-semaphore: 1") == nullptr) return fd;
  char* rest = nullptr;
  const unsigned long long count = strtoull(count_line + strlen(kCount), &rest, 16);
  if ((count & ~static_cast<unsigned long long>(~kMarkMask)) != 0) return fd;
  const int marked = memfd_create("holdfast-fdinfo", MFD_CLOEXEC);
  if (marked < 0) return fd;
  *count_line = 0;
  const int written = dprintf(marked, "%s%s %llx%s", text, kCount, count | kMark, rest);
  if (written <= 0 || lseek(marked, 0, SEEK_SET) != 0) {
    close(marked);
    return fd;
  }
  close(fd);
  return marked;
}

bool TakeSemaphoreMark(unsigned& count) {
  if ((count & kMarkMask) != kMark) return false;
  count &= ~kMarkMask;
  return true;
}

}  // namespace holdfast
