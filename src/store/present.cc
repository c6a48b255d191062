#include "store/present.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "store/format.h"
#include "store/json_fields.h"
#include "store/names.h"

namespace holdfast {
namespace {

// Good until a version of `below` or above is committed: no commit has to touch it.
struct Present {
  uint64_t version = 0;
  uint64_t below = 0;
};

Result<Present> Parse(std::string_view text, const std::string& key) {
  std::string problem;
  Present present;
  const Json json = TRY(ParseJson(text, key));
  JsonFields fields(json, key, problem);
  fields.Get("version", present.version);
  fields.Get("below", present.below);
  if (!fields.ok()) return Fail(ErrorKind::kCorrupt, problem);
  return present;
}

Result<std::optional<Present>> Read(const StoreCore& core, const std::string& lineage) {
  const std::string key = PresentKey(lineage);
  const std::unique_ptr<Object> object = TRY(IfThere(core.backend->Open(key)));
  if (object == nullptr) return std::optional<Present>();
  if (object->bytes() > format::kPresentBytesMax) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} has {} bytes, too many", key, object->bytes()));
  }
  std::string text(object->bytes(), '\0');
  TRY(object->ReadAt(0, std::as_writable_bytes(std::span(text))));
  return std::optional<Present>(TRY(Parse(text, key)));
}

}  // namespace

Result<uint64_t> PresentVersion(const StoreCore& core, const std::string& lineage,
                                const std::vector<uint64_t>& versions) {
  const Result<std::optional<Present>> present = Read(core, lineage);
  if (!present) {
    return Error(present.error())
        .WithHint(fmt::format(
            "name the snapshot ({}@N, see 'holdfast snapshots {}'), or remove the file to go on with "
            "the newest",
            lineage, lineage));
  }
  if (!*present || TRY(core.HighWater(lineage)) >= (*present)->below) return versions.back();
  const bool there = std::binary_search(versions.begin(), versions.end(), (*present)->version);
  return there ? (*present)->version : versions.back();
}

Result<void> MakePresent(const StoreCore& core, const SnapshotId& id) {
  const uint64_t below = TRY(core.HighWater(id.lineage)) + 1;
  const Json json = {{"version", id.version}, {"below", below}};
  return core.backend->Replace(PresentKey(id.lineage), AsBytes(PrintJson(json) + "\n"));
}

Result<void> CollectPresent(const StoreCore& core, const std::string& lineage) {
  const Result<std::optional<Present>> present = Read(core, lineage);
  if (!present || !*present) return {};  // a damaged one is for a person to look at
  const std::vector<uint64_t> versions = TRY(core.Versions(lineage));
  const bool there = std::binary_search(versions.begin(), versions.end(), (*present)->version);
  if (there && TRY(core.HighWater(lineage)) < (*present)->below) return {};
  return core.backend->Delete(PresentKey(lineage));
}

}  // namespace holdfast
