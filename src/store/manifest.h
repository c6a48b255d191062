// A snapshot as a value: everything a restart needs, and what people ask about it. The bytes of memory, of
// CRIU's images and of files are blocks in segments; a manifest names them. Every manifest is complete: a
// restart never walks a chain of parents. docs/store-format.md says how it lies on disk.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

// NAME@7: the seventh snapshot of the lineage NAME. Versions start at 1 and are never used again.
struct SnapshotId {
  std::string lineage;
  uint64_t version = 0;

  std::string ToString() const { return lineage + "@" + std::to_string(version); }
  auto operator<=>(const SnapshotId&) const = default;
};

// "NAME" (version 0: its present) or "NAME@7". Refuses names that the store would refuse (see
// ValidateLineageName).
Result<SnapshotId> ParseSnapshotId(std::string_view text);
// 1 to 100 characters of [A-Za-z0-9._-], starting with a letter or a digit.
Result<void> ValidateLineageName(std::string_view name);

enum class Codec : uint8_t { kRaw = 0, kZstd = 1 };

// One stored run of bytes. `raw_bytes` <= limits::kBlockBytesMax.
struct BlockRef {
  uint32_t segment = 0;  // index into Manifest::segments
  uint64_t offset = 0;   // of the stored bytes in the segment file
  uint32_t stored_bytes = 0;
  uint32_t raw_bytes = 0;
  Codec codec = Codec::kRaw;
  std::array<uint8_t, 16> hash{};  // XXH3-128 of the raw bytes, canonical (big-endian) form
};

// A byte string kept in blocks: a CRIU image, a file's content.
struct Blob {
  uint64_t bytes = 0;
  std::vector<uint32_t> blocks;  // indexes into Manifest::blocks, in order; a hole of zeros is kZeroBlock
};

inline constexpr uint32_t kZeroBlock = 0xffffffff;

// `pages` pages of memory from `address` on, found in one block from its page `first_page` on.
struct Extent {
  uint64_t address = 0;  // virtual address, or offset in a shared object; page aligned
  uint32_t pages = 0;
  uint32_t block = 0;  // index into Manifest::blocks, or kZeroBlock: pages that exist and hold only zeros
  uint16_t first_page = 0;
  bool huge = false;  // was backed by a transparent huge page
};

// The private memory of one task, extents sorted by address, disjoint. What is in no extent is as mapped
// (zeros, or the file's).
struct AddressSpace {
  int32_t pid = 0;  // as the job sees it
  std::vector<Extent> extents;
};

// Memory shared by several mappings: anonymous shared, memfd, SysV. `id` is CRIU's shmid.
struct SharedObject {
  uint64_t id = 0;
  std::string name;  // what /proc/PID/maps calls it
  std::vector<Extent> extents;
};

// A CRIU image file that holds kernel objects ("core-12.img"), as CRIU wrote it.
struct ImageFile {
  std::string name;
  Blob content;
};

// A regular file that the job had open for writing, or mapped shared and writable, or that lay in one of its
// FileTrees, as it was at the freeze.
struct FileState {
  std::string path;  // absolute, in the job's mount namespace
  uint64_t bytes = 0;
  uint32_t mode = 0;  // permission bits and setuid/setgid/sticky
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_ns = 0;
  bool append_only = false;      // every writer had O_APPEND
  bool content_kept = false;     // false: only size, mode and owner are known
  bool only_if_missing = false;  // the job only reads it: what is there at a restart stays
  std::string kept_by;           // for people: "reflink", "appended", ...
  // As long as it has these numbers, size and mtime it has this content. ctime_ns 0: they tell nothing.
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t ctime_ns = 0;
  Blob content;
};

// What stood under one name in a FileTree.
struct TreeEntry {
  enum class Kind : uint8_t {
    kDirectory,
    kFile,     // a FileState of this path has the rest
    kLink,     // one more name of the file that `target` is the FileState's path of
    kSymlink,  // to `target`
    kFifo,
    kOther,  // a socket, a device, a mount: known to have been there, not made again
  };
  std::string path;  // below the tree's directory; empty: that directory itself
  Kind kind = Kind::kFile;
  uint32_t mode = 0;  // permission bits and setuid/setgid/sticky
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_ns = 0;
  uint64_t links = 1;  // hard links, those outside of the tree too
  std::string target;
  std::map<std::string, std::string> attributes;  // extended ones
};

