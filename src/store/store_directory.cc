// Opening a store: is it one, is it ours, may nobody else look into it?
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "store/directory_backend.h"
#include "store/file_io.h"
#include "store/format.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

constexpr uint64_t kFormatFileBytesMax = 4096;
constexpr std::array<const char*, 5> kFolders = {"segments", "snapshots", "jobs", "locks", "scratch"};

std::string FormatText(uint32_t version) {
  return fmt::format("{}\nversion {}\n", format::kFormatMagicLine, version);
}

// Makes the directory when it is missing; its parents as the umask has it.
Result<void> MakeDirectory(const std::filesystem::path& directory) {
  struct stat status = {};
  if (::stat(directory.c_str(), &status) == 0) return {};
  if (errno != ENOENT) return FailErrno("open the store " + directory.string());
  std::error_code error;
  const std::filesystem::path parent = directory.parent_path();
  std::filesystem::create_directories(parent, error);
  if (error) return FailErrno(error.value(), "make the folder " + parent.string());
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return FailErrno("make the store " + directory.string());
  }
  const Fd parent_fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent_fd.valid()) return FailErrno("open " + parent.string());
  return SyncFd(parent_fd.get(), parent.string());
}

// False when there is no format file.
Result<bool> CheckFormatFile(const StoreCore& core) {
  const std::unique_ptr<Object> file = TRY(IfThere(core.backend->Open(std::string(format::kFormatFile))));
  if (file == nullptr) return false;
  std::string text(std::min(file->bytes(), kFormatFileBytesMax), '\0');
  TRY(file->ReadAt(0, std::as_writable_bytes(std::span(text))));
  if (text == FormatText(format::kVersion)) return true;
  const std::string path = (core.directory / format::kFormatFile).string();
  const std::string before_version = fmt::format("{}\nversion ", format::kFormatMagicLine);
  uint32_t version = 0;
  if (text.starts_with(before_version)) {
    const char* digits = text.data() + before_version.size();
    const auto [rest, error] = std::from_chars(digits, text.data() + text.size(), version);
    if (error != std::errc{}) version = 0;
  }
  if (version != 0 && version != format::kVersion) {
    return Fail(ErrorKind::kCorrupt,
                fmt::format("the store {} has format version {}; this Holdfast reads version {}",
                            core.directory.string(), version, format::kVersion))
        .WithHint("use the Holdfast that made it, or another --store");
  }
  return Fail(ErrorKind::kCorrupt, fmt::format("{} is not what a store has there", path))
      .WithHint(fmt::format("if this is a store of yours, it must hold the two lines '{}' and 'version {}'",
                            format::kFormatMagicLine, format::kVersion));
}

// What a file system puts into its root, and what the making of a store leaves when it is killed.
bool IsNothing(const std::string& name) {
  return name == "lost+found" || name.starts_with('.') ||
         (name.starts_with(format::kFormatFile) && name.ends_with(format::kPartialSuffix));
}

Result<bool> IsEmpty(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    if (!IsNothing(entries->path().filename().string())) return false;
  }
  if (error) return FailErrno(error.value(), "read " + directory.string());
  return true;
}

Result<void> MakeFormatFile(const StoreCore& core) {
  if (!TRY(IsEmpty(core.directory))) {
    if (TRY(CheckFormatFile(core))) return {};  // another process was faster
    return Fail(ErrorKind::kUsage, fmt::format("{} is neither a store nor empty", core.directory.string()))
        .WithHint("name another directory with --store; it is made when it is missing");
  }
  Result<void> made =
      core.backend->Create(std::string(format::kFormatFile), AsBytes(FormatText(format::kVersion)));
  if (!made && made.error().kind != ErrorKind::kExists) return made;
  return {};
}

}  // namespace

Result<std::shared_ptr<StoreCore>> OpenStoreDirectory(const std::filesystem::path& directory,
                                                      const StoreOptions& options) {
  auto core = std::make_shared<StoreCore>();
  std::error_code error;
  core->directory = std::filesystem::absolute(directory, error).lexically_normal();
  if (error || directory.empty()) return Fail(ErrorKind::kUsage, "the store needs a directory");
  if (!core->directory.has_filename()) core->directory = core->directory.parent_path();  // a trailing slash
  core->options = options;
  const std::string name = core->directory.string();
  TRY(MakeDirectory(core->directory));
  core->root = Fd(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!core->root.valid()) {
    if (errno == ENOTDIR) return Fail(ErrorKind::kUsage, name + " is not a directory");
    return FailErrno("open the store " + name);
  }
  const struct stat status = TRY(StatFd(core->root.get(), name));
  const bool open_to_others = (status.st_mode & 077) != 0;
  if (open_to_others && status.st_uid != ::geteuid()) {
    return Fail(ErrorKind::kPermission,
                fmt::format("the store {} is open to others (mode {:04o}) and belongs to uid {}", name,
                            status.st_mode & 07777, status.st_uid))
        .WithHint("snapshots hold the memory of jobs: its owner must close it with chmod 0700");
  }
  Fd backend_root(::fcntl(core->root.get(), F_DUPFD_CLOEXEC, 0));
  if (!backend_root.valid()) return FailErrno("open the store " + name);
  core->backend = MakeDirectoryBackend(std::move(backend_root));
  if (!TRY(CheckFormatFile(*core))) TRY(MakeFormatFile(*core));
  if (status.st_uid == ::geteuid() && (status.st_mode & 07777) != 0700 &&
      ::fchmod(core->root.get(), 0700) != 0) {
    return FailErrno("chmod " + name);
  }
  for (const char* folder : kFolders) TRY(OpenOrMakeFolder(core->root.get(), folder));
  return core;
}

}  // namespace holdfast
