// Preloaded into CRIU: SIGKILL for it at the DIES_AT-th ptrace call from when it turns to process DIES_IN on,
// or at the first one that would change a stopped task. So it dies at some moment of its stopping and
// looking, and never with something of its own in the job.
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

long ptrace(enum __ptrace_request request, ...) {
  static int calls = 0;
  static int counts = 0;
  va_list rest;
  va_start(rest, request);
  pid_t pid = va_arg(rest, pid_t);
  void* address = va_arg(rest, void*);
  void* data = va_arg(rest, void*);
  va_end(rest);
  const char* last = getenv("DIES_AT");
  const char* job = getenv("DIES_IN");
  counts = counts || (job != NULL && pid == atoi(job));
  if (counts && last != NULL && (++calls >= atoi(last) || !ChangesNothing((int)request))) raise(SIGKILL);
  long (*real)(int, pid_t, void*, void*) = (long (*)(int, pid_t, void*, void*))dlsym(RTLD_NEXT, "ptrace");
  return real((int)request, pid, address, data);
}
