#include "linux/cgroup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "process_test_support.h"

namespace holdfast {
namespace {

constexpr uint64_t kLimitBytes = 64 << 20;

bool Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  return file.good();
}

// A memory cgroup with a limit, where this machine lets us make one; removed with the object.
class LimitedCgroup {
 public:
  LimitedCgroup() {
    namespace fs = std::filesystem;
    for (const auto& [mount, limit] : {std::pair("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                                       std::pair("/sys/fs/cgroup", "memory.max")}) {
      const fs::path folder = fs::path(mount) / ("holdfast-test-" + std::to_string(::getpid()));
      if (::mkdir(folder.c_str(), 0755) != 0) continue;
      path_ = folder;
      std::error_code error;
      if (fs::exists(folder / limit, error) && Write(folder / limit, std::to_string(kLimitBytes))) return;
      ::rmdir(folder.c_str());
      path_.clear();
    }
  }
  LimitedCgroup(const LimitedCgroup&) = delete;
  LimitedCgroup& operator=(const LimitedCgroup&) = delete;
  ~LimitedCgroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  bool valid() const { return !path_.empty(); }
  const std::filesystem::path& path() const { return path_; }
  bool Add(pid_t pid) const { return Write(path_ / "cgroup.procs", std::to_string(pid)); }

 private:
  std::filesystem::path path_;
};

TEST(CgroupMemoryHeadroom, IsWhatTheLimitLeaves) {
  const LimitedCgroup cgroup;
  if (!cgroup.valid()) GTEST_SKIP() << "no memory cgroup can be made here";
  ChildProcess child;
  ASSERT_TRUE(cgroup.Add(child.pid()));
  const std::optional<uint64_t> room = CgroupMemoryHeadroom(child.pid());
  ASSERT_TRUE(room.has_value());
  EXPECT_LE(room.value_or(UINT64_MAX), kLimitBytes);
  child.KillAndCollect();
}

TEST(CgroupMemoryHeadroom, IsTheLeastAlongTheWayUp) {
  const LimitedCgroup cgroup;
  if (!cgroup.valid()) GTEST_SKIP() << "no memory cgroup can be made here";
  const std::filesystem::path inner = cgroup.path() / "inner";
  if (::mkdir(inner.c_str(), 0755) != 0) GTEST_SKIP() << "no cgroup below another can be made here";
  {
    ChildProcess child;
    ASSERT_TRUE(Write(inner / "cgroup.procs", std::to_string(child.pid())));
    const std::optional<uint64_t> room = CgroupMemoryHeadroom(child.pid());
    ASSERT_TRUE(room.has_value());
    EXPECT_LE(room.value_or(UINT64_MAX), kLimitBytes);
    child.KillAndCollect();
  }
  ::rmdir(inner.c_str());
}

TEST(CgroupMemoryHeadroom, OfAProcessThatIsGoneIsUnknown) {
  EXPECT_FALSE(CgroupMemoryHeadroom(DeadPid()).has_value());
}

TEST(MemoryAvailable, IsLessThanTheMachineHas) {
  const Result<uint64_t> available = MemoryAvailable();
  ASSERT_TRUE(available) << available.error().message;
  const auto all =
      static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  EXPECT_GT(*available, 0U);
  EXPECT_LE(*available, all);
}

}  // namespace
}  // namespace holdfast
