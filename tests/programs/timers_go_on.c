// Interval timers of every kind go on: timerfd, setitimer, POSIX timers with a value, and a deadline far away
// that is still set.
#include <pthread.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include "subject.h"

static volatile sig_atomic_t alarms, posix_ticks, posix_value;
static void OnAlarm(int signal) {
  ++alarms;
}
static void OnTick(int signal, siginfo_t* info, void* context) {
  ++posix_ticks;
  posix_value = info->si_value.sival_int;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  struct sigaction alarm_action = {.sa_handler = OnAlarm, .sa_flags = SA_RESTART};
  struct sigaction tick_action = {.sa_sigaction = OnTick, .sa_flags = SA_RESTART | SA_SIGINFO};
  sigaction(SIGALRM, &alarm_action, NULL);
  sigaction(SIGRTMIN, &tick_action, NULL);
  struct itimerval every = {{0, 3000}, {0, 3000}};
  SUBJECT_CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
  timer_t timer, far_timer;
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 4711};
  SUBJECT_CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  struct itimerspec each = {{0, 4000000}, {0, 4000000}}, far = {{0, 0}, {100000, 0}};
  SUBJECT_CHECK(timer_settime(timer, 0, &each, NULL) == 0);
  SUBJECT_CHECK(timer_create(CLOCK_REALTIME, &event, &far_timer) == 0 &&
                timer_settime(far_timer, 0, &far, NULL) == 0);
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC),
      far_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  SUBJECT_CHECK(timerfd_settime(fd, 0, &each, NULL) == 0 && timerfd_settime(far_fd, 0, &far, NULL) == 0);
  SubjectReady();
  for (;;) {
    int alarms_before = alarms, ticks_before = posix_ticks;
    uint64_t expirations = 0;
    while (read(fd, &expirations, sizeof expirations) < 0) SUBJECT_CHECK(errno == EINTR);
    SUBJECT_CHECK(expirations > 0);
    while (alarms == alarms_before || posix_ticks == ticks_before) SubjectSleepMs(1);
    SUBJECT_CHECK(posix_value == 4711);
    struct itimerspec left;
    SUBJECT_CHECK(timer_gettime(far_timer, &left) == 0 && left.it_value.tv_sec > 90000);
    SUBJECT_CHECK(timerfd_gettime(far_fd, &left) == 0 && left.it_value.tv_sec > 90000);
    SUBJECT_CHECK(read(far_fd, &expirations, sizeof expirations) == -1 && errno == EAGAIN);
    SubjectRound();
  }
}
