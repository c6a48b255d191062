// Preloaded into CRIU: SIGKILL at the KILL_AT-th ptrace call from when it turns to process KILL_FROM on, for
// process KILL_WHOM. 0 is CRIU itself, which then dies at the first call that would change a stopped task, if
// that is earlier: at some moment of its stopping and looking, and never with something of its own in the
// job.
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <unistd.h>

static int ChangesNothing(int request) {
  enum { kGetRseqConfiguration = 0x420f };
  return request == PTRACE_SEIZE || request == PTRACE_INTERRUPT || request == PTRACE_GETSIGINFO ||
         request == PTRACE_GETREGS || request == PTRACE_GETREGSET || request == PTRACE_GETSIGMASK ||
         request == PTRACE_PEEKSIGINFO || request == PTRACE_GETEVENTMSG || request == kGetRseqConfiguration;
}

static int Number(const char* variable) {
  const char* value = getenv(variable);
  return value == NULL ? 0 : atoi(value);
}

long ptrace(enum __ptrace_request request, ...) {
  static int calls = 0;
  static int counts = 0;
  va_list rest;
  va_start(rest, request);
  pid_t pid = va_arg(rest, pid_t);
  void* address = va_arg(rest, void*);
  void* data = va_arg(rest, void*);
  va_end(rest);
  const int whom = Number("KILL_WHOM");
  counts = counts || pid == Number("KILL_FROM");
  if (counts && (++calls == Number("KILL_AT") || (whom == 0 && !ChangesNothing((int)request)))) {
    kill(whom == 0 ? getpid() : whom, SIGKILL);
  }
  long (*real)(int, pid_t, void*, void*) = (long (*)(int, pid_t, void*, void*))dlsym(RTLD_NEXT, "ptrace");
  return real((int)request, pid, address, data);
}
