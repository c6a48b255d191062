#include "pod/lease_keeper.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "pod/holder.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kBetweenLooks{1};
constexpr std::chrono::seconds kBetweenRenewals{5};

[[noreturn]] void Keep(Lease lease) {
  auto renewed = std::chrono::steady_clock::now();
  while (!IsGone(lease.record())) {
    std::this_thread::sleep_for(kBetweenLooks);
    if (std::chrono::steady_clock::now() - renewed < kBetweenRenewals) continue;
    const Result<void> done = lease.Renew();
    if (!done && done.error().kind == ErrorKind::kBusy) break;
    if (done) renewed = std::chrono::steady_clock::now();
  }
  ::_exit(0);
}

void BecomeDaemon() {
  ::setsid();
  prctl(PR_SET_NAME, "holdfast-keeper");
  const int null = ::open("/dev/null", O_RDWR);
  for (int number = 0; number < 3; ++number) ::dup2(null, number);
  ::syscall(SYS_close_range, 3, ~0U, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  static_cast<void>(::chdir("/"));
}

}  // namespace

Result<void> KeepRenewed(const Lease& lease) {
  const pid_t child = ::fork();
  if (child < 0) return FailErrno("fork");
  if (child > 0) return {};
  BecomeDaemon();
  Keep(lease);
}

}  // namespace holdfast
