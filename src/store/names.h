// Names of lineages and snapshots, and the files they have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/manifest.h"

namespace holdfast {

std::string LineageFolder(std::string_view lineage);  // "snapshots/NAME/"
std::string ManifestKey(const SnapshotId& id);        // "snapshots/NAME/00000007.manifest"
std::string AnnotationsKey(const SnapshotId& id);     // "snapshots/NAME/00000007.annotations"
std::string RemovedKey(const SnapshotId& id);         // "snapshots/NAME/00000007.removed"
std::string CommittedKey(const SnapshotId& id);       // "snapshots/NAME/00000007.committed"
std::string PresentKey(std::string_view lineage);     // "snapshots/NAME/present"
// 1 to `bytes_max` characters of [A-Za-z0-9._-], the first a letter or a digit.
Result<void> ValidateName(std::string_view name, uint32_t bytes_max);
// The version in a file name "00000007<suffix>"; nothing when it is not one.
std::optional<uint64_t> VersionOfFile(std::string_view file_name, std::string_view suffix);

// Those of `known` that somebody who typed `name` may have meant, nearest first, at most three.
std::vector<std::string> NearNames(std::string_view name, const std::vector<std::string>& known);

}  // namespace holdfast
