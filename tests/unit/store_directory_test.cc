// Opening a store: what is one, what is refused, who may look into it, and what a full disk does to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoreDirectory : public ::testing::Test {
 protected:
  static mode_t ModeOf(const std::filesystem::path& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
  }

  void CommitOne() const {
    Result<Store> store = Store::Open(path_);
    ASSERT_OK(store);
    ASSERT_OK(CommitSample(*store, "job", 1));
  }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_.path() / "store";
};

TEST_F(StoreDirectory, IsMadeWithItsParentsAndOpenedAgain) {
  path_ = directory_.path() / "a/b/store";
  CommitOne();
  const Result<Store> again = Store::Open(path_.string() + "/");
  ASSERT_OK(again);
  EXPECT_EQ(again->directory(), path_);
  CheckSample(*again, again->Load({"job", 1}).value(), 1);
}

TEST_F(StoreDirectory, EverythingInItIsTheOwnersWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0277}}) {
    const std::filesystem::path path = directory_.path() / std::to_string(mask);
    const mode_t before = ::umask(mask);
    Result<Store> store = Store::Open(path);
    Result<SnapshotId> id = store ? CommitSample(*store, "job", 1) : Result<SnapshotId>(store.error());
    const bool annotated = id && store->Annotate(*id, {{"a", "b"}});
    ::umask(before);
    ASSERT_OK(id);
    ASSERT_TRUE(annotated);
    EXPECT_EQ(ModeOf(path), 0700U);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      EXPECT_EQ(ModeOf(entry.path()), entry.is_directory() ? 0700U : 0600U) << entry.path();
    }
  }
}

TEST_F(StoreDirectory, AnOpenOneIsClosedToOthers) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0777), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0777), 0);
  ASSERT_OK(Store::Open(path_));
  EXPECT_EQ(ModeOf(path_), 0700U);
}

TEST_F(StoreDirectory, OneThatIsOpenAndSomebodyElsesIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::mkdir(path_.c_str(), 0755), 0);
  ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_EQ(Store::Open(path_).error().kind, ErrorKind::kPermission);
}

TEST_F(StoreDirectory, WhatAFileSystemPutsIntoItsRootIsNothing) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((path_ / "lost+found").c_str(), 0700), 0);
  WriteWholeFile(path_ / ".hidden", "x");
  ASSERT_OK(Store::Open(path_));
}

TEST_F(StoreDirectory, ADirectoryWithOtherThingsIsRefusedAndLeftAlone) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0755), 0);
  WriteWholeFile(path_ / "thesis.tex", "precious");
  const Result<Store> store = Store::Open(path_);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().kind, ErrorKind::kUsage);
  EXPECT_EQ(CountFiles(path_), 1U);
  EXPECT_EQ(ModeOf(path_), 0755U);
}

TEST_F(StoreDirectory, WhatIsNoDirectoryIsRefused) {
  WriteWholeFile(path_, "a file");
  EXPECT_EQ(Store::Open(path_).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(Store::Open("").error().kind, ErrorKind::kUsage);
}

TEST_F(StoreDirectory, AnotherFormatVersionIsRefusedAndSaysSo) {
  ASSERT_OK(Store::Open(path_));
  WriteWholeFile(path_ / "format", "holdfast store\nversion 2\n");
  const Result<Store> newer = Store::Open(path_);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(newer.error().message, HasSubstr("version 2"));
}

TEST_F(StoreDirectory, ADamagedFormatFileIsRefused) {
  ASSERT_OK(Store::Open(path_));
  for (const char* text : {"", "something else", "holdfast store\n", "holdfast store\nversion 1",
                           "holdfast store\nversion 1\nx", "holdfast store\nversion 99999999999999\n"}) {
    WriteWholeFile(path_ / "format", text);
    EXPECT_EQ(Store::Open(path_).error().kind, ErrorKind::kCorrupt) << text;
  }
}

TEST_F(StoreDirectory, AStoreWithoutItsFormatFileIsRefused) {
  CommitOne();
  std::filesystem::remove(path_ / "format");
  EXPECT_FALSE(Store::Open(path_));
}

TEST_F(StoreDirectory, OneWhoseMakingWasCutShortIsMadeAnew) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  WriteWholeFile(path_ / "format.0123456789abcdef.partial", "holdf");
  ASSERT_OK(Store::Open(path_));
}

