// Where the store keeps its bytes: named objects that are written once, whole or not at all. The store above
// knows segments, manifests and snapshots; a backend knows none of them. tests/unit/store_backend_test.cc is
// what every backend must pass.
//
// Keys are paths without "." and ".." ("segments/0a1b.seg"); a folder is what stands before the last slash.
// Thread-safe. Errors: kNotFound, kExists, kNoSpace, kCorrupt (something that is no object has the name),
// kIo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

// An object being written. Nobody sees it before Publish; its destructor drops what was not published, and
// the death of its process leaves what CollectAbandoned recognises.
class Upload {
 public:
  virtual ~Upload() = default;
  // Ranges may come in any order and from several threads; they must not overlap and leave no gap in the end.
  virtual Result<void> WriteAt(uint64_t offset, std::span<const std::byte> data) = 0;
  // Makes the content durable. No WriteAt after it.
  virtual Result<void> Seal() = 0;
  // Gives it its name, atomically and durably; on error nothing has it. kExists when the name is taken.
  // Requires: sealed.
  virtual Result<void> Publish() = 0;
};

// An object open for reading. It can be read to its end even if it is deleted meanwhile.
class Object {
 public:
  virtual ~Object() = default;
  virtual uint64_t bytes() const = 0;
  // Fills `out`; kCorrupt when the object ends before.
  virtual Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const = 0;
};

// What an opening gave; null, and no error, where nothing has the name.
template <typename T>
Result<std::unique_ptr<T>> IfThere(Result<std::unique_ptr<T>> opened) {
  if (!opened && opened.error().kind == ErrorKind::kNotFound) return std::unique_ptr<T>();
  return opened;
}

struct ObjectInfo {
  std::string name;  // without the folder
  uint64_t bytes = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Result<std::unique_ptr<Upload>> StartUpload(const std::string& key) = 0;
  virtual Result<std::unique_ptr<Object>> Open(const std::string& key) const = 0;
  // Writes a whole object durably if the key is free; kExists otherwise.
  virtual Result<void> Create(const std::string& key, std::span<const std::byte> content) = 0;
  // Writes a whole object durably in the place of what has the key, if anything. Readers see the old or the
  // new.
  virtual Result<void> Replace(const std::string& key, std::span<const std::byte> content) = 0;
  // Durable when it returns.
  virtual Result<void> Delete(const std::string& key) = 0;
  // The objects and the folders right in a folder ("segments/"), by name; a folder that is not there is
  // empty.
  virtual Result<std::vector<ObjectInfo>> List(const std::string& folder) const = 0;
  virtual Result<std::vector<std::string>> ListFolders(const std::string& folder) const = 0;
  // Removes the uploads into `folder` whose writer is dead, and only those; tells which.
  virtual Result<std::vector<ObjectInfo>> CollectAbandoned(const std::string& folder, bool dry_run) = 0;
  // Bytes that may still be written.
  virtual Result<uint64_t> BytesAvailable() const = 0;
};

}  // namespace holdfast
