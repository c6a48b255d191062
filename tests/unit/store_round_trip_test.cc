// What is committed is what is loaded.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "store_test_support.h"

namespace holdfast {
namespace {

class StoreRoundTrip : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreRoundTrip, EveryFieldOfAManifestComesBack) {
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
  ASSERT_OK(pending);
  Result<Manifest> wanted = AppendSample(**pending, 3);
  ASSERT_OK(wanted);
  Result<SnapshotId> id = (*pending)->Commit(*wanted, {{"note", "hello"}});
  ASSERT_OK(id);
  EXPECT_EQ(id->ToString(), "job@1");
  Result<Manifest> loaded = store_->Load({"job", 0});
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->id, *id);
  EXPECT_EQ(loaded->parent, wanted->parent);
  EXPECT_EQ(loaded->root_pid, 17);
  EXPECT_EQ(loaded->environment.cpu_flags, wanted->environment.cpu_flags);
  EXPECT_EQ(loaded->environment.hostname, "host");
  EXPECT_EQ(loaded->environment.holdfast_version, "0.1.0");
  EXPECT_EQ(loaded->figures.freeze_ms, 1.5);
  EXPECT_EQ(loaded->figures.capture_reason, "because");
  EXPECT_EQ(loaded->figures.bytes_stored, (*pending)->bytes_stored());
  EXPECT_EQ(loaded->warnings, wanted->warnings);
  EXPECT_EQ(loaded->engine_facts, wanted->engine_facts);
  ASSERT_EQ(loaded->processes.size(), 1U);
  const ProcessInfo& process = loaded->processes[0];
  EXPECT_EQ(process.command_line, wanted->processes[0].command_line);
  EXPECT_EQ(process.working_directory, wanted->processes[0].working_directory);
  EXPECT_EQ(process.environment, wanted->processes[0].environment);
  EXPECT_EQ(process.threads, wanted->processes[0].threads);
  ASSERT_EQ(process.mappings.size(), 2U);
  EXPECT_EQ(process.mappings[1].end, 0xffff'ffff'ff60'0000);
  EXPECT_EQ(process.files.at(1).target, "pipe:[123]");
  const std::vector<Extent>& extents = loaded->address_spaces.at(0).extents;
  ASSERT_EQ(extents.size(), wanted->address_spaces[0].extents.size());
  for (size_t i = 0; i < extents.size(); ++i) {
    const Extent& extent = wanted->address_spaces[0].extents[i];
    EXPECT_EQ(extents[i].address, extent.address);
    EXPECT_EQ(extents[i].pages, extent.pages);
    EXPECT_EQ(extents[i].block, extent.block);
    EXPECT_EQ(extents[i].huge, extent.huge);
  }
  EXPECT_EQ(loaded->shared_objects.at(0).extents.at(0).first_page, 7);
  EXPECT_EQ(loaded->shared_objects.at(0).name, "/dev/zero (deleted)");
  EXPECT_EQ(loaded->files.at(0).path, wanted->files[0].path);
  EXPECT_EQ(loaded->files.at(0).mtime_ns, -5);
  EXPECT_TRUE(loaded->files.at(0).append_only);
  EXPECT_EQ(loaded->files.at(1).bytes, 1ull << 40);
  EXPECT_EQ(loaded->files.at(0).content.blocks.at(1), kZeroBlock);
  CheckSample(*store_, *loaded, 3);
}

TEST_F(StoreRoundTrip, EqualBlocksAreStoredOnceAndZerosNotAtAll) {
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
  ASSERT_OK(pending);
  const std::vector<std::byte> block = TestBytes(1, limits::kBlockBytesMax);
  const Result<uint32_t> first = (*pending)->AppendBlock(block);
  ASSERT_OK(first);
  const uint64_t stored = (*pending)->bytes_stored();
  EXPECT_GT(stored, 0U);
  const Result<uint32_t> again = (*pending)->AppendBlock(block);
  ASSERT_OK(again);
  EXPECT_EQ(*first, *again);
  const Result<uint32_t> zeros = (*pending)->AppendBlock(std::vector<std::byte>(limits::kBlockBytesMax));
  ASSERT_OK(zeros);
  EXPECT_EQ(*zeros, kZeroBlock);
  EXPECT_EQ((*pending)->bytes_stored(), stored);
  // A prefix is other content.
  const Result<uint32_t> prefix = (*pending)->AppendBlock(std::span(block).first(kPageBytes));
  ASSERT_OK(prefix);
  EXPECT_NE(*prefix, *first);
}

TEST_F(StoreRoundTrip, ABlockWithASingleByteThatIsNotZeroIsNoZeroBlock) {
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
  ASSERT_OK(pending);
  for (const size_t size : {size_t{1}, size_t{7}, size_t{16}, size_t{17}, size_t{4096}, size_t{4099}}) {
    std::vector<std::byte> block(size);
    EXPECT_EQ((*pending)->AppendBlock(block).value(), kZeroBlock) << size;
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      block.assign(size, std::byte{0});
      block[at] = std::byte{1};
      EXPECT_NE((*pending)->AppendBlock(block).value(), kZeroBlock) << at << " of " << size;
    }
  }
}

