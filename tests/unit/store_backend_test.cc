// What every backend must do; run against the one for directories.
#include "store/backend.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "process_test_support.h"
#include "store/directory_backend.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

class BackendTest : public ::testing::Test {
 protected:
  BackendTest()
      : backend_(
            MakeDirectoryBackend(Fd(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)))) {
  }

  std::string Content(const std::string& key) const {
    const Result<std::unique_ptr<Object>> object = backend_->Open(key);
    if (!object) return "(" + std::string(ErrorKindName(object.error().kind)) + ")";
    std::string text((*object)->bytes(), '\0');
    EXPECT_TRUE((*object)->ReadAt(0, std::as_writable_bytes(std::span(text))));
    return text;
  }
  std::vector<std::string> Names(const std::string& folder) const {
    std::vector<std::string> names;
    for (const ObjectInfo& object : List(folder)) names.push_back(object.name);
    return names;
  }
  std::vector<ObjectInfo> List(const std::string& folder) const { return backend_->List(folder).value(); }
  size_t FilesOnDisk() const { return CountFiles(directory_.path()); }

  TemporaryDirectory directory_;
  std::unique_ptr<Backend> backend_;
};

TEST_F(BackendTest, AnUploadIsSeenWhenItIsPublishedAndNotBefore) {
  const std::unique_ptr<Upload> upload = backend_->StartUpload("folder/a").value();
  ASSERT_OK(upload->WriteAt(5, Bytes("world")));
  ASSERT_OK(upload->WriteAt(0, Bytes("hello")));
  EXPECT_THAT(Names("folder/"), IsEmpty());
  ASSERT_OK(upload->Seal());
  EXPECT_EQ(Content("folder/a"), "(not-found)");
  ASSERT_OK(upload->Publish());
  EXPECT_EQ(Content("folder/a"), "helloworld");
  ASSERT_EQ(List("folder/").size(), 1U);
  EXPECT_EQ(List("folder/")[0].bytes, 10U);
}

TEST_F(BackendTest, AnUploadThatIsDroppedLeavesNothing) {
  {
    const std::unique_ptr<Upload> upload = backend_->StartUpload("folder/a").value();
    ASSERT_OK(upload->WriteAt(0, Bytes("x")));
    EXPECT_EQ(FilesOnDisk(), 1U);
  }
  EXPECT_EQ(FilesOnDisk(), 0U);
}

TEST_F(BackendTest, TheFirstToPublishANameHasIt) {
  const std::unique_ptr<Upload> first = backend_->StartUpload("a").value();
  {
    const std::unique_ptr<Upload> second = backend_->StartUpload("a").value();
    ASSERT_OK(first->WriteAt(0, Bytes("first")));
    ASSERT_OK(second->WriteAt(0, Bytes("second")));
    ASSERT_OK(first->Seal());
    ASSERT_OK(second->Seal());
    ASSERT_OK(first->Publish());
    EXPECT_EQ(second->Publish().error().kind, ErrorKind::kExists);
  }
  EXPECT_EQ(Content("a"), "first");
  EXPECT_EQ(FilesOnDisk(), 1U);
}

TEST_F(BackendTest, SeveralThreadsWriteOneUpload) {
  const std::unique_ptr<Upload> upload = backend_->StartUpload("a").value();
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        for (size_t part = 0; part < 50; ++part) {
          EXPECT_TRUE(
              upload->WriteAt((part * 8 + i) * 100, Bytes(std::string(100, static_cast<char>('a' + i)))));
        }
      });
    }
  }
  ASSERT_OK(upload->Seal());
  ASSERT_OK(upload->Publish());
  const std::string text = Content("a");
  ASSERT_EQ(text.size(), 8U * 50 * 100);
  for (size_t i = 0; i < text.size(); ++i) ASSERT_EQ(text[i], static_cast<char>('a' + i / 100 % 8)) << i;
}

TEST_F(BackendTest, CreateTakesAFreeNameOnly) {
  ASSERT_OK(backend_->Create("folder/a", Bytes("one")));
  EXPECT_EQ(backend_->Create("folder/a", Bytes("two")).error().kind, ErrorKind::kExists);
  EXPECT_EQ(Content("folder/a"), "one");
  ASSERT_OK(backend_->Create("folder/empty", {}));
  EXPECT_EQ(Content("folder/empty"), "");
}

TEST_F(BackendTest, ReplaceTakesAnyName) {
  ASSERT_OK(backend_->Replace("a", Bytes("one")));
  ASSERT_OK(backend_->Replace("a", Bytes("the second")));
  EXPECT_EQ(Content("a"), "the second");
  EXPECT_EQ(FilesOnDisk(), 1U);
}