TEST_F(StoreDirectory, LinksInsideAreRefused) {
  for (const char* folder : {"segments", "snapshots", "jobs", "locks", "scratch"}) {
    const std::filesystem::path path = directory_.path() / (std::string("store-") + folder);
    ASSERT_OK(Store::Open(path));
    const std::filesystem::path elsewhere = directory_.path() / (std::string("elsewhere-") + folder);
    std::filesystem::rename(path / folder, elsewhere);
    std::filesystem::create_directory_symlink(elsewhere, path / folder);
    const Result<Store> store = Store::Open(path);
    ASSERT_FALSE(store) << folder;
    EXPECT_EQ(store.error().kind, ErrorKind::kCorrupt) << folder << ": " << store.error().message;
  }
}

TEST_F(StoreDirectory, ALinkToAStoreIsOne) {
  CommitOne();
  std::filesystem::create_directory_symlink(path_, directory_.path() / "link");
  const Result<Store> store = Store::Open(directory_.path() / "link");
  ASSERT_OK(store);
  EXPECT_TRUE(store->Load({"job", 1}));
}

TEST_F(StoreDirectory, NamesThatAreNoneAreRefusedEverywhere) {
  Store store = Store::Open(path_).value();
  for (const std::string& name :
       {std::string("../x"), std::string(""), std::string("a/b"), std::string(".x")}) {
    EXPECT_EQ(store.Begin(name).error().kind, ErrorKind::kUsage) << name;
    EXPECT_EQ(store.Load({name, 1}).error().kind, ErrorKind::kUsage) << name;
    EXPECT_EQ(store.Snapshots(name).error().kind, ErrorKind::kUsage) << name;
    EXPECT_EQ(store.RemoveLineage(name).error().kind, ErrorKind::kUsage) << name;
    EXPECT_EQ(store.Prune(name, 1).error().kind, ErrorKind::kUsage) << name;
    EXPECT_FALSE(store.Remove({name, 1})) << name;
    EXPECT_FALSE(store.Annotate({name, 1}, {{"a", "b"}})) << name;
  }
}

class FullStore : public StoreDirectory {
 protected:
  void SetUp() override {
    if (!disk_.mounted()) GTEST_SKIP() << "no file system can be mounted here";
    Result<Store> opened = Store::Open(disk_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }

  SmallDisk disk_{"2m"};
  std::unique_ptr<Store> store_;
};

TEST_F(FullStore, SaysSoAndWhatToDoAndKeepsNothingOfTheAttempt) {
  ASSERT_OK(CommitSample(*store_, "job", 1));
  const size_t files = CountFiles(store_->directory());
  disk_.FillUpTo(*store_, 100 << 10);
  const Result<SnapshotId> id = CommitSample(*store_, "job", 2);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().kind, ErrorKind::kNoSpace);
  EXPECT_THAT(id.error().message, HasSubstr("full"));
  EXPECT_THAT(id.error().hint, HasSubstr("prune"));
  EXPECT_EQ(CountFiles(store_->directory()), files);
  CheckSample(*store_, store_->Load({"job", 0}).value(), 1);
}

TEST_F(FullStore, ASnapshotIsThereWholeOrNotAtAllWhereverTheRoomEnds) {
  uint64_t newest = 0;
  int full = 0;
  for (uint64_t room = 0; room < (1 << 20) && newest < 3; room += 20 << 10) {
    disk_.FillUpTo(*store_, room);
    const size_t files = CountFiles(store_->directory());
    const Result<SnapshotId> id = CommitSample(*store_, "job", 2);
    if (id) {
      newest = id->version;
    } else {
      ++full;
      EXPECT_EQ(id.error().kind, ErrorKind::kNoSpace) << id.error().message;
      EXPECT_EQ(CountFiles(store_->directory()), files) << room;
    }
    EXPECT_THAT(store_->Verify(true)->problems, IsEmpty()) << room;
  }
  EXPECT_GT(full, 0);
  EXPECT_GT(newest, 0U);
}

TEST_F(FullStore, RoomCanBeMadeInIt) {
  for (uint64_t seed = 1; seed <= 2; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  disk_.FillUpTo(*store_, 0);
  const Result<StoreLock> lock = store_->Lock("job-job");
  EXPECT_TRUE(lock) << lock.error().message;
  const Result<PruneReport> report = store_->Prune("job", 1);
  ASSERT_OK(report);
  EXPECT_EQ(report->segments_removed, 1U);
  ASSERT_OK(store_->RemoveLineage("job"));
  ASSERT_OK(store_->CollectGarbage());
  EXPECT_GT(store_->BytesAvailable().value(), 0U);
}

}  // namespace
}  // namespace holdfast
