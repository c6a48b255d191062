// Write tracking against the truth: a process does thirty kinds of things to its memory; at each freeze, what
// was known of its pages and what the tracking says was written must add up to exactly what is there.
//
// HOLDFAST_TEST_FREEZES=N   this many freezes (tests/soak/track_writes does tens of thousands)
// HOLDFAST_TEST_SEED=N      repeats a run
#include <fcntl.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "linux/stopped_process.h"
#include "memory/remote_memory.h"
#include "memory/write_tracking.h"
#include "memory_test_support.h"
#include "restless_memory.h"

namespace holdfast {
namespace {

constexpr int kStopMillisecondsMax = 10'000;
using Page = std::array<std::byte, kPageBytes>;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Without the terabytes that a sanitizer has for itself.
std::vector<Mapping> MappingsOf(pid_t pid) {
  constexpr uint64_t kBytesMax = 1 << 30;
  std::vector<Mapping> mappings = ReadMaps(pid).value();
  std::erase_if(mappings, [](const Mapping& mapping) { return mapping.bytes() > kBytesMax; });
  return mappings;
}

// What the page tables say, read entry by entry and by nothing of ours.
class PageTable {
 public:
  explicit PageTable(pid_t pid)
      : fd_(::open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC)) {}
  // One for each page: whether it is there and the process's own.
  std::vector<bool> PrivatePages(uint64_t start, uint64_t end) const {
    std::vector<uint64_t> entries((end - start) / kPageBytes);
    const auto bytes = static_cast<ssize_t>(entries.size() * sizeof(uint64_t));
    const auto offset = static_cast<off_t>(start / kPageBytes * sizeof(uint64_t));
    EXPECT_EQ(::pread(fd_.get(), entries.data(), static_cast<size_t>(bytes), offset), bytes);
    std::vector<bool> there(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      const bool present = (entries[i] >> 63 & 1) != 0;
      const bool swapped = (entries[i] >> 62 & 1) != 0 && (entries[i] & 31) != 31;
      const bool of_file = (entries[i] >> 61 & 1) != 0;
      there[i] = (present || swapped) && !of_file;
    }
    return there;
  }

 private:
  Fd fd_;
};

class Model {
 public:
  explicit Model(pid_t pid) : pid_(pid), memory_(RemoteMemory::Open(pid).value()), table_(pid) {}

  void Take(const std::vector<PageRun>& runs, bool runs_on) {
    for (const PageRun& run : runs) {
      for (uint64_t at = run.address; at < run.address + run.bytes; at += kPageBytes) {
        Page page{};
        const Result<void> read = memory_.Read(at, page);
        if (read) {
          known_[at] = page;
        } else {
          known_.erase(at);
          if (!runs_on) ADD_FAILURE() << read.error().message;
        }
      }
    }
  }

  void Drop(const std::vector<PageRun>& runs) {
    for (const PageRun& run : runs) {
      known_.erase(known_.lower_bound(run.address), known_.lower_bound(run.address + run.bytes));
    }
  }

  // What a snapshot would be made of.
  void Follow(const WriteTracking::Found& found) {
    std::map<uint64_t, Page> still;
    for (const PageRun& run : found.unwritten) {
      for (auto page = known_.lower_bound(run.address);
           page != known_.end() && page->first < run.address + run.bytes; ++page) {
        still.insert(*page);
      }
    }
    unwritten_ += still.size();
    known_ = std::move(still);
    Take(found.written, false);
  }

  // Requires: nothing of the process runs. False: at least one page is wrong.
  bool IsTrue(const std::vector<Mapping>& mappings) {
    for (const Mapping& mapping : mappings) {
      if (!IsCaptured(mapping)) continue;
      const std::vector<bool> there = table_.PrivatePages(mapping.start, mapping.end);
      for (size_t i = 0; i < there.size(); ++i) {
        const uint64_t at = mapping.start + i * kPageBytes;
        const auto known = known_.find(at);
        if (!there[i] && known == known_.end()) continue;
        // Where nothing of the process's own is, the snapshot has either nothing or the same.
        const Page expected = known == known_.end() ? Page{} : known->second;
        Page truth{};
        if (!memory_.Read(at, truth)) continue;
        ++compared_;
        if (std::memcmp(truth.data(), expected.data(), kPageBytes) == 0) continue;
        ADD_FAILURE() << fmt::format("page {:x} of process {} in {}: {}", at, pid_, mapping.line,
                                     known == known_.end() ? "missed"
                                     : there[i]            ? "stale"
                                                           : "not there any more");
        return false;
      }
    }
    return true;
  }

  uint64_t compared() const { return compared_; }
  uint64_t unwritten() const { return unwritten_; }

 private:
  pid_t pid_;
  RemoteMemory memory_;
  PageTable table_;
  std::map<uint64_t, Page> known_;
  uint64_t compared_ = 0;
  uint64_t unwritten_ = 0;
};

TEST(WriteTracking, MissesNothingWhateverIsDoneToMemory) {
  const uint64_t freezes = FromEnvironment("HOLDFAST_TEST_FREEZES", 300);
  const uint64_t seed = FromEnvironment("HOLDFAST_TEST_SEED", std::random_device()());
  SCOPED_TRACE(fmt::format("HOLDFAST_TEST_SEED={}", seed));
  std::mt19937_64 chance(seed);
  const TemporaryDirectory directory;
  const RestlessMemory restless(seed, directory.path());
  const pid_t pid = restless.pid();
  Model model(pid);
  std::optional<WriteTracking> tracking;
  for (uint64_t freeze = 0; freeze < freezes; ++freeze) {
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + chance() % 6000));
    if (tracking && chance() % 3 == 0) {
      // Pre-copy: protected and read while it runs.
      const Result<WriteTracking::Armed> armed = tracking->Arm(MappingsOf(pid));
      ASSERT_OK(armed);
      ASSERT_OK(StoppedProcess::Stop(pid, kStopMillisecondsMax));
      model.Drop(armed->emptied);
      model.Take(armed->written, true);
    }
    const Result<StoppedProcess> stopped = StoppedProcess::Stop(pid, kStopMillisecondsMax);
    ASSERT_OK(stopped);
    if (!tracking) {
      Result<WriteTracking> begun = WriteTracking::Begin(pid, *stopped);
      if (!begun) GTEST_SKIP() << begun.error().message;
      tracking.emplace(*std::move(begun));
      ASSERT_OK(tracking->Register(MappingsOf(pid)));
    }
    const std::vector<Mapping> mappings = MappingsOf(pid);
    const Result<WriteTracking::Found> found = tracking->Find(mappings, /*arm=*/true);
    ASSERT_OK(found);
    model.Follow(*found);
    ASSERT_TRUE(model.IsTrue(mappings)) << "in freeze " << freeze;
  }
  // The test has tested something.
  EXPECT_GT(model.compared(), freezes * 1000);
  EXPECT_GT(model.unwritten(), freezes * 100);
  for (int operation = 0; operation < RestlessMemory::kOperations; ++operation) {
    EXPECT_GT(restless.count(operation), 0U) << "operation " << operation;
  }
  std::printf("%lu freezes, %lu pages compared, %lu of them known from before\n", freezes, model.compared(),
              model.unwritten());
}

}  // namespace
}  // namespace holdfast
