// What the store's tests share: a directory of their own, contents that can be recognised, a manifest that
// has something of everything.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/page.h"
#include "store/backend.h"
#include "store/store.h"

namespace holdfast {

#define ASSERT_OK(expression)                                          \
  do {                                                                 \
    const auto& assert_ok_result = (expression);                       \
    ASSERT_TRUE(assert_ok_result) << assert_ok_result.error().message; \
  } while (false)

// A directory that goes with the object. `base`: where it is made.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::filesystem::path& base = std::filesystem::temp_directory_path()) {
    std::string pattern = (base / "holdfast-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "mkdtemp " << pattern;
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A seed that is printed when the test fails; HOLDFAST_TEST_SEED replays it.
inline uint64_t TestSeed() {
  const char* given = ::getenv("HOLDFAST_TEST_SEED");
  const uint64_t seed = given != nullptr ? ::strtoull(given, nullptr, 10) : std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

// Half of it compressible; the same for the same seed.
inline std::vector<std::byte> TestBytes(uint64_t seed, size_t size) {
  std::vector<std::byte> bytes(size);
  std::mt19937_64 random(seed);
  for (size_t i = 0; i < size; i += 16) {
    const uint64_t value = random();
    for (size_t j = i; j < std::min(i + 8, size); ++j)
      bytes[j] = static_cast<std::byte>(value >> (8 * (j - i)));
    for (size_t j = i + 8; j < std::min(i + 16, size); ++j) bytes[j] = static_cast<std::byte>(seed | 1);
  }
  return bytes;
}

inline std::string ReadWholeFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void WriteWholeFile(const std::filesystem::path& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  ASSERT_TRUE(file.good()) << path;
}

// A file system of a test's own, small enough to be filled, in a mount namespace that ends with this process.
class SmallDisk {
 public:
  // `size`: as tmpfs takes it, "8m".
  explicit SmallDisk(const std::string& size)
      : path_(directory_.path() / "disk"),
        mounted_(::mkdir(path_.c_str(), 0700) == 0 && ::unshare(CLONE_NEWNS) == 0 &&
                 ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                 ::mount("holdfast-test", path_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0) {}
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  const std::filesystem::path& path() const { return path_; }
  // Leaves so much room. `store`: one that lies on it.
  void FillUpTo(const Store& store, uint64_t bytes) const {
    std::filesystem::remove(path_ / "filler");
    const uint64_t available = store.BytesAvailable().value();
    if (available > bytes) WriteWholeFile(path_ / "filler", std::string(available - bytes, 'x'));
  }

 private:
  TemporaryDirectory directory_;
  std::filesystem::path path_;
  bool mounted_ = false;
};

// The one file in `folder` whose name ends so.
inline std::filesystem::path OnlyFile(const std::filesystem::path& folder, const std::string& suffix) {
  std::filesystem::path found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().string().ends_with(suffix)) continue;
    EXPECT_TRUE(found.empty()) << "more than one " << suffix << " in " << folder;
    found = entry.path();
  }
  EXPECT_FALSE(found.empty()) << "no " << suffix << " in " << folder;
  return found;
}

inline size_t CountFiles(const std::filesystem::path& folder) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != ".gate" && entry.path().filename() != "format")
      ++count;
  }
  return count;
}

// A manifest that names the first `count` blocks, which would be left out otherwise.
inline Manifest NamingBlocks(uint32_t count) {
  Manifest manifest;
  AddressSpace& space = manifest.address_spaces.emplace_back();
  for (uint32_t i = 0; i < count; ++i) space.extents.push_back({i * kPageBytes, 1, i, 0, false});
  return manifest;
}

// Appends memory, an image and a file to `pending` and describes them: a manifest with something in every
// field. Everything in it follows from `seed`, and CheckSample finds out whether it is all there.
Result<Manifest> AppendSample(PendingSnapshot& pending, uint64_t seed);
void CheckSample(const Store& store, const Manifest& manifest, uint64_t seed);

inline Result<SnapshotId> CommitSample(Store& store, const std::string& lineage, uint64_t seed) {
  const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage));
  return pending->Commit(TRY(AppendSample(*pending, seed)), {{"note", "sample " + std::to_string(seed)}});
}

inline constexpr size_t kSampleMemoryBytes = 5 * limits::kBlockBytesMax;

