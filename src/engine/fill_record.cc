#include "engine/fill_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace holdfast {
namespace {

constexpr std::string_view kFilled = "filled\n";
constexpr std::string_view kLost = "lost: ";

std::string Content(const Fd& fd) {
  std::array<char, 4096> text{};
  const ssize_t bytes = pread(fd.get(), text.data(), text.size(), 0);
  return {text.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0};
}

void Write(const Fd& fd, std::string_view text) {
  // Nobody could do anything about an error; then there is no word of an end, which is "lost".
  static_cast<void>(pwrite(fd.get(), text.data(), text.size(), 0) == 0);
}

}  // namespace

FillProgress ReadFillProgress(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // What cannot be told now is not the end of a job: whoever asks asks again.
  if (!fd.valid()) return {errno == ENOENT ? FillStage::kNone : FillStage::kFilling, ""};
  // The lock first: who lets go of it has written how it ended.
  const bool held = flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
  const std::string text = Content(fd);
  if (text == kFilled) return {FillStage::kFilled, ""};
  if (text.starts_with(kLost)) return {FillStage::kLost, text.substr(kLost.size())};
  if (held) return {FillStage::kFilling, ""};
  return {FillStage::kLost, "its page servers were killed"};
}

Result<FillRecord> FillRecord::Create(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!fd.valid()) return FailErrno("cannot create " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return FailErrno("cannot lock " + path);
  return FillRecord(std::move(fd));
}

void FillRecord::SetFilled() const {
  Write(fd_, kFilled);
}

void FillRecord::SetLost(const std::string& reason) const {
  Write(fd_, std::string(kLost) + reason);
}

}  // namespace holdfast
