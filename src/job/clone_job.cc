#include "job/clone_job.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "base/fd.h"
#include "base/paths.h"
#include "engine/engine.h"
#include "job/checkpoint_target.h"
#include "job/job_book.h"
#include "job/job_notes.h"
#include "job/supervised_job.h"

namespace holdfast {

namespace {

namespace fs = std::filesystem;

const ProcessInfo* RootOf(const Manifest& manifest) {
  for (const ProcessInfo& process : manifest.processes) {
    if (process.pid == manifest.root_pid) return &process;
  }
  return nullptr;
}

std::string NoteFileOf(const ProcessInfo& process) {
  const std::string assignment = std::string(kNoteVariable) + "=";
  for (const std::string& entry : process.environment) {
    if (entry.starts_with(assignment)) return entry.substr(assignment.size());
  }
  return {};
}

// The file in the job's directory and the job's own file are one.
Result<void> MakeShared(const fs::path& in_directory, const fs::path& own_file) {
  std::error_code error;
  fs::create_directories(own_file.parent_path(), error);
  if (error) return FailErrno(error.value(), "cannot make " + own_file.parent_path().string());
  const Fd file(::open(own_file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!file.valid()) return FailErrno("cannot make " + own_file.string());
  fs::create_hard_link(own_file, in_directory, error);
  if (error) return FailErrno(error.value(), "cannot make " + in_directory.string());
  return {};
}

class Clone {
 public:
  Clone(const JobBook& book, const Manifest& original, const std::string& name, bool private_network)
      : book_(book), original_(original), name_(name), private_network_(private_network) {}

  Result<JobRecord> Record() const {
    const Result<JobRecord> known = book_.Load(original_.id.lineage);
    JobRecord record;
    if (known) {
      record.command = known->command;
      record.working_directory = known->working_directory;
      record.terminal = known->terminal;
    } else if (const ProcessInfo* root = RootOf(original_)) {
      record.command = root->command_line;
      record.working_directory = root->working_directory;
    }
    // Not those that the original has now: what the snapshot lacks, the clone would not have as its own.
    for (const FileTree& tree : original_.trees) record.file_trees.push_back(tree.path);
    record.name = name_;
    record.began_ms = BeganMs(original_);
    record.private_files = true;
    record.private_network = private_network_;
    return record;
  }

  // What the original wrote into its directory, this one writes into its own.
  Result<void> TakeOverJobFiles() const {
    const fs::path jobs = book_.DirectoryOf(name_).parent_path();
    for (const FileState& file : original_.files) {
      const fs::path path = file.path;
      std::error_code error;
      if (!fs::equivalent(path.parent_path().parent_path(), jobs, error)) continue;
      TRY(MakeShared(book_.DirectoryOf(name_) / path.filename(), Own(path)));
    }
    const ProcessInfo* root = RootOf(original_);
    const std::string note = root == nullptr ? "" : NoteFileOf(*root);
    if (note.starts_with('/') && !fs::exists(Own(note)))
      TRY(MakeShared(NoteFile(book_.DirectoryOf(name_)), Own(note)));
    return {};
  }

  Result<void> Set(const SetFile& file) const {
    const fs::path path = TRY(PathInJob(file.path));
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
      return Fail(ErrorKind::kNotFound, fmt::format("--set-file: {} is no file that there is", path.string()))
          .WithHint("the clone sees its own content in the place of a file's; make the file first: touch " +
                    path.string());
    }
    for (const FileState& kept : original_.files) {
      if (kept.path != path || kept.only_if_missing) continue;
      return Fail(ErrorKind::kUnsupported,
                  fmt::format(
                      "--set-file: the job has {} open for writing: its content belongs to the snapshot",
                      path.string()))
          .WithHint("a file that the job opens anew, to read it, can be set");
    }
    for (const FileTree& tree : original_.trees) {
      if (!IsWithin(path.string(), tree.path)) continue;
      return Fail(ErrorKind::kUnsupported,
                  fmt::format("--set-file: {} is in {}, which belongs to the snapshot", path.string(),
                              tree.path))
          .WithHint("a file beside the directories of --files can be set");
    }
    std::error_code error;
    fs::create_directories(Own(path).parent_path(), error);
    const Fd own(
        ::open(Own(path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
    if (!own.valid()) return FailErrno("cannot make " + Own(path).string());
    const bool written = ::write(own.get(), file.content.data(), file.content.size()) ==
                         static_cast<ssize_t>(file.content.size());
    if (!written || ::fchown(own.get(), status.st_uid, status.st_gid) != 0 ||
        ::fchmod(own.get(), status.st_mode & 07777) != 0) {
      return FailErrno("cannot write " + Own(path).string());
    }
    return {};
  }

 private:
  fs::path Own(const fs::path& path) const { return book_.PrivateFilesOf(name_) / path.relative_path(); }

  Result<fs::path> PathInJob(const fs::path& path) const {
    const ProcessInfo* root = RootOf(original_);
    if (path.is_relative() && root == nullptr) {
      return Fail(ErrorKind::kUsage, "--set-file: give the whole path of " + path.string());
    }
    std::error_code error;
    const fs::path whole = path.is_relative() ? fs::path(root->working_directory) / path : path;
    const fs::path real = fs::canonical(whole, error);
    return error ? whole.lexically_normal() : real;
  }

  const JobBook& book_;
  const Manifest& original_;
  const std::string& name_;
  const bool private_network_;
};

bool NeedsOwnNetwork(const Manifest& original, const NetworkUse& use) {
  return HasPrivateNetwork(original) || !use.names.empty() || use.talks_to_itself;
}

std::vector<std::string> AboutNetwork(const Manifest& original, const NetworkUse& use, CloneNetwork asked,
                                      bool own) {
  std::vector<std::string> sentences;
  if (own) {
    constexpr size_t kShownMax = 3;
    std::string names;
    for (size_t i = 0; i < std::min(use.names.size(), kShownMax); ++i) {
      names += (i == 0 ? "" : ", ") + use.names[i];
    }
    if (use.names.size() > kShownMax) names += ", ...";
    const std::string why = asked == CloneNetwork::kOwn   ? "as asked for"
                            : HasPrivateNetwork(original) ? "as its original's is"
                            : !use.names.empty()          ? "since it is bound to " + names
                                                          : "since it is connected to itself";
    sentences.push_back("its network is its own, " + why +
                        ": it reaches nothing outside; 'nsenter -t PID -n COMMAND' reaches it");
  }
  if (use.talks_to_others) {
    sentences.push_back("its connections to others are closed: they stay the original's");
  }
  return sentences;
}

Result<void> RefuseIfTaken(const Store& store, const JobBook& book, const std::string& name) {
  if (!book.Has(name) && !store.Resolve({.lineage = name, .version = 0})) return {};
  return Fail(ErrorKind::kExists, "there is a job called '" + name + "' already")
      .WithHint("choose another --name, or remove that one: holdfast rm " + name);
}

}  // namespace

Result<MadeClone> MakeClone(Store& store, const SnapshotId& original_id, const std::string& name,
                            const std::vector<SetFile>& set_files, CloneNetwork network) {
  TRY(ValidateLineageName(name));
  const Manifest original = TRY(store.Load(original_id));
  if (const std::optional<Container> container = ContainerOf(original)) {
    return Fail(ErrorKind::kUnsupported, original_id.ToString() + " is a snapshot of container " +
                                             container->id + ", which needs no clone to be there twice")
        .WithHint("holdfast resume " + original_id.ToString() + " --container NEWID --bundle DIR");
  }
  TRY(RequireRoot("a clone"));
  const JobBook book(store.JobsDirectory());
  const StoreLock lock = TRY(store.Lock(JobLockName(name)));
  TRY(RefuseIfTaken(store, book, name));
  const NetworkUse use = TRY(ReadNetworkUse(store, original));
  const bool own_network =
      network == CloneNetwork::kOwn || (network == CloneNetwork::kAuto && NeedsOwnNetwork(original, use));
  const Clone clone(book, original, name, own_network);
  const auto make = [&]() -> Result<SnapshotId> {
    TRY(book.Save(TRY(clone.Record())));
    TRY(clone.TakeOverJobFiles());
    for (const SetFile& file : set_files) TRY(clone.Set(file));
    return CloneSnapshot(store, original, name, own_network);
  };
  const Result<SnapshotId> made = make();
  if (!made) {
    static_cast<void>(book.Remove(name));
    return made.error();
  }
  return MadeClone{*made, AboutNetwork(original, use, network, own_network)};
}

}  // namespace holdfast
