#include "cli/snapshot_json.h"

#include <algorithm>

#include "base/clock.h"
#include "base/page.h"

namespace holdfast {

namespace {

std::string KindName(SnapshotKind kind) {
  return kind == SnapshotKind::kFull ? "full" : "delta";
}

Json EnvironmentToJson(const Environment& environment) {
  return {{"hostname", environment.hostname},
          {"kernel_release", environment.kernel_release},
          {"machine", environment.machine},
          {"cpu_model", environment.cpu_model},
          {"cpu_flags", environment.cpu_flags},
          {"criu_version", environment.criu_version},
          {"holdfast_version", environment.holdfast_version}};
}

Json ProcessToJson(const Manifest& manifest, const ProcessInfo& process) {
  const AddressSpace* space = FindAddressSpace(manifest, process.pid);
  Json memory = Json::array();
  for (const ProcessInfo::Mapping& mapping : process.mappings) {
    const uint64_t stored = space == nullptr ? 0 : StoredBytesWithin(*space, mapping.start, mapping.end);
    memory.push_back({{"start", mapping.start},
                      {"end", mapping.end},
                      {"permissions", mapping.permissions},
                      {"name", mapping.name},
                      {"bytes_stored_pages", stored}});
  }
  Json files = Json::array();
  for (const ProcessInfo::OpenFile& file : process.files) {
    files.push_back({{"fd", file.fd}, {"target", file.target}});
  }
  return {{"pid", process.pid},
          {"parent", process.parent},
          {"name", process.name},
          {"command", process.command_line},
          {"uid", process.uid},
          {"threads", process.threads},
          {"cwd", process.working_directory},
          {"resident_bytes", process.resident_bytes},
          {"memory", std::move(memory)},
          {"files", std::move(files)},
          {"environment", process.environment}};
}

}  // namespace

Json CheckpointToJson(const JobCheckpoint& checkpoint) {
  const Manifest& manifest = checkpoint.manifest;
  const CheckpointFigures& figures = manifest.figures;
  return {{"snapshot", manifest.id.ToString()},
          {"freeze_ms", figures.freeze_ms},
          {"drain_ms", figures.drain_ms},
          {"total_ms", figures.total_ms},
          {"waited_ms", checkpoint.waited_ms},
          {"bytes_captured", figures.bytes_captured},
          {"bytes_stored", figures.bytes_stored},
          {"capture", figures.capture},
          {"capture_reason", figures.capture_reason},
          {"freeze", FreezeToJson(manifest)},
          {"processes", manifest.processes.size()},
          {"warnings", manifest.warnings}};
}

Json FreezeToJson(const Manifest& manifest) {
  const std::optional<FreezeAccount> freeze = FreezeAccountOf(manifest);
  if (!freeze) return nullptr;
  return {{"capture", manifest.figures.capture},
          {"capture_reason", manifest.figures.capture_reason},
          {"predicted_ms", freeze->predicted_ms},
          {"was_ms", manifest.figures.freeze_ms},
          {"precopy_rounds", freeze->precopy_rounds},
          {"written_bytes", freeze->written_bytes},
          {"budget_ms", freeze->budget_ms > 0 ? Json(freeze->budget_ms) : Json(nullptr)},
          {"budget_missed", freeze->budget_missed.empty() ? Json(nullptr) : Json(freeze->budget_missed)}};
}

Json SummaryToJson(const SnapshotSummary& summary) {
  return {{"snapshot", summary.id.ToString()},
          {"kind", KindName(summary.kind)},
          {"parent", summary.parent ? Json(summary.parent->ToString()) : Json(nullptr)},
          {"present", summary.present},
          {"created", FormatWallClock(summary.created_ms)},
          {"freeze_ms", summary.figures.freeze_ms},
          {"drain_ms", summary.figures.drain_ms},
          {"bytes_captured", summary.figures.bytes_captured},
          {"bytes_stored", summary.figures.bytes_stored},
          {"processes", summary.process_count},
          {"annotations", summary.annotations}};
}

Json ManifestToJson(const Manifest& manifest, const SnapshotSummary& summary) {
  Json json = SummaryToJson(summary);
  json["freeze"] = FreezeToJson(manifest);
  json["environment"] = EnvironmentToJson(manifest.environment);
  json["warnings"] = manifest.warnings;
  json["processes"] = Json::array();
  for (const ProcessInfo& process : manifest.processes)
    json["processes"].push_back(ProcessToJson(manifest, process));
  json["files"] = Json::array();
  for (const FileState& file : manifest.files) {
    json["files"].push_back({{"path", file.path},
                             {"bytes", file.bytes},
                             {"mode", file.mode},
                             {"uid", file.uid},
                             {"gid", file.gid},
                             {"append_only", file.append_only},
                             {"content_kept", file.content_kept},
                             {"kept_by", file.kept_by}});
  }
  json["file_trees"] = Json::array();
  for (const FileTree& tree : manifest.trees) {
    json["file_trees"].push_back({{"path", tree.path}, {"names", tree.entries.size() - 1}});
  }
  json["images"] = Json::array();
  for (const ImageFile& image : manifest.images) {
    json["images"].push_back({{"name", image.name}, {"bytes", image.content.bytes}});
  }
  return json;
}

uint64_t StoredBytesWithin(const AddressSpace& space, uint64_t start, uint64_t end) {
  // Extents are sorted and disjoint: begin with the last one that starts at or before `start`.
  auto extent = std::upper_bound(space.extents.begin(), space.extents.end(), start,
                                 [](uint64_t address, const Extent& each) { return address < each.address; });
  if (extent != space.extents.begin()) --extent;
  uint64_t bytes = 0;
  for (; extent != space.extents.end() && extent->address < end; ++extent) {
    const uint64_t from = std::max(start, extent->address);
    const uint64_t to = std::min(end, extent->address + extent->pages * kPageBytes);
    if (to > from) bytes += to - from;
  }
  return bytes;
}

const AddressSpace* FindAddressSpace(const Manifest& manifest, int32_t pid) {
  for (const AddressSpace& space : manifest.address_spaces) {
    if (space.pid == pid) return &space;
  }
  return nullptr;
}

}  // namespace holdfast
