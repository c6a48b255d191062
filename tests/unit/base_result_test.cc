#include "base/result.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/fd.h"

namespace holdfast {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Fail(ErrorKind::kUsage, "odd").WithHint("take an even one");
  return number / 2;
}

Result<std::string> Quarter(int number) {
  const int half = TRY(Half(number));
  return std::to_string(TRY(Half(half)));
}

Result<void> Check(int number) {
  TRY(Half(number));
  return {};
}

Result<std::unique_ptr<int>> Owned(int number) {
  return std::make_unique<int>(TRY(Half(number)));
}

TEST(Result, TryGivesTheValueOrHandsTheErrorUp) {
  EXPECT_EQ(Quarter(8).value(), "2");
  for (const int number : {3, 6}) {
    const Result<std::string> result = Quarter(number);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
    EXPECT_EQ(result.error().message, "odd");
    EXPECT_EQ(result.error().hint, "take an even one");
  }
}

TEST(Result, TryServesResultsWithoutAValueAndThoseThatOnlyMove) {
  EXPECT_TRUE(Check(2));
  EXPECT_FALSE(Check(3));
  const std::unique_ptr<int> owned = Owned(8).value();
  EXPECT_EQ(*owned, 4);
  EXPECT_FALSE(Owned(3));
}

TEST(Error, WithinPutsTheContextInFrontAndKeepsTheRest) {
  const Error error =
      Fail(ErrorKind::kCorrupt, "bad checksum").WithHint("verify").Within("block 7").Within("a.seg");
  EXPECT_EQ(error.message, "a.seg: block 7: bad checksum");
  EXPECT_EQ(error.kind, ErrorKind::kCorrupt);
  EXPECT_EQ(error.hint, "verify");
}

TEST(Error, FailErrnoTakesTheKindFromTheNumber) {
  const std::array<std::pair<int, ErrorKind>, 9> kinds = {{{ENOENT, ErrorKind::kNotFound},
                                                           {ESRCH, ErrorKind::kNotFound},
                                                           {EEXIST, ErrorKind::kExists},
                                                           {EPERM, ErrorKind::kPermission},
                                                           {EACCES, ErrorKind::kPermission},
                                                           {ENOSPC, ErrorKind::kNoSpace},
                                                           {EDQUOT, ErrorKind::kNoSpace},
                                                           {EBUSY, ErrorKind::kBusy},
                                                           {EIO, ErrorKind::kIo}}};
  for (const auto& [number, kind] : kinds) {
    const Error error = FailErrno(number, "open /x");
    EXPECT_EQ(error.kind, kind) << error.message;
    EXPECT_EQ(error.error_number, number);
    EXPECT_EQ(error.message.rfind("open /x: ", 0), 0U) << error.message;
    EXPECT_GT(error.message.size(), std::string("open /x: ").size());
  }
}

TEST(Error, FailErrnoReadsErrno) {
  errno = ENOSPC;
  EXPECT_EQ(FailErrno("write").kind, ErrorKind::kNoSpace);
}

TEST(Error, EveryKindHasItsOwnName) {
  std::set<std::string_view> names;
  int count = 0;
  for (int kind = static_cast<int>(ErrorKind::kInternal); kind <= static_cast<int>(ErrorKind::kInterrupted);
       ++kind) {
    names.insert(ErrorKindName(static_cast<ErrorKind>(kind)));
    ++count;
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(count));
  EXPECT_EQ(ErrorKindName(ErrorKind::kNoSpace), "no-space");
}

bool IsOpen(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(Fd, ClosesItselfOnceAndGivesUpOwnershipWhenMovedOrReleased) {
  int raw = -1;
  {
    Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = fd.get();
    ASSERT_TRUE(fd.valid());
    const Fd moved = std::move(fd);
    EXPECT_FALSE(fd.valid());  // NOLINT(bugprone-use-after-move): a moved-from Fd is empty by contract
    EXPECT_TRUE(IsOpen(moved.get()));
  }
  EXPECT_FALSE(IsOpen(raw));

  Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  raw = fd.Release();
  fd.Reset();
  EXPECT_TRUE(IsOpen(raw));
  const Fd again(raw);
}

}  // namespace
}  // namespace holdfast
