// SPDX-License-Identifier: MIT
// Preloaded into CRIU: answers a few of its questions to the kernel differently.
//
// - PAGEMAP_SCAN on another process: no pages, so that CRIU leaves private memory to the engine.
// - lseek(SEEK_DATA) on shared memory: no data, for the same reason. SysV segments are CRIU's: it dumps them
// with
//   their IPC namespace, from a mapping of its own that goes through the same call.
// - smaps: made by the engine from maps and flags read before the freeze; the kernel's own walks every page
// table.
// - prlimit of another user's task without CAP_SYS_RESOURCE: from /proc/PID/limits.
// - PTRACE_SEIZE, PTRACE_INTERRUPT of a thread that stop_tree.cc has stopped: done already.
// - /run/criu.kdat*, CRIU's cache of kernel features: in the directory that the engine names, which is a
// tmpfs.
// - bind to the path of a Unix socket, and the removal of what is there before: see private_sockets.h.
// - eventfd, and /proc/PID/fdinfo before it: see event_semaphore.h.
// - nanosleep between looks at a cgroup that is being frozen: less long at first.
// - unshare of a network namespace: with loopback up, where the engine wants it (loopback.h).
// - wait4 for a process that is dead but for threads which nobody has waited for: waits for those, too.
// - SO_PASSCRED, SO_PASSSEC on sockets that are neither Unix nor netlink: 0. Linux 6.16 began to refuse them
// there,
//   which CRIU 4.1 takes for a failure.
//
// Everything else goes to libc unchanged. Relies on CRIU 4.1: it walks pagemaps by PAGEMAP_SCAN
// (criu/pagemap-cache.c), finds shared pages by SEEK_DATA (criu/shmem.c), opens smaps relative to a
// descriptor of /proc/PID (criu/proc_parse.c).
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "criu_plugin/channel.h"
#include "criu_plugin/dead_threads.h"
#include "criu_plugin/event_semaphore.h"
#include "criu_plugin/loopback.h"
#include "criu_plugin/private_sockets.h"
#include "criu_plugin/protocol.h"
#include "criu_plugin/stop_tree.h"

namespace holdfast {
namespace {

// struct pm_scan_arg and PAGEMAP_SCAN, linux/fs.h since 6.7.
struct PagemapScanArgument {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t pages_max;
  uint64_t masks[4];
};
static_assert(sizeof(PagemapScanArgument) == 96);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScanArgument);

constexpr size_t kPathBytesMax = 256;

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// What `fd` was opened as; empty when it cannot be told.
void NameOf(int fd, char (&name)[kPathBytesMax]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, name, sizeof name - 1);
  name[length < 0 ? 0 : length] = 0;
}

bool StartsWith(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool IsForeignPagemap(int fd) {
  char name[kPathBytesMax];
  NameOf(fd, name);
  char own[64];
  snprintf(own, sizeof own, "/proc/%d/pagemap", getpid());
  const char* last = strrchr(name, '/');
  return last != nullptr && strcmp(last, "/pagemap") == 0 && strcmp(name, own) != 0;
}

bool IsSharedMemory(int fd) {
  char name[kPathBytesMax];
  NameOf(fd, name);
  return StartsWith(name, "/dev/zero") || StartsWith(name, "/memfd:");
}

// The engine's smaps of the process whose /proc directory is `directory`, or -1.
int SmapsFromEngine(int directory) {
  char name[kPathBytesMax];
  NameOf(directory, name);
  const char* last = strrchr(name, '/');
  if (!StartsWith(name, "/proc/") || last == nullptr) return -1;
  PluginRequest request{};
  request.kind = PluginRequestKind::kSmaps;
  request.pid = atoi(last + 1);
  int fd = -1;
  ChannelAsk(request, -1, &fd);
  return fd;
}

// `path`, or where CRIU's kernel feature cache is kept instead.
const char* Redirected(const char* path, char (&buffer)[kPathBytesMax]) {
  constexpr const char* kCache = "/run/criu.kdat";  // criu/include/kerndat.h, KERNDAT_CACHE_FILE and ..._TMP
  const char* directory = StartsWith(path, kCache) ? getenv(kKerndatVariable) : nullptr;
  if (directory == nullptr) return path;
  snprintf(buffer, sizeof buffer, "%s%s", directory, path + strlen("/run"));
  return buffer;
}

// A limit of another process as /proc/PID/limits shows it: soft and hard.
bool LimitFromProc(pid_t pid, unsigned resource, uint64_t (&limit)[2]) {
  static const char* const kNames[] = {
      "Max cpu time",       "Max file size",     "Max data size",         "Max stack size",
      "Max core file size", "Max resident set",  "Max processes",         "Max open files",
      "Max locked memory",  "Max address space", "Max file locks",        "Max pending signals",
      "Max msgqueue size",  "Max nice priority", "Max realtime priority", "Max realtime timeout"};
  if (resource >= sizeof kNames / sizeof *kNames) return false;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/limits", pid);
  FILE* file = fopen(path, "re");
  if (file == nullptr) return false;
  constexpr size_t kNameColumnBytes = 26;
  char line[256];
  bool found = false;
  while (!found && fgets(line, sizeof line, file) != nullptr) {
    char words[2][32];
    if (!StartsWith(line, kNames[resource]) || strlen(line) < kNameColumnBytes ||
        sscanf(line + kNameColumnBytes, "%31s %31s", words[0], words[1]) != 2) {
      continue;
    }
    for (int i = 0; i < 2; ++i) limit[i] = words[i][0] == 'u' ? ~0ull : strtoull(words[i], nullptr, 10);
    found = true;
  }
  fclose(file);
  return found;
}

}  // namespace
}  // namespace holdfast