TEST_F(BackendTest, AnOpenObjectIsReadToItsEndWhateverHappensToItsName) {
  ASSERT_OK(backend_->Create("a", Bytes("old content")));
  const std::unique_ptr<Object> object = backend_->Open("a").value();
  ASSERT_OK(backend_->Replace("a", Bytes("new")));
  ASSERT_OK(backend_->Delete("a"));
  std::string text(object->bytes(), '\0');
  ASSERT_OK(object->ReadAt(0, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "old content");
  EXPECT_EQ(Content("a"), "(not-found)");
}

TEST_F(BackendTest, ReadingPastTheEndIsDamage) {
  ASSERT_OK(backend_->Create("a", Bytes("0123456789")));
  const std::unique_ptr<Object> object = backend_->Open("a").value();
  std::string text(4, '\0');
  ASSERT_OK(object->ReadAt(6, std::as_writable_bytes(std::span(text))));
  EXPECT_EQ(text, "6789");
  EXPECT_EQ(object->ReadAt(7, std::as_writable_bytes(std::span(text))).error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(object->ReadAt(1ull << 40, std::as_writable_bytes(std::span(text))).error().kind,
            ErrorKind::kCorrupt);
}

TEST_F(BackendTest, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(backend_->Open("a").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(backend_->Open("folder/a").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(backend_->Delete("a").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(backend_->Delete("folder/a").error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(Names("folder/"), IsEmpty());
  EXPECT_THAT(backend_->ListFolders("folder/").value(), IsEmpty());
}

TEST_F(BackendTest, ListsObjectsAndFoldersByName) {
  for (const char* key : {"b", "a", "f/x", "c"}) ASSERT_OK(backend_->Create(key, Bytes("1")));
  ASSERT_OK(backend_->Create("e/x", Bytes("1")));
  EXPECT_THAT(Names(""), ElementsAre("a", "b", "c"));
  EXPECT_THAT(backend_->ListFolders("").value(), ElementsAre("e", "f"));
  EXPECT_THAT(Names("f/"), ElementsAre("x"));
}

TEST_F(BackendTest, UploadsOfTheLivingAreNotAbandoned) {
  const std::unique_ptr<Upload> upload = backend_->StartUpload("folder/a").value();
  ASSERT_OK(upload->WriteAt(0, Bytes("x")));
  EXPECT_THAT(backend_->CollectAbandoned("folder/", false).value(), IsEmpty());
  ASSERT_OK(upload->Seal());
  ASSERT_OK(upload->Publish());
  EXPECT_THAT(backend_->CollectAbandoned("folder/", false).value(), IsEmpty());
  EXPECT_EQ(Content("folder/a"), "x");
}

TEST_F(BackendTest, UploadsOfTheDeadAreAbandoned) {
  ASSERT_OK(backend_->Create("folder/other", Bytes("y")));
  const pid_t pid = ::fork();
  if (pid == 0) {
    const Result<std::unique_ptr<Upload>> upload = backend_->StartUpload("folder/a");
    const bool written = upload && (*upload)->WriteAt(0, Bytes("12345"));
    ::_exit(written ? 0 : 1);  // no destructor runs
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  const std::vector<ObjectInfo> would = backend_->CollectAbandoned("folder/", true).value();
  ASSERT_EQ(would.size(), 1U);
  EXPECT_EQ(would[0].bytes, 5U);
  EXPECT_EQ(FilesOnDisk(), 2U) << "a dry run removes nothing";
  EXPECT_EQ(backend_->CollectAbandoned("folder/", false)->size(), 1U);
  EXPECT_EQ(FilesOnDisk(), 1U);
  EXPECT_THAT(backend_->CollectAbandoned("folder/", false).value(), IsEmpty());
}

TEST_F(BackendTest, WhatHasTheNameOfAnObjectAndIsNoneIsDamage) {
  ASSERT_EQ(::mkdir((directory_.path() / "folder").c_str(), 0700), 0);
  ASSERT_EQ(::mkfifo((directory_.path() / "pipe").c_str(), 0600), 0);
  ASSERT_OK(backend_->Create("target", Bytes("x")));
  ASSERT_EQ(::symlink("target", (directory_.path() / "link").c_str()), 0);
  ASSERT_EQ(::symlink("folder", (directory_.path() / "linked-folder").c_str()), 0);
  EXPECT_EQ(backend_->Open("folder").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(backend_->Open("pipe").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(backend_->Open("link").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(backend_->Open("linked-folder/a").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(backend_->Create("linked-folder/a", Bytes("x")).error().kind, ErrorKind::kCorrupt);
}

TEST_F(BackendTest, NothingOutsideIsReached) {
  EXPECT_FALSE(backend_->Open("../" + directory_.path().filename().string() + "/a"));
  EXPECT_FALSE(backend_->Open("/etc/passwd"));
  EXPECT_FALSE(backend_->Create("../escaped", Bytes("x")));
}

TEST_F(BackendTest, FilesAreTheOwnersWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    const mode_t before = ::umask(mask);
    const std::string key = "folder" + std::to_string(mask) + "/a";
    const Result<void> created = backend_->Create(key, Bytes("x"));
    ::umask(before);
    ASSERT_OK(created);
    struct stat status {};
    ASSERT_EQ(::stat((directory_.path() / key).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
    ASSERT_EQ(::stat((directory_.path() / key).parent_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0700U);
  }
}

TEST_F(BackendTest, TellsHowMuchRoomThereIs) {
  EXPECT_GT(backend_->BytesAvailable().value(), 0U);
}

}  // namespace
}  // namespace holdfast