// A directory that belongs to the snapshot with all that was in it.
struct FileTree {
  std::string path;                // absolute, without symbolic links, in the job's mount namespace
  std::vector<TreeEntry> entries;  // sorted by path, so outer ones first
};

// A directory on the way to such a file, or that a process needs otherwise: made again when it is missing.
struct DirectoryState {
  std::string path;
  uint32_t mode = 0;  // permission bits and setuid/setgid/sticky
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct ProcessInfo {
  int32_t pid = 0;
  int32_t parent = 0;
  int32_t session = 0;
  uint32_t uid = 0;
  std::string name;
  std::vector<std::string> command_line;
  std::string working_directory;
  std::vector<std::string> environment;  // NAME=value
  std::vector<int32_t> threads;
  struct Binding {
    int32_t thread = 0;
    std::string cpus;  // "0-3,8"
  };
  std::vector<Binding> bindings;  // threads that may not run on every CPU
  uint64_t resident_bytes = 0;
  struct Mapping {
    uint64_t start = 0;
    uint64_t end = 0;
    std::string permissions;  // "rw-p"
    std::string name;         // path, "[heap]", "[anon:...]", or empty
  };
  std::vector<Mapping> mappings;
  struct OpenFile {
    int32_t fd = 0;
    std::string target;  // what /proc/PID/fd/N points to
  };
  std::vector<OpenFile> files;
};

// Where it was taken; a restart checks what must match.
struct Environment {
  std::string hostname;
  std::string kernel_release;
  std::string machine;  // "x86_64"
  std::string cpu_model;
  std::vector<std::string> cpu_flags;  // as /proc/cpuinfo names them
  std::string criu_version;
  std::string holdfast_version;
};

// What the checkpoint took. Times in milliseconds, sizes in bytes.
struct CheckpointFigures {
  double freeze_ms = 0;  // no thread of the job could run
  double drain_ms = 0;
  double total_ms = 0;
  uint64_t bytes_captured = 0;  // memory pages read, zero pages included
  uint64_t bytes_stored = 0;    // what the snapshot added to the store
  std::string capture;          // "twin", "copy", "mixed"
  std::string capture_reason;   // why that way
};

enum class SnapshotKind : uint8_t { kFull = 0, kDelta = 1 };

struct Manifest {
  SnapshotId id;
  std::optional<SnapshotId> parent;
  SnapshotKind kind = SnapshotKind::kFull;
  int64_t created_ms = 0;  // wall clock, ms since 1970
  int32_t root_pid = 0;    // as the job sees it
  Environment environment;
  CheckpointFigures figures;
  std::vector<std::string> warnings;
  // Options and facts that the engine wants back at a restart ("shell-job": "1"). The store does not look
  // inside.
  std::map<std::string, std::string> engine_facts;
  std::vector<ProcessInfo> processes;
  std::vector<AddressSpace> address_spaces;
  std::vector<SharedObject> shared_objects;
  std::vector<ImageFile> images;
  std::vector<FileState> files;
  std::vector<DirectoryState> directories;  // outer ones first
  std::vector<FileTree> trees;              // sorted by path, none within another
  std::vector<std::string> segments;        // names, as in the store's segments/
  std::vector<BlockRef> blocks;
};

// What a list shows of a snapshot, cheap to read.
struct SnapshotSummary {
  SnapshotId id;
  std::optional<SnapshotId> parent;
  SnapshotKind kind = SnapshotKind::kFull;
  bool present = false;  // what the lineage's name alone stands for
  int64_t created_ms = 0;
  CheckpointFigures figures;
  uint32_t process_count = 0;
  std::map<std::string, std::string> annotations;  // the note of `checkpoint --note` is under "note"
  // Not empty: the manifest or its annotations are damaged, and how; all other fields but the id are empty
  // then.
  std::string damage;
};

}  // namespace holdfast