#define INTERPOSE extern "C" __attribute__((visibility("default")))

INTERPOSE int ioctl(int fd, unsigned long request, ...) {
  static const auto real = holdfast::Real<int (*)(int, unsigned long, ...)>("ioctl");
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == holdfast::kPagemapScan && holdfast::ChannelConnected() && holdfast::IsForeignPagemap(fd)) {
    auto* scan = static_cast<holdfast::PagemapScanArgument*>(argument);
    scan->walk_end = scan->end;
    return 0;
  }
  return real(fd, request, argument);
}

INTERPOSE long ptrace(__ptrace_request request, ...) noexcept {
  static const auto real = holdfast::Real<long (*)(__ptrace_request, pid_t, void*, void*)>("ptrace");
  va_list arguments;
// glibc declares it with an enumeration in front of the dots.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvarargs"
  va_start(arguments, request);
#pragma GCC diagnostic pop
  const pid_t pid = va_arg(arguments, pid_t);
  void* address = va_arg(arguments, void*);
  void* data = va_arg(arguments, void*);
  va_end(arguments);
  if (request == PTRACE_SEIZE && holdfast::WasSeized(pid)) return 0;
  if (request == PTRACE_INTERRUPT && holdfast::TakeInterrupt(pid)) return 0;
  return real(request, pid, address, data);
}

// CRIU looks every 100 ms whether a container's cgroup is frozen (criu/seize.c, freeze_processes), and gives
// up after a number of looks: the first ones may follow closer on each other, as a tree stands still in a few
// milliseconds.
INTERPOSE int nanosleep(const timespec* time, timespec* left) {
  static const auto real = holdfast::Real<int (*)(const timespec*, timespec*)>("nanosleep");
  constexpr long kStepNanoseconds = 100'000'000;
  constexpr int kQuickLooks = 20;
  static int looks = 0;
  const bool is_step = time->tv_sec == 0 && time->tv_nsec == kStepNanoseconds;
  if (!is_step || !holdfast::ChannelConnected() || looks++ >= kQuickLooks) return real(time, left);
  const timespec quick{0, 1'000'000};
  return real(&quick, left);
}

INTERPOSE pid_t wait4(pid_t pid, int* status, int options, rusage* usage) noexcept {
  return holdfast::WaitPastDeadThreads(pid, status, options, usage);
}

INTERPOSE int unshare(int flags) noexcept {
  static const auto real = holdfast::Real<int (*)(int)>("unshare");
  const int result = real(flags);
  if (result == 0 && (flags & CLONE_NEWNET) != 0 && getenv(holdfast::kLoopbackVariable) != nullptr) {
    const int error = errno;
    holdfast::BringUpLoopback();
    errno = error;
  }
  return result;
}

INTERPOSE off_t lseek(int fd, off_t offset, int whence) {
  static const auto real = holdfast::Real<off_t (*)(int, off_t, int)>("lseek");
  if (whence == SEEK_DATA && holdfast::ChannelConnected() && holdfast::IsSharedMemory(fd)) {
    errno = ENXIO;
    return -1;
  }
  return real(fd, offset, whence);
}

