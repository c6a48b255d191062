#include "files/tree_return.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "files/extended_attributes.h"
#include "files/file_times.h"
#include "files/sidecars.h"
#include "files/tree_walk.h"

namespace holdfast {
namespace {

using Kind = TreeEntry::Kind;

bool IsFileName(Kind kind) {
  return kind == Kind::kFile || kind == Kind::kLink;
}

std::string_view NameOf(Kind kind) {
  switch (kind) {
    case Kind::kDirectory:
      return "directory";
    case Kind::kFile:
    case Kind::kLink:
      return "file";
    case Kind::kSymlink:
      return "symbolic link";
    case Kind::kFifo:
      return "fifo";
    case Kind::kOther:
      break;
  }
  return "socket or device";
}

}  // namespace

// Of the inodes there are now, and of the files that are wanted.
struct TreeReturn::FileNames {
  std::map<FileKey, uint64_t> inside;              // how many of an inode are in the tree
  std::map<FileKey, std::string> taken_for;        // which file of the snapshot an inode will be
  std::map<std::string, uint64_t> outside_before;  // how many a file had elsewhere

  // Whether nobody has linked it to the outside since, to keep it as it is now. Only of the very inode that
  // had other names it is known that they are to follow.
  bool IsOurs(const WalkedEntry& one, const FileState& state) const {
    const bool same = one.key == FileKey{state.device, state.inode};
    return one.entry.links <= inside.at(one.key) + (same ? outside_before.at(state.path) : 0);
  }
};

std::string TreeReturn::FileOf(const TreeEntry& entry) const {
  return entry.kind == Kind::kLink ? entry.target : Shown(entry.path);
}

// Null for a file that went while the snapshot was taken.
const FileState* TreeReturn::StateOf(const TreeEntry& entry) const {
  const auto state = files_.find(FileOf(entry));
  return state == files_.end() ? nullptr : state->second;
}

const TreeEntry* TreeReturn::NearestWanted(std::string path) const {
  for (;;) {
    if (const auto wanted = wanted_.find(path); wanted != wanted_.end()) return wanted->second;
    if (path.empty()) return nullptr;
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
}

Result<void> TreeReturn::Check() {
  TRY(CheckTop());
  for (const TreeEntry& entry : tree_.entries) wanted_[entry.path] = &entry;
  now_ = TRY(WalkTree(root_, tree_.path));
  TRY(CheckMounts());
  return FindOthers();
}

Result<void> TreeReturn::CheckTop() const {
  const Fd top(OpenWithoutLinks(root_.get(), tree_.path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!top.valid() && errno == ENOENT) return {};
  struct stat status {};
  if (top.valid() && ::fstat(top.get(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
  if (!top.valid() && errno != ELOOP && errno != ENOTDIR) return FailErrno("cannot open " + tree_.path);
  return Fail(ErrorKind::kUnsupported,
              tree_.path + " was a directory at the checkpoint and is something else now, or behind a link")
      .WithHint("move it away, then resume again");
}

Result<void> TreeReturn::PutNames() {
  top_.Reset(OpenWithoutLinks(root_.get(), tree_.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!top_.valid()) {
    const NameInDirectory at = OpenParent(root_, tree_.path);
    if (!at.directory.valid() || ::mkdirat(at.directory.get(), at.name.c_str(), S_IRWXU) != 0)
      return FailErrno("cannot make the directory " + tree_.path + " again");
    sentences_.push_back(tree_.path + ": made again; it was gone");
    top_.Reset(OpenWithoutLinks(root_.get(), tree_.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!top_.valid()) return FailErrno("cannot open " + tree_.path);
  }
  // Inner ones before the directories that they are in.
  for (auto other = others_.rbegin(); other != others_.rend(); ++other) TRY(Remove(now_.entries[*other]));
  for (const TreeEntry& entry : tree_.entries) TRY(Make(entry));
  return {};
}

// What would be put back there would get into the other file system.
Result<void> TreeReturn::CheckMounts() const {
  for (const WalkedEntry& one : now_.entries) {
    if (one.mount == now_.entries.front().mount) continue;
    const TreeEntry* const wanted = NearestWanted(one.entry.path);
    const bool came_later = wanted != nullptr && wanted->path != one.entry.path;
    if (wanted == nullptr || wanted->kind == Kind::kOther) continue;
    if (came_later && wanted->kind == Kind::kDirectory) continue;  // is left
    return Fail(ErrorKind::kUnsupported,
                fmt::format("{} was a {} at the checkpoint, and something is mounted {} it now",
                            Shown(wanted->path), NameOf(wanted->kind), came_later ? "in" : "on"))
        .WithHint("unmount it, then resume again");
  }
  return {};
}

TreeReturn::FileNames TreeReturn::CountNames() const {
  FileNames names;
  for (const WalkedEntry& one : now_.entries) {
    const TreeEntry* const wanted = NearestWanted(one.entry.path);
    const bool is_left = wanted != nullptr && wanted->kind == Kind::kOther;
    names.inside[one.key] += one.entry.kind == Kind::kFile && !is_left ? 1 : 0;
  }
  std::map<std::string, uint64_t> inside_before;
  for (const TreeEntry& entry : tree_.entries) {
    if (IsFileName(entry.kind)) ++inside_before[FileOf(entry)];
  }
  for (const TreeEntry& entry : tree_.entries) {
    if (!IsFileName(entry.kind)) continue;
    const uint64_t before = inside_before[FileOf(entry)];
    names.outside_before[FileOf(entry)] = entry.links > before ? entry.links - before : 0;
  }
  return names;
}

Result<void> TreeReturn::FindOthers() {
  FileNames names = CountNames();
  for (const WalkedEntry& one : now_.entries) {  // first, so that no other file takes their inodes
    const auto wanted = wanted_.find(one.entry.path);
    if (wanted == wanted_.end() || !IsFileName(wanted->second->kind)) continue;
    if (one.entry.kind == Kind::kFile) TRY(TakeNotKept(one, *wanted->second, names));
  }
  for (size_t i = 0; i < now_.entries.size(); ++i) {
    const WalkedEntry& one = now_.entries[i];
    const TreeEntry* const wanted = NearestWanted(one.entry.path);
    if (wanted != nullptr && wanted->kind == Kind::kOther) continue;
    const bool is_it = wanted != nullptr && wanted->path == one.entry.path;
    if (!is_it || !Fits(one, *wanted, names)) others_.push_back(i);
  }
  return {};
}

// What the snapshot does not hold must be here: it stays, under all of its names, or all is refused.
Result<void> TreeReturn::TakeNotKept(const WalkedEntry& one, const TreeEntry& wanted,
                                     FileNames& names) const {
  const FileState* const state = StateOf(wanted);
  if (state != nullptr && state->content_kept) return {};
  const std::string file = FileOf(wanted);
  const bool is_another = names.taken_for.try_emplace(one.key, file).first->second != file;
  if (state == nullptr) return {};
  const auto refuse = [&](std::string_view what) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("{} {}; the snapshot does not hold its content", Shown(wanted.path), what))
        .WithHint("put the file back from elsewhere, then resume again");
  };
  if (is_another) return refuse("is a link to another file now");
  const Fd place(OpenWithoutLinks(root_.get(), file, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (place.valid() && ::fstat(place.get(), &status) == 0 && FileKey{status.st_dev, status.st_ino} != one.key)
    return refuse("is no link to " + file + " any more");
  if (one.times.bytes > state->bytes && !names.IsOurs(one, *state))
    return refuse("has grown, and has got names outside of the directory");
  return {};
}

// Whether what is there is what was, or can become that in place.
bool TreeReturn::Fits(const WalkedEntry& one, const TreeEntry& wanted, FileNames& names) const {
  if (wanted.kind == Kind::kSymlink)
    return one.entry.kind == Kind::kSymlink && one.entry.target == wanted.target;
  if (!IsFileName(wanted.kind)) return one.entry.kind == wanted.kind;
  if (one.entry.kind != Kind::kFile) return false;
  const FileState* const state = StateOf(wanted);
  if (state == nullptr || !state->content_kept) return true;  // see TakeNotKept
  const std::string file = FileOf(wanted);
  return names.taken_for.try_emplace(one.key, file).first->second == file && names.IsOurs(one, *state);
}

Result<void> TreeReturn::Remove(const WalkedEntry& one) {
  const std::string& path = one.entry.path;
  const NameInDirectory at = OpenParent(top_, path);
  if (!at.directory.valid()) return FailErrno("cannot open the directory of " + Shown(path));
  const bool directory = one.entry.kind == Kind::kDirectory;
  if (::unlinkat(at.directory.get(), at.name.c_str(), directory ? AT_REMOVEDIR : 0) != 0) {
    if (errno != EBUSY && errno != ENOTEMPTY && errno != EISDIR)
      return FailErrno("cannot remove " + Shown(path));
    sentences_.push_back(
        fmt::format("{}: left, though it came after the snapshot: something is mounted {} it", Shown(path),
                    directory ? "in" : "on"));
    return {};
  }
  // One that makes room for what was there will be told of as that.
  if (!wanted_.contains(path)) {
    sentences_.push_back(fmt::format("{}: removed; it came after the snapshot", Shown(path)));
  }
  return {};
}

Result<void> TreeReturn::Make(const TreeEntry& entry) {
  if (IsFileName(entry.kind) || entry.path.empty()) return {};
  const NameInDirectory at = OpenParent(top_, entry.path);
  if (!at.directory.valid()) return FailErrno("cannot open the directory of " + Shown(entry.path));
  const char* const name = at.name.c_str();
  struct stat status {};
  if (::fstatat(at.directory.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0) return {};
  if (errno != ENOENT) return FailErrno("cannot look at " + Shown(entry.path));
  if (entry.kind == Kind::kOther) return {};
  const int made = entry.kind == Kind::kDirectory ? ::mkdirat(at.directory.get(), name, S_IRWXU)
                   : entry.kind == Kind::kSymlink
                       ? ::symlinkat(entry.target.c_str(), at.directory.get(), name)
                       : ::mkfifoat(at.directory.get(), name, S_IRUSR | S_IWUSR);
  if (made != 0)
    return FailErrno(fmt::format("cannot make the {} {}", NameOf(entry.kind), Shown(entry.path)));
  sentences_.push_back(fmt::format("{}: made again, a {}", Shown(entry.path), NameOf(entry.kind)));
  return {};
}

Result<void> TreeReturn::Complete() {
  for (const TreeEntry& entry : tree_.entries) {
    if (entry.kind == Kind::kLink) TRY(Link(entry));
  }
  for (const TreeEntry& entry : tree_.entries) {
    const bool has_status = entry.kind != Kind::kOther && entry.kind != Kind::kLink;
    if (has_status) TRY(PutStatus(entry));
  }
  return {};
}

Result<void> TreeReturn::Link(const TreeEntry& entry) {
  if (StateOf(entry) == nullptr) return {};
  const Fd file(OpenWithoutLinks(root_.get(), entry.target, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat wanted {};
  if (!file.valid() || ::fstat(file.get(), &wanted) != 0) return FailErrno("cannot open " + entry.target);
  const NameInDirectory at = OpenParent(top_, entry.path);
  if (!at.directory.valid()) return FailErrno("cannot open the directory of " + Shown(entry.path));
  struct stat now {};
  if (::fstatat(at.directory.get(), at.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0) {
    if (now.st_dev == wanted.st_dev && now.st_ino == wanted.st_ino) return {};
    if (::unlinkat(at.directory.get(), at.name.c_str(), 0) != 0)
      return FailErrno("cannot remove " + Shown(entry.path));
  }
  const std::string link = fmt::format("/proc/self/fd/{}", file.get());
  if (::linkat(AT_FDCWD, link.c_str(), at.directory.get(), at.name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    return FailErrno(fmt::format("cannot link {} to {}", Shown(entry.path), entry.target));
  }
  sentences_.push_back(fmt::format("{}: linked again to {}", Shown(entry.path), entry.target));
  return {};
}

// Owner before mode, which a change of owner may clear; attributes after it, since an access list is a part
// of both; times last.
Result<void> TreeReturn::PutStatus(const TreeEntry& entry) {
  const NameInDirectory at = OpenParent(top_, entry.path);
  if (!at.directory.valid()) return FailErrno("cannot open the directory of " + Shown(entry.path));
  const char* const name = entry.path.empty() ? "." : at.name.c_str();
  const int directory = at.directory.get();
  struct stat now {};
  if (::fstatat(directory, name, &now, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT && entry.kind == Kind::kFile) return {};  // its content was not kept
    return FailErrno("cannot look at " + Shown(entry.path));
  }
  std::vector<std::string> done;
  if (entry.kind == Kind::kFile) {  // the rest came with its content
    TRY(PutAttributes(entry, fmt::format("/proc/self/fd/{}/{}", directory, name), done));
    if (!done.empty()) sentences_.push_back(fmt::format("{}: {}", Shown(entry.path), fmt::join(done, ", ")));
    return {};
  }
  if (now.st_uid != entry.uid || now.st_gid != entry.gid) {
    if (::fchownat(directory, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return FailErrno("cannot give " + Shown(entry.path) + " its owner");
    done.push_back(fmt::format("owner {}:{}", entry.uid, entry.gid));
    if (::fstatat(directory, name, &now, AT_SYMLINK_NOFOLLOW) != 0)
      return FailErrno("cannot look at " + Shown(entry.path));
  }
  if (entry.kind != Kind::kSymlink && (now.st_mode & 07777) != entry.mode) {
    TRY(PutMode(entry));
    done.push_back(fmt::format("mode {:04o}", entry.mode));
  }
  TRY(PutAttributes(entry, fmt::format("/proc/self/fd/{}/{}", directory, name), done));
  const timespec times[2] = {{0, UTIME_OMIT}, TimespecOf(entry.mtime_ns)};
  if (!IsSameTime(now.st_mtim, times[1]) && ::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return FailErrno("cannot give " + Shown(entry.path) + " its time");
  if (!done.empty()) sentences_.push_back(fmt::format("{}: {}", Shown(entry.path), fmt::join(done, ", ")));
  return {};
}

// By a descriptor: what has just been put in its place, a link, must not be followed.
Result<void> TreeReturn::PutMode(const TreeEntry& entry) const {
  const Fd place(OpenWithoutLinks(top_.get(), entry.path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!place.valid() || ::fstat(place.get(), &status) != 0)
    return FailErrno("cannot open " + Shown(entry.path));
  const bool is_it = entry.kind == Kind::kDirectory ? S_ISDIR(status.st_mode) : S_ISFIFO(status.st_mode);
  if (!is_it) {
    return Fail(ErrorKind::kBusy, Shown(entry.path) + " is being changed by another process")
        .WithHint("end what changes it, then resume again");
  }
  if (::chmod(fmt::format("/proc/self/fd/{}", place.get()).c_str(), entry.mode) != 0)
    return FailErrno("cannot give " + Shown(entry.path) + " its mode");
  return {};
}

// `path` leads to it. What a file system cannot keep, or nobody may set, is said.
Result<void> TreeReturn::PutAttributes(const TreeEntry& entry, const std::string& path,
                                       std::vector<std::string>& done) const {
  const ExtendedAttributes now = TRY(ReadAttributes(path, Shown(entry.path)));
  const auto note = [&](int result, const std::string& attribute) -> Result<void> {
    if (result == 0) {
      done.push_back("attribute " + attribute);
    } else if (errno == ENOTSUP || errno == EPERM || errno == EACCES) {
      done.push_back(fmt::format("its attribute {} could not be put back", attribute));
    } else {
      return FailErrno(fmt::format("cannot put back the attribute {} of {}", attribute, Shown(entry.path)));
    }
    return {};
  };
  for (const auto& [attribute, value] : entry.attributes) {
    const auto known = now.find(attribute);
    if (known != now.end() && known->second == value) continue;
    TRY(note(::lsetxattr(path.c_str(), attribute.c_str(), value.data(), value.size(), 0), attribute));
  }
  for (const auto& [attribute, value] : now) {
    if (entry.attributes.contains(attribute)) continue;
    TRY(note(::lremovexattr(path.c_str(), attribute.c_str()), attribute));
  }
  return {};
}

}  // namespace holdfast
