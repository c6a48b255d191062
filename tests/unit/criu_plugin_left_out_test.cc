// Parts of a stopped process's memory left out of a fork and put back: its memory map is then as it was.
#include "criu_plugin/left_out.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "process_test_support.h"

namespace holdfast {
namespace {

constexpr uint64_t kPage = 4096;

std::string ReadText(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Of every mapping: its addresses and flags.
std::vector<std::string> MappingsWithFlags(pid_t pid) {
  std::istringstream smaps(ReadText(pid, "smaps"));
  std::vector<std::string> mappings;
  std::string line;
  std::string mapping;
  while (std::getline(smaps, line)) {
    if (line.starts_with("VmFlags:")) mappings.push_back(mapping + line);
    const size_t dash = line.find('-');
    if (dash != std::string::npos && dash < line.find(' ')) mapping = line + " ";
  }
  return mappings;
}

// How many bytes a child would not inherit.
uint64_t BytesLeftOut(pid_t pid) {
  uint64_t bytes = 0;
  for (const std::string& mapping : MappingsWithFlags(pid)) {
    if (mapping.find(" dc", mapping.find("VmFlags:")) == std::string::npos) continue;
    const size_t dash = mapping.find('-');
    bytes += std::stoull(mapping.substr(dash + 1), nullptr, 16) - std::stoull(mapping, nullptr, 16);
  }
  return bytes;
}

// A child with 64 pages of its own in the middle of what it cannot touch, that we trace and that stands
// still.
class LeftOutTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kPages = 64;

  LeftOutTest() {
    constexpr uint64_t kAround = 16;
    char* const around = static_cast<char*>(
        ::mmap(nullptr, (kPages + 2 * kAround) * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memory_ = around + kAround * kPage;
    ::mprotect(memory_, kPages * kPage, PROT_READ | PROT_WRITE);
    ::madvise(memory_, kPages * kPage, MADV_NOHUGEPAGE);
  }

  // `advice`: what the job itself says of the pages from `first` on.
  void Start(int advice = MADV_NORMAL, uint64_t first = 0, uint64_t count = kPages) {
    child_.emplace([=, this] {
      for (uint64_t page = 0; page < kPages; ++page) memory_[page * kPage] = 1;
      ::madvise(memory_ + first * kPage, count * kPage, advice);
    });
    ASSERT_EQ(::ptrace(PTRACE_SEIZE, child_->pid(), nullptr, nullptr), 0);
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, child_->pid(), nullptr, nullptr), 0);
    int status = 0;
    ASSERT_EQ(WaitForTask(child_->pid(), &status), child_->pid());
    call_.emplace(child_->pid());
    ASSERT_EQ(call_->error(), 0);
  }

  uint64_t Address(uint64_t page) const { return reinterpret_cast<uint64_t>(memory_) + page * kPage; }
  TwinRange Pages(uint64_t first, uint64_t end) const { return {Address(first), Address(end)}; }

  // Whether all is as it was after so much was left out.
  void ExpectUndone(const std::vector<TwinRange>& ranges, uint64_t pages_left_out) {
    const std::vector<std::string> before = MappingsWithFlags(child_->pid());
    const uint64_t bytes_before = BytesLeftOut(child_->pid());
    {
      const LeftOut left_out(*call_, ranges.data(), ranges.size());
      EXPECT_EQ(BytesLeftOut(child_->pid()) - bytes_before, pages_left_out * kPage);
    }
    EXPECT_EQ(MappingsWithFlags(child_->pid()), before);
  }

  char* memory_ = nullptr;
  std::optional<ChildProcess> child_;
  std::optional<RemoteCall> call_;
};

TEST_F(LeftOutTest, NothingIsNothing) {
  Start();
  ExpectUndone({}, 0);
}

TEST_F(LeftOutTest, PartsInTheMiddleAndAtTheEnd) {
  Start();
  ExpectUndone({Pages(1, 8), Pages(9, 10), Pages(20, 40), Pages(41, kPages)}, 7 + 1 + 20 + 23);
}

TEST_F(LeftOutTest, WhatTheJobKeepsFromItsChildrenStaysSo) {
  Start(MADV_DONTFORK, 16, 16);
  // The second range is the job's own, and the first one ends where it begins: the kernel joins the two.
  ExpectUndone({Pages(8, 16), Pages(20, 24), Pages(40, 44)}, 8 + 4);
}

TEST_F(LeftOutTest, OtherAdviceStays) {
  Start(MADV_DONTDUMP, 16, 16);
  ExpectUndone({Pages(2, 16), Pages(17, 32), Pages(33, 50)}, 14 + 15 + 17);
  child_->KillAndCollect();
  call_.reset();
  Start(MADV_WIPEONFORK, 16, 16);
  ExpectUndone({Pages(2, 16), Pages(17, 32), Pages(33, 50)}, 14 + 15 + 17);
}

TEST_F(LeftOutTest, WhatIsNotThereIsLeftAlone) {
  Start();
  const uint64_t nowhere = 0x1000;
  ExpectUndone({{nowhere, nowhere + kPage}, Pages(10, 20)}, 10);
}

TEST_F(LeftOutTest, AChildHasTheRest) {
  Start();
  const TwinRange range = Pages(1, kPages);
  pid_t twin = 0;
  {
    const LeftOut left_out(*call_, &range, 1);
    ASSERT_EQ(::ptrace(PTRACE_SETOPTIONS, child_->pid(), nullptr,
                       PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL),
              0);
    twin = static_cast<pid_t>(call_->Call(56 /* clone */, 0));
    ASSERT_GT(twin, 0);
  }
  EXPECT_EQ(call_->new_child(), 0);
  const std::string maps = ReadText(twin, "maps");
  std::stringstream first_page;
  first_page << std::hex << Address(0) << "-" << Address(1) << " ";
  EXPECT_NE(maps.find(first_page.str()), std::string::npos) << maps;
  EXPECT_EQ(BytesLeftOut(child_->pid()), 0u);
  ::kill(twin, SIGKILL);
  int status = 0;
  while (WaitForTask(twin, &status) > 0 && WIFSTOPPED(status)) {
  }
}

}  // namespace
}  // namespace holdfast
