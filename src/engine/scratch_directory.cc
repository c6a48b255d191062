#include "engine/scratch_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <span>
#include <utility>

#include "base/fd.h"
#include "store/file_io.h"

namespace holdfast {

Result<ScratchDirectory> ScratchDirectory::Make(const Store& store, const std::string& purpose) {
  std::error_code ignored;
  std::filesystem::create_directories(store.ScratchDirectory(), ignored);
  std::string path = (store.ScratchDirectory() / fmt::format("{}-{}-XXXXXX", purpose, getpid())).string();
  if (mkdtemp(path.data()) == nullptr) return FailErrno("cannot make a directory in " + path);
  return ScratchDirectory(std::move(path));
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<std::string> ReadWholeFile(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return FailErrno("cannot read " + path);
  std::string bytes(static_cast<size_t>(TRY(StatFd(fd.get(), path)).st_size), '\0');
  TRY(ReadAll(fd.get(), 0, std::as_writable_bytes(std::span(bytes)), path));
  return bytes;
}

Result<void> WriteWholeFile(const std::string& path, std::string_view bytes) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return FailErrno("cannot create " + path);
  return WriteAll(fd.get(), 0, std::as_bytes(std::span(bytes)), path);
}

}  // namespace holdfast