INTERPOSE off_t lseek64(int fd, off_t offset, int whence) {
  return lseek(fd, offset, whence);
}

INTERPOSE long syscall(long number, ...) {
  static const auto real = holdfast::Real<long (*)(long, ...)>("syscall");
  va_list arguments;
  va_start(arguments, number);
  long a[6];
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  const long result = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  const bool asks_for_limit = number == SYS_prlimit64 && a[2] == 0 && a[3] != 0;
  if (result < 0 && errno == EPERM && asks_for_limit) {
    uint64_t limit[2];
    if (holdfast::LimitFromProc(static_cast<pid_t>(a[0]), static_cast<unsigned>(a[1]), limit)) {
      memcpy(reinterpret_cast<void*>(a[3]), limit, sizeof limit);
      return 0;
    }
    errno = EPERM;
  }
  return result;
}

INTERPOSE int getsockopt(int fd, int level, int option, void* value, socklen_t* length) noexcept {
  static const auto real = holdfast::Real<int (*)(int, int, int, void*, socklen_t*)>("getsockopt");
  const int result = real(fd, level, option, value, length);
  if (result < 0 && errno == EOPNOTSUPP && level == SOL_SOCKET &&
      (option == SO_PASSCRED || option == SO_PASSSEC)) {
    memset(value, 0, *length);
    return 0;
  }
  return result;
}

INTERPOSE int openat64(int directory, const char* path, int flags, ...) {
  static const auto real = holdfast::Real<int (*)(int, const char*, int, ...)>("openat64");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  if (holdfast::ChannelConnected() && strcmp(path, "smaps") == 0) {
    const int fd = holdfast::SmapsFromEngine(directory);
    if (fd >= 0) return fd;
  }
  const int fd = real(directory, path, flags, mode);
  const bool of_descriptor = holdfast::ChannelConnected() && holdfast::StartsWith(path, "fdinfo/");
  return fd >= 0 && of_descriptor ? holdfast::MarkSemaphore(fd) : fd;
}

INTERPOSE int eventfd(unsigned count, int flags) noexcept {
  static const auto real = holdfast::Real<int (*)(unsigned, int)>("eventfd");
  const bool semaphore = holdfast::ChannelConnected() && holdfast::TakeSemaphoreMark(count);
  return real(count, semaphore ? flags | EFD_SEMAPHORE : flags);
}

INTERPOSE int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  return openat64(directory, path, flags, mode);
}

INTERPOSE int open64(const char* path, int flags, ...) {
  static const auto real = holdfast::Real<int (*)(const char*, int, ...)>("open64");
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  char buffer[holdfast::kPathBytesMax];
  return real(holdfast::Redirected(path, buffer), flags, mode);
}

INTERPOSE int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const int mode = va_arg(arguments, int);
  va_end(arguments);
  return open64(path, flags, mode);
}

INTERPOSE int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  static const auto real = holdfast::Real<holdfast::BindFunction>("bind");
  const char* directory = holdfast::PrivateFilesDirectory();
  if (directory == nullptr) return real(fd, address, length);
  return holdfast::BindPrivately(directory, fd, address, length, real);
}

INTERPOSE int unlinkat(int directory, const char* path, int flags) noexcept {
  static const auto real = holdfast::Real<int (*)(int, const char*, int)>("unlinkat");
  const char* files = holdfast::PrivateFilesDirectory();
  if (files == nullptr || directory != AT_FDCWD || flags != 0) return real(directory, path, flags);
  return holdfast::UnlinkPrivately(files, path, [](const char* one) { return real(AT_FDCWD, one, 0); });
}

INTERPOSE int rename(const char* from, const char* to) noexcept {
  static const auto real = holdfast::Real<int (*)(const char*, const char*)>("rename");
  char from_buffer[holdfast::kPathBytesMax];
  char to_buffer[holdfast::kPathBytesMax];
  return real(holdfast::Redirected(from, from_buffer), holdfast::Redirected(to, to_buffer));
}

INTERPOSE int unlink(const char* path) noexcept {
  static const auto real = holdfast::Real<int (*)(const char*)>("unlink");
  char buffer[holdfast::kPathBytesMax];
  return real(holdfast::Redirected(path, buffer));
}