inline Result<Manifest> AppendSample(PendingSnapshot& pending, uint64_t seed) {
  Manifest manifest;
  manifest.kind = seed % 2 == 0 ? SnapshotKind::kFull : SnapshotKind::kDelta;
  if (seed % 2 == 1) manifest.parent = SnapshotId{"elsewhere", seed};
  manifest.created_ms = static_cast<int64_t>(1'700'000'000'000 + seed);
  manifest.root_pid = 17;
  manifest.environment = {"host", "6.1.0", "x86_64", "A CPU", {"sse2", "avx2"}, "4.1.1", "0.1.0"};
  manifest.figures = {1.5, 20.25, 30, 1000, 0, "twin", "because"};
  manifest.warnings = {"a warning", std::string("bytes \xff\xfe that are no text")};
  manifest.engine_facts = {{"shell-job", "1"}, {std::string("k\xff"), std::string("\0nul", 4)}};
  ProcessInfo process;
  process.pid = 17;
  process.parent = 1;
  process.session = 17;
  process.uid = 1000;
  process.name = "train";
  process.command_line = {"python3", "train.py", "\xe4\xf6"};
  process.working_directory = "/tmp/\xffplace";
  process.environment = {"A=b", "C=\xc3\xa9"};
  process.threads = {17, 18};
  process.resident_bytes = 12345678;
  process.mappings = {{0x1000, 0x2000, "rw-p", "[heap]"},
                      {0x7fff'ffff'f000, 0xffff'ffff'ff60'0000, "r-xp", ""}};
  process.files = {{0, "/dev/null"}, {5, "pipe:[123]"}};
  manifest.processes = {process};

  const std::vector<std::byte> memory = TestBytes(seed, kSampleMemoryBytes);
  AddressSpace space;
  space.pid = 17;
  uint64_t address = 0x10000;
  for (size_t offset = 0; offset < memory.size(); offset += limits::kBlockBytesMax) {
    const uint32_t block =
        TRY(pending.AppendBlock(std::span(memory).subspan(offset, limits::kBlockBytesMax)));
    const uint32_t pages = limits::kBlockBytesMax / kPageBytes;
    space.extents.push_back({address, pages, block, 0, offset == 0});
    address += uint64_t{pages} * kPageBytes;
  }
  space.extents.push_back({address + kPageBytes, 1000, kZeroBlock, 0, false});
  manifest.address_spaces = {space};
  SharedObject shared;
  shared.id = 99;
  shared.name = "/dev/zero (deleted)";
  shared.extents = {{0, 4, space.extents[1].block, 7, false}};
  manifest.shared_objects = {shared};

  const std::vector<std::byte> image = TestBytes(seed + 1000, 4321);
  manifest.images = {{"core-17.img", TRY(pending.AppendBlob(image))}, {"empty.img", {}}};
  std::vector<std::byte> content = TestBytes(seed + 2000, 3 * limits::kBlockBytesMax + 5);
  std::fill_n(content.begin() + limits::kBlockBytesMax, limits::kBlockBytesMax, std::byte{0});  // a hole
  FileState file;
  file.path = "/tmp/log \xff";
  file.bytes = content.size();
  file.mode = 0644;
  file.uid = 1000;
  file.gid = 100;
  file.mtime_ns = -5;
  file.append_only = true;
  file.content_kept = true;
  file.content = TRY(pending.AppendBlob(content));
  FileState unkept;
  unkept.path = "/big";
  unkept.bytes = 1ull << 40;
  manifest.files = {file, unkept};
  return manifest;
}

inline void CheckSample(const Store& store, const Manifest& manifest, uint64_t seed) {
  EXPECT_EQ(manifest.kind, seed % 2 == 0 ? SnapshotKind::kFull : SnapshotKind::kDelta);
  EXPECT_EQ(manifest.created_ms, static_cast<int64_t>(1'700'000'000'000 + seed));
  Result<std::unique_ptr<BlockReader>> blocks = store.OpenBlocks(manifest);
  ASSERT_OK(blocks);
  const std::vector<std::byte> memory = TestBytes(seed, kSampleMemoryBytes);
  ASSERT_EQ(manifest.address_spaces.size(), 1U);
  std::vector<std::byte> block(limits::kBlockBytesMax);
  for (size_t i = 0; i < kSampleMemoryBytes / limits::kBlockBytesMax; ++i) {
    ASSERT_OK((*blocks)->Read(manifest.address_spaces[0].extents.at(i).block, block));
    ASSERT_TRUE(std::equal(block.begin(), block.end(),
                           memory.begin() + static_cast<std::ptrdiff_t>(i * block.size())));
  }
  ASSERT_EQ(manifest.images.size(), 2U);
  Result<std::vector<std::byte>> image = (*blocks)->ReadBlob(manifest.images[0].content);
  ASSERT_OK(image);
  EXPECT_EQ(*image, TestBytes(seed + 1000, 4321));
  std::vector<std::byte> content = TestBytes(seed + 2000, 3 * limits::kBlockBytesMax + 5);
  std::fill_n(content.begin() + limits::kBlockBytesMax, limits::kBlockBytesMax, std::byte{0});
  ASSERT_EQ(manifest.files.size(), 2U);
  Result<std::vector<std::byte>> file = (*blocks)->ReadBlob(manifest.files[0].content);
  ASSERT_OK(file);
  EXPECT_EQ(*file, content);
}

}  // namespace holdfast
