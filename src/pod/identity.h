// What must not run twice: one container of one of the pods that a controller makes. It is written as a path
// of five names, NAMESPACE/OWNER-UID/TEMPLATE-HASH/SLOT/CONTAINER, so that pods of another owner or of
// another template never get each other's memory.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

class PodIdentity {
 public:
  // kUsage: it is not five plain names. Nothing of it can lead out of a directory.
  static Result<PodIdentity> Parse(std::string_view path);

  const std::string& path() const { return path_; }
  // The lineage of its snapshots: the five names with dots between, which is one way to read it, since only
  // the third of them may have dots; or a hash of them, where that would be too long for a lineage.
  std::string Lineage() const;
  // Of its lease (decision 19), below the store's directory.
  std::filesystem::path LeaseDirectory(const std::filesystem::path& store) const;

 private:
  explicit PodIdentity(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace holdfast