TEST_F(StoreRoundTrip, BlocksThatNothingNamesAreLeftOut) {
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
  ASSERT_OK(pending);
  std::vector<uint32_t> indexes;
  for (uint64_t i = 0; i < 9; ++i)
    indexes.push_back((*pending)->AppendBlock(TestBytes(i + 1, kPageBytes)).value());
  Manifest manifest;
  manifest.address_spaces = {{17, {{0, 1, indexes[7], 0, false}, {kPageBytes, 1, kZeroBlock, 0, false}}}};
  manifest.images = {{"a.img", {kPageBytes, {indexes[2]}}}};
  ASSERT_OK((*pending)->Commit(manifest, {}));
  const Manifest loaded = store_->Load({"job", 1}).value();
  ASSERT_EQ(loaded.blocks.size(), 2U);
  const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(loaded).value();
  std::vector<std::byte> out(kPageBytes);
  ASSERT_OK(blocks->Read(loaded.address_spaces.at(0).extents.at(0).block, out));
  EXPECT_EQ(out, TestBytes(8, kPageBytes));
  EXPECT_EQ(loaded.address_spaces.at(0).extents.at(1).block, kZeroBlock);
  EXPECT_EQ(blocks->ReadBlob(loaded.images.at(0).content).value(), TestBytes(3, kPageBytes));
  EXPECT_TRUE(store_->Verify(/*read_data=*/true).value().problems.empty());
}

TEST_F(StoreRoundTrip, BlocksOfSeveralThreadsAllArrive) {
  constexpr size_t kThreads = 8;
  constexpr size_t kBlocksPerThread = 64;
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
  ASSERT_OK(pending);
  std::vector<std::vector<uint32_t>> indexes(kThreads, std::vector<uint32_t>(kBlocksPerThread));
  std::atomic<int> errors = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = 0; i < kBlocksPerThread; ++i) {
          // Every other block is one that all threads bring.
          const uint64_t seed = i % 2 == 0 ? i : 1000 * (t + 1) + i;
          const Result<uint32_t> index = (*pending)->AppendBlock(TestBytes(seed, kPageBytes * (1 + i % 32)));
          if (index) {
            indexes[t][i] = *index;
          } else {
            ++errors;
          }
        }
      });
    }
  }
  ASSERT_EQ(errors, 0);
  constexpr size_t kBlocks = kBlocksPerThread / 2 * (kThreads + 1);
  ASSERT_OK((*pending)->Commit(NamingBlocks(kBlocks), {}));
  Result<Manifest> manifest = store_->Load({"job", 1});
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->blocks.size(), kBlocks);
  Result<std::unique_ptr<BlockReader>> blocks = store_->OpenBlocks(*manifest);
  ASSERT_OK(blocks);
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < kBlocksPerThread; ++i) {
        const uint64_t seed = i % 2 == 0 ? i : 1000 * (t + 1) + i;
        std::vector<std::byte> out(kPageBytes * (1 + i % 32));
        if (!(*blocks)->Read(indexes[t][i], out) || out != TestBytes(seed, out.size())) ++errors;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(errors, 0);
}

