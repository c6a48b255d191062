#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "store/file_io.h"
#include "store/format.h"
#include "store/store_core.h"

namespace holdfast {

Result<StoreGate> StoreGate::Take(const StoreCore& core, int operation) {
  using std::chrono::steady_clock;
  Fd fd = TRY(OpenBeneath(core.root.get(), "locks/.gate", O_RDWR | O_CREAT));
  if (::fchmod(fd.get(), 0600) != 0) return FailErrno("chmod locks/.gate");
  const auto deadline = steady_clock::now() + std::chrono::seconds(format::kGateSecondsMax);
  while (::flock(fd.get(), operation | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return FailErrno("lock locks/.gate");
    if (steady_clock::now() > deadline) {
      return Fail(ErrorKind::kBusy, fmt::format("the store {} is kept busy by another command for {} s",
                                                core.directory.string(), format::kGateSecondsMax))
          .WithHint("look for a holdfast command that hangs");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return StoreGate(std::move(fd));
}

Result<StoreGate> StoreGate::Shared(const StoreCore& core) {
  return Take(core, LOCK_SH);
}

Result<StoreGate> StoreGate::Exclusive(const StoreCore& core) {
  return Take(core, LOCK_EX);
}

}  // namespace holdfast
