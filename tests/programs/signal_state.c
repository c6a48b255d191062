// Signal mask, handlers, alternate stack, and signals that are pending with their values, of the process and
// of a thread.
#include <pthread.h>

#include "subject.h"

static char alternate[65536];
static volatile sig_atomic_t handled;
static char* volatile handler_frame;
static void OnSignal(int signal) {
  char here;
  handler_frame = &here;
  ++handled;
}

static void Queue(int signal, int value, pid_t thread) {
  siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_int = value;
  if (thread)
    SUBJECT_CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, signal, &info) == 0);
  else
    SUBJECT_CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), signal, &info) == 0);
}

// The oldest pending one must carry `value`; it goes to the end of the queue again.
static void Rotate(int signal, int value, pid_t thread) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  siginfo_t info = {0};
  struct timespec at_once = {0, 0};
  SUBJECT_CHECK(sigtimedwait(&set, &info, &at_once) == signal);
  if (info.si_value.sival_int != value || info.si_code != SI_QUEUE) {
    SubjectFail("signal %d came with %d (code %d), not %d", signal, info.si_value.sival_int, info.si_code,
                value);
  }
  Queue(signal, value, thread);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  pid_t thread = (pid_t)syscall(SYS_gettid);
  struct sigaction action = {.sa_handler = OnSignal, .sa_flags = SA_ONSTACK | SA_RESTART};
  sigaddset(&action.sa_mask, SIGUSR2);
  SUBJECT_CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  SUBJECT_CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  SUBJECT_CHECK(sigaltstack(&stack, NULL) == 0);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGHUP);
  sigaddset(&mask, SIGRTMIN + 2);
  sigaddset(&mask, SIGRTMIN + 3);
  SUBJECT_CHECK(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
  for (int i = 0; i < 5; ++i) {
    Queue(SIGRTMIN + 2, i, 0);
    Queue(SIGRTMIN + 3, 100 + i, thread);
  }
  SUBJECT_CHECK(kill(getpid(), SIGHUP) == 0);
  SubjectReady();
  for (unsigned long turn = 0;; ++turn) {
    SubjectSleepMs(20);
    sigset_t now, pending;
    stack_t stack_now;
    struct sigaction action_now, pipe_now;
    SUBJECT_CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
    for (int i = 1; i < 65; ++i) SUBJECT_CHECK(sigismember(&now, i) == sigismember(&mask, i));
    SUBJECT_CHECK(sigaltstack(NULL, &stack_now) == 0);
    SUBJECT_CHECK(stack_now.ss_sp == alternate && stack_now.ss_size == sizeof alternate &&
                  stack_now.ss_flags == 0);
    SUBJECT_CHECK(sigaction(SIGUSR1, NULL, &action_now) == 0 && action_now.sa_handler == OnSignal);
    SUBJECT_CHECK((action_now.sa_flags & ~0x04000000) == action.sa_flags &&
                  sigismember(&action_now.sa_mask, SIGUSR2));
    SUBJECT_CHECK(sigaction(SIGPIPE, NULL, &pipe_now) == 0 && pipe_now.sa_handler == SIG_IGN);
    SUBJECT_CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGHUP));
    Rotate(SIGRTMIN + 2, (int)(turn % 5), 0);
    Rotate(SIGRTMIN + 3, 100 + (int)(turn % 5), thread);
    int before = handled;
    SUBJECT_CHECK(raise(SIGUSR1) == 0 && handled == before + 1);
    SUBJECT_CHECK(handler_frame > alternate && handler_frame < alternate + sizeof alternate);
    SubjectRound();
  }
}