TEST_F(StoreRoundTrip, ListsNewestLastAndResolvesTheNewest) {
  for (uint64_t seed = 0; seed < 3; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  ASSERT_OK(CommitSample(*store_, "another", 9));
  EXPECT_EQ(store_->Lineages().value(), (std::vector<std::string>{"another", "job"}));
  const Result<std::vector<SnapshotSummary>> list = store_->Snapshots("job");
  ASSERT_OK(list);
  ASSERT_EQ(list->size(), 3U);
  EXPECT_EQ(list->at(1).id.ToString(), "job@2");
  EXPECT_EQ(list->at(1).process_count, 1U);
  EXPECT_EQ(list->at(1).annotations.at("note"), "sample 1");
  EXPECT_EQ(list->at(1).parent->ToString(), "elsewhere@1");
  EXPECT_EQ(list->at(1).damage, "");
  EXPECT_EQ(store_->Resolve({"job", 0})->version, 3U);
  EXPECT_EQ(store_->Load({"job", 2})->id.version, 2U);
}

TEST_F(StoreRoundTrip, AnnotationsAreAddedChangedAndRemoved) {
  ASSERT_OK(CommitSample(*store_, "job", 1));
  ASSERT_OK(store_->Annotate({"job", 1}, {{"loss", "0.5"}, {"k\xff", "v"}}));
  ASSERT_OK(store_->Annotate({"job", 1}, {{"loss", "0.25"}, {"note", ""}}));
  const Result<std::vector<SnapshotSummary>> list = store_->Snapshots("job");
  ASSERT_OK(list);
  EXPECT_EQ(list->at(0).annotations, (std::map<std::string, std::string>{{"loss", "0.25"}, {"k\xff", "v"}}));
  EXPECT_EQ(store_->Annotate({"job", 2}, {{"a", "b"}}).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(
      store_->Annotate({"job", 1}, {{"a", std::string(limits::kAnnotationBytesMax + 1, 'x')}}).error().kind,
      ErrorKind::kUsage);
}

TEST_F(StoreRoundTrip, AnUnknownNameIsAnsweredWithNearOnes) {
  ASSERT_OK(CommitSample(*store_, "training", 1));
  const Result<Manifest> missing = store_->Load({"trainign", 0});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(missing.error().hint.find("training"), std::string::npos) << missing.error().hint;
  const Result<SnapshotId> version = store_->Resolve({"training", 7});
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(version.error().hint.find('1'), std::string::npos) << version.error().hint;
}

TEST_F(StoreRoundTrip, DroppingASnapshotLeavesNothing) {
  {
    Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
    ASSERT_OK(pending);
    ASSERT_OK(AppendSample(**pending, 1));
    EXPECT_EQ(CountFiles(store_->directory()), 1U);
  }
  EXPECT_EQ(CountFiles(store_->directory()), 0U);
}

TEST_F(StoreRoundTrip, AContradictoryManifestIsRefusedAndLeavesNothing) {
  {
    Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
    ASSERT_OK(pending);
    Result<Manifest> manifest = AppendSample(**pending, 1);
    ASSERT_OK(manifest);
    manifest->address_spaces[0].extents[0].pages = 33;  // one more than its block has
    const Result<SnapshotId> id = (*pending)->Commit(*manifest, {});
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().kind, ErrorKind::kInternal);
  }
  EXPECT_EQ(CountFiles(store_->directory()), 0U);
}

TEST(SnapshotName, IsReadAndRefused) {
  EXPECT_EQ(ParseSnapshotId("job")->version, 0U);
  EXPECT_EQ(ParseSnapshotId("a-b.c_d@12")->ToString(), "a-b.c_d@12");
  for (const char* wrong : {"", "@1", "job@", "job@0", "job@x", "job@-1", "job@99999999999999999999", "a/b",
                            "..", ".hidden", "-x", "a b", "a@1@2", "job@100000000"}) {
    EXPECT_EQ(ParseSnapshotId(wrong).error().kind, ErrorKind::kUsage) << wrong;
  }
  EXPECT_TRUE(ValidateLineageName(std::string(100, 'a')));
  EXPECT_FALSE(ValidateLineageName(std::string(101, 'a')));
}

}  // namespace
}  // namespace holdfast
