// What the tests of memory share: a mapping at the same address in the test and in its children, and a
// snapshot to store into.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/page.h"
#include "linux/proc.h"
#include "process_test_support.h"
#include "store_test_support.h"

namespace holdfast {

// Pages that children made after it have as well, copied on write.
class TestMemory {
 public:
  explicit TestMemory(size_t pages, int fd = -1, int flags = MAP_PRIVATE)
      : bytes_(pages * kPageBytes),
        start_(static_cast<char*>(
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0))) {
    EXPECT_NE(start_, MAP_FAILED);
    ::madvise(start_, bytes_, MADV_NOHUGEPAGE);
  }
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  ~TestMemory() { ::munmap(start_, bytes_); }

  size_t pages() const { return bytes_ / kPageBytes; }
  size_t bytes() const { return bytes_; }
  uint64_t start() const { return reinterpret_cast<uint64_t>(start_); }
  char* Page(size_t page) const { return start_ + page * kPageBytes; }
  // Async-signal-safe. A page that can be told from every other, half of it hard to compress.
  void Fill(size_t page, uint64_t seed) const {
    auto* const words = reinterpret_cast<uint64_t*>(Page(page));
    uint64_t state = seed * 0x9e37'79b9'7f4a'7c15 + page + 1;
    for (size_t i = 0; i < kPageBytes / sizeof(uint64_t); ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      words[i] = i % 2 == 0 ? state : seed;
    }
  }
  void Zero(size_t page) const { ::memset(Page(page), 0, kPageBytes); }
  void Protect(size_t page, size_t count, int protection) const {
    if (::mprotect(Page(page), count * kPageBytes, protection) != 0) ::_exit(1);
  }

  // The mappings of `pid` in it. What they have outside of it, merged with a neighbour, is cut off.
  std::vector<Mapping> MappingsOf(pid_t pid) const {
    std::vector<Mapping> mappings = ReadMaps(pid).value();
    std::erase_if(mappings, [&](const Mapping& mapping) {
      return mapping.start >= start() + bytes_ || mapping.end <= start();
    });
    for (Mapping& mapping : mappings) {
      mapping.start = std::max(mapping.start, start());
      mapping.end = std::min(mapping.end, start() + bytes_);
    }
    return mappings;
  }

 private:
  size_t bytes_;
  char* start_;
};

// An unlinked file whose page i is full of the letter 'a' + i.
inline Fd LetteredFile(size_t pages) {
  std::string pattern = ::testing::TempDir() + "holdfast-memory-XXXXXX";
  Fd file(::mkstemp(pattern.data()));
  ::unlink(pattern.c_str());
  for (size_t i = 0; i < pages; ++i) {
    const std::string page(kPageBytes, static_cast<char>('a' + i));
    EXPECT_EQ(::write(file.get(), page.data(), page.size()), static_cast<ssize_t>(page.size()));
  }
  return file;
}

// A store of its own and a snapshot under way in it.
class MemoryStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
    Begin();
  }
  void Begin() {
    Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
    ASSERT_OK(pending);
    pending_ = *std::move(pending);
  }
  // Commits one address space and loads it again.
  Manifest Commit(std::vector<Extent> extents) {
    Manifest manifest;
    manifest.address_spaces = {{17, std::move(extents)}};
    const Result<SnapshotId> id = pending_->Commit(std::move(manifest), {});
    if (!id) ADD_FAILURE() << id.error().message;
    Result<Manifest> loaded = store_->Load({"job", 0});
    if (loaded) return *std::move(loaded);
    ADD_FAILURE() << loaded.error().message;
    Manifest nothing;
    nothing.address_spaces.resize(1);
    return nothing;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<PendingSnapshot> pending_;
};

inline void NotAdvanced(uint64_t) {}

}  // namespace holdfast
