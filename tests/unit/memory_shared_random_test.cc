// Tracking of shared memory against the truth: processes do all kinds of things to one object and to their
// mappings of it; at each freeze, a page that is not told as written must be what it was when it was read.
//
// HOLDFAST_TEST_FREEZES=N   this many freezes (tests/soak/track_writes does tens of thousands)
// HOLDFAST_TEST_SEED=N      repeats a run
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "linux/stopped_process.h"
#include "memory/known_pages.h"
#include "memory/shared_objects.h"
#include "memory/shared_tracking.h"
#include "memory_test_support.h"
#include "restless_sharers.h"

namespace holdfast {
namespace {

constexpr int kStopMillisecondsMax = 20'000;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Every process of a tree stands still, also those that came while the others were being stopped.
std::vector<StoppedProcess> StopTree(pid_t root, std::vector<pid_t>& pids) {
  std::vector<StoppedProcess> stopped;
  std::set<pid_t> known;
  for (bool again = true; again;) {
    again = false;
    const std::vector<pid_t> tree = ReadTree(root).value();
    for (const pid_t pid : tree) {
      if (!known.insert(pid).second) continue;
      Result<StoppedProcess> process = StoppedProcess::Stop(pid, kStopMillisecondsMax);
      again = true;
      if (!process) continue;  // it has ended
      stopped.push_back(*std::move(process));
      pids.push_back(pid);
    }
  }
  return stopped;
}

class SharersRun {
 public:
  SharersRun(uint64_t seed, const std::string& directory) : chance_(seed), sharers_(seed, directory) {}

  bool WaitUntilShared() {
    for (int i = 0; i < 5000; ++i) {
      const std::vector<FoundObject> found =
          FindSharedObjects(ReadTree(sharers_.pid()).value(), true).value();
      for (const FoundObject& object : found) {
        size_t processes = 0;
        for (const SharedUse& use : object.uses)
          processes += use.start <= sharers_.address() && use.end > sharers_.address() ? 1 : 0;
        if (processes < RestlessSharers::kProcesses) continue;
        inode_ = object.inode;
        Result<SharedObjectFile> file = SharedObjectFile::Open(object);
        if (!file) continue;  // the mapping has been cut up meanwhile
        file_.emplace(*std::move(file));
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  // As a checkpoint does it: false where the object could not be tracked.
  Result<bool> Begin(SharedTracking& tracking) {
    std::vector<pid_t> pids = ReadTree(sharers_.pid()).value();
    registered_.clear();
    for (const pid_t pid : pids) {
      const Result<StoppedProcess> stopped = StoppedProcess::Stop(pid, kStopMillisecondsMax);
      const std::vector<SharedUse> uses = stopped ? Uses({pid}) : std::vector<SharedUse>();
      if (uses.empty()) continue;
      registered_.push_back(pid);
      TRY(tracking.Register(pid, *stopped, uses));
    }
    if (!TRY(tracking.MappedElsewhere({inode_})).empty()) return false;
    TRY(tracking.Protect());
    return PassStops();
  }

  bool PassStops() {
    for (const pid_t pid : registered_) static_cast<void>(StoppedProcess::Stop(pid, kStopMillisecondsMax));
    return true;
  }

  void ReadAll(std::vector<std::byte>& content) {
    content.resize(RestlessSharers::kBytes);
    ASSERT_OK(file_->Read(0, content));
  }

  std::vector<SharedUse> Uses(const std::vector<pid_t>& pids) const {
    const std::vector<FoundObject> found = FindSharedObjects(pids, true).value();
    for (const FoundObject& object : found) {
      if (object.inode == inode_) return object.uses;
    }
    return {};
  }

  // One checkpoint's worth; false: a page is wrong.
  bool Freeze() {
    Result<SharedTracking> tracking = SharedTracking::Begin();
    EXPECT_TRUE(tracking.has_value());
    const Result<bool> begun = Begin(*tracking);
    if (!begun) why_ = begun.error().message;
    if (!begun || !*begun) {
      ++not_begun_;
      return true;
    }
    std::vector<std::byte> known;
    ReadAll(known);
    for (uint64_t rounds = chance_() % 3; rounds > 0; --rounds) {
      Pause();
      const Result<std::vector<PageRun>> written = tracking->ProtectWritten(inode_);
      if (!written) return true;
      PassStops();
      for (const PageRun& run : *written) {
        EXPECT_TRUE(file_->Read(run.address, std::span(known).subspan(run.address, run.bytes)).has_value());
      }
    }
    Pause();
    std::vector<pid_t> pids;
    const std::vector<StoppedProcess> stopped = StopTree(sharers_.pid(), pids);
    const Result<std::optional<std::vector<PageRun>>> written = tracking->FindWritten(inode_, Uses(pids));
    EXPECT_TRUE(written.has_value());
    if (!written) return false;
    if (!written->has_value()) {
      ++lost_;
      return true;
    }
    ++tracked_;
    std::vector<std::byte> truth;
    ReadAll(truth);
    const std::vector<PageRun> clean = LeftOf({{0, RestlessSharers::kBytes}}, **written);
    for (const PageRun& run : clean) {
      for (uint64_t at = run.address; at < run.address + run.bytes; at += kPageBytes) {
        ++compared_;
        if (std::memcmp(&truth[at], &known[at], kPageBytes) == 0) continue;
        ADD_FAILURE() << fmt::format("page {:x} of the object was missed", at);
        return false;
      }
    }
    return true;
  }

  void Report(uint64_t freezes) {
    std::printf("%lu freezes: %lu tracked, %lu lost sight of, %lu not begun; %lu unwritten pages compared\n",
                freezes, tracked_, lost_, not_begun_, compared_);
    if (!why_.empty()) std::printf("not begun, last: %s\n", why_.c_str());
    EXPECT_GT(tracked_, freezes / 10);
    EXPECT_GT(lost_, 0U);
    EXPECT_GT(compared_, freezes * 100);
    for (int operation = 0; operation < RestlessSharers::kOperations; ++operation) {
      EXPECT_GT(sharers_.count(operation), 0U) << "operation " << operation;
    }
  }

 private:
  void Pause() { std::this_thread::sleep_for(std::chrono::microseconds(chance_() % 6000)); }

  std::mt19937_64 chance_;
  const RestlessSharers sharers_;
  uint64_t inode_ = 0;
  std::optional<SharedObjectFile> file_;
  std::vector<pid_t> registered_;
  uint64_t tracked_ = 0;
  uint64_t lost_ = 0;
  uint64_t not_begun_ = 0;
  std::string why_;
  uint64_t compared_ = 0;
};

TEST(SharedTracking, MissesNothingWhateverIsDone) {
  const uint64_t freezes = FromEnvironment("HOLDFAST_TEST_FREEZES", 300);
  const uint64_t seed = FromEnvironment("HOLDFAST_TEST_SEED", std::random_device()());
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed));
  const TemporaryDirectory directory;
  SharersRun run(seed, directory.path());
  ASSERT_TRUE(run.WaitUntilShared());
  for (uint64_t freeze = 0; freeze < freezes; ++freeze) ASSERT_TRUE(run.Freeze()) << "in freeze " << freeze;
  run.Report(freezes);
}

}  // namespace
}  // namespace holdfast
