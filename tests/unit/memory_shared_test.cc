#include "memory/shared_memory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "memory_test_support.h"

namespace holdfast {
namespace {

class SharedMemoryTest : public MemoryStoreTest {
 protected:
  // Captures and stores what `pids` share, and loads it again.
  Manifest Capture(const std::vector<pid_t>& pids) {
    SharedMemoryCapture capture;
    const Result<void> captured = capture.CaptureFrozen(pids);
    if (!captured) ADD_FAILURE() << captured.error().message;
    bytes_ = capture.bytes();
    Manifest manifest;
    manifest.shared_objects = capture.Drain(*pending_).value();
    EXPECT_TRUE(pending_->Commit(std::move(manifest), {}));
    return store_->Load({"job", 0}).value();
  }
  static const SharedObject* Find(const Manifest& manifest, uint64_t id) {
    const auto found = std::find_if(manifest.shared_objects.begin(), manifest.shared_objects.end(),
                                    [&](const SharedObject& object) { return object.id == id; });
    return found == manifest.shared_objects.end() ? nullptr : &*found;
  }
  // The first byte of each page of an object; 0 where it has none.
  std::string FirstBytes(const Manifest& manifest, const SharedObject& object, size_t pages) const {
    std::string bytes(pages, '\0');
    const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
    for (const Extent& extent : object.extents) {
      std::vector<std::byte> block(manifest.blocks[extent.block].raw_bytes);
      EXPECT_TRUE(blocks->Read(extent.block, block));
      for (size_t page = 0; page < extent.pages; ++page) {
        bytes.at(extent.address / kPageBytes + page) =
            static_cast<char>(block.at((extent.first_page + page) * kPageBytes));
      }
    }
    return bytes;
  }
  static uint64_t InodeOf(int fd) {
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return status.st_ino;
  }

  uint64_t bytes_ = 0;
};

TEST_F(SharedMemoryTest, AnonymousMemoryOfTwoProcessesIsTakenOnce) {
  const TestMemory memory(8, -1, MAP_SHARED);
  const ChildProcess first([&] { *memory.Page(2) = 'x'; });
  const ChildProcess second([&] { *memory.Page(5) = 'y'; });
  const Manifest manifest = Capture({first.pid(), second.pid()});
  const uint64_t inode = memory.MappingsOf(first.pid()).at(0).inode;
  const SharedObject* const object = Find(manifest, inode);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->name, "/dev/zero (deleted)");
  EXPECT_EQ(FirstBytes(manifest, *object, 8), std::string("\0\0x\0\0y\0\0", 8));
  EXPECT_EQ(std::count_if(manifest.shared_objects.begin(), manifest.shared_objects.end(),
                          [&](const SharedObject& each) { return each.id == inode; }),
            1);
}

TEST_F(SharedMemoryTest, AMemoryFileThatIsOpenAndNotMappedIsTaken) {
  const Fd file(::memfd_create("holdfast-test", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 4 * kPageBytes + 10), 0);
  ASSERT_EQ(::pwrite(file.get(), "z", 1, 3 * kPageBytes), 1);
  ASSERT_EQ(::pwrite(file.get(), "end", 3, 4 * kPageBytes + 7), 3);
  const ChildProcess child;
  const Manifest manifest = Capture({child.pid()});
  const SharedObject* const object = Find(manifest, InodeOf(file.get()));
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(object->name, "/memfd:holdfast-test (deleted)");
  EXPECT_EQ(FirstBytes(manifest, *object, 5), std::string("\0\0\0z\0", 5));
}

TEST_F(SharedMemoryTest, HolesAreNotCopied) {
  const Fd file(::memfd_create("holdfast-holes", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), off_t{1} << 30), 0);
  ASSERT_EQ(::pwrite(file.get(), "a", 1, 0), 1);
  ASSERT_EQ(::pwrite(file.get(), "b", 1, (off_t{1} << 30) - 1), 1);
  const ChildProcess child;
  const Manifest manifest = Capture({child.pid()});
  const SharedObject* const object = Find(manifest, InodeOf(file.get()));
  ASSERT_NE(object, nullptr);
  uint64_t pages = 0;
  for (const Extent& extent : object->extents) pages += extent.pages;
  EXPECT_LE(pages, 2 * 512U);  // a file system may keep huge pages
  EXPECT_LT(bytes_, uint64_t{64} << 20);
}

TEST_F(SharedMemoryTest, SharedMappingsOfFilesAreNotMemory) {
  const Fd file = LetteredFile(4);
  const TestMemory memory(4, file.get(), MAP_SHARED);
  const ChildProcess child([&] { *memory.Page(0) = 'x'; });
  EXPECT_EQ(Find(Capture({child.pid()}), InodeOf(file.get())), nullptr);
}

TEST_F(SharedMemoryTest, AProcessThatIsGoneIsAnError) {
  SharedMemoryCapture capture;
  EXPECT_FALSE(capture.CaptureFrozen({DeadPid()}));
}

}  // namespace
}  // namespace holdfast
