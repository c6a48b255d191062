#include "memory/tracking_handover.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/page.h"
#include "linux/missing_pages.h"
#include "linux/proc.h"
#include "memory/known_pages.h"
#include "memory/write_tracking.h"

namespace holdfast {
namespace {

// Each is a question to the kernel while the job stands still. Of many, the short ones are let go of: what is
// not protected counts as written.
void KeepLongest(std::vector<PageRun>& runs) {
  constexpr size_t kRunsMax = 10'000;
  for (uint64_t bytes = 2 * kPageBytes; runs.size() > kRunsMax; bytes *= 2) {
    std::erase_if(runs, [bytes](const PageRun& run) { return run.bytes < bytes; });
  }
}

// Does something with a tracking whose descriptor stays somebody else's.
template <typename Action>
auto With(pid_t pid, int userfaultfd, const Action& action) {
  WriteTracking tracking = WriteTracking::Continue(pid, Fd(userfaultfd));
  auto result = action(tracking);
  static_cast<void>(std::move(tracking).Release().Release());
  return result;
}

}  // namespace

Result<std::vector<PageRun>> FindUnwritten(pid_t pid, int filling, const AddressSpace& stored,
                                           const MissingRanges& arrived) {
  std::vector<Mapping> mappings = TRY(ReadMaps(pid));
  if (HasInvisibleWriters(mappings)) return Fail(ErrorKind::kUnsupported, "devices may write to it");
  std::erase_if(mappings, [filling](const Mapping& mapping) {
    return MissingPages(filling).IsRegistered(mapping.start, mapping.end) != MissingPages::Registered::kYes;
  });
  const WriteTracking::Found found =
      TRY(With(pid, filling, [&](WriteTracking& marks) { return marks.Find(mappings, /*arm=*/false); }));
  std::vector<PageRun> others;
  for (const MissingRange& range : arrived.Within(0, UINT64_MAX))
    others.push_back({.address = range.start, .bytes = range.bytes()});
  std::vector<PageRun> unwritten = RunsOf(Without(Within(stored.extents, found.unwritten), others));
  KeepLongest(unwritten);
  return unwritten;
}

Result<void> TrackUnwritten(pid_t pid, int tracking, const std::vector<PageRun>& unwritten) {
  return With(pid, tracking, [&](WriteTracking& fresh) -> Result<void> {
    const std::vector<Mapping> mappings = TRY(ReadMaps(pid));
    TRY(fresh.Register(mappings));
    return fresh.ArmOnly(mappings, unwritten);
  });
}

bool SharesItsMemory(pid_t pid, pid_t root) {
  const Result<std::vector<pid_t>> tree = ReadTree(root);
  if (!tree) return true;
  return std::any_of(tree->begin(), tree->end(), [pid](pid_t other) {
    if (other == pid) return false;
    const long order = syscall(SYS_kcmp, pid, other, KCMP_VM, 0, 0);
    return order == 0 || (order < 0 && errno != ESRCH);
  });
}

}  // namespace holdfast
