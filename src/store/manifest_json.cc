// The JSON sections of a manifest, and the annotations file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/limits.h"
#include "store/format.h"
#include "store/json_fields.h"
#include "store/manifest_codec.h"
#include "store/segment.h"

namespace holdfast {

namespace manifest_sections {
namespace {

// JSON has no infinities; a figure that is none was never measured.
double Finite(double value) {
  return std::isfinite(value) ? value : 0;
}

Error Wrong(const std::string& where, const std::string& problem) {
  return Fail(ErrorKind::kCorrupt, fmt::format("{}: {}", where, problem));
}

Json EncodeFigures(const CheckpointFigures& figures) {
  return {{"freeze_ms", Finite(figures.freeze_ms)},
          {"drain_ms", Finite(figures.drain_ms)},
          {"total_ms", Finite(figures.total_ms)},
          {"bytes_captured", figures.bytes_captured},
          {"bytes_stored", figures.bytes_stored},
          {"capture", EncodeText(figures.capture)},
          {"capture_reason", EncodeText(figures.capture_reason)}};
}

CheckpointFigures DecodeFigures(const Json& json, std::string& problem) {
  CheckpointFigures figures;
  JsonFields fields(json, "figures", problem);
  fields.Get("freeze_ms", figures.freeze_ms);
  fields.Get("drain_ms", figures.drain_ms);
  fields.Get("total_ms", figures.total_ms);
  fields.Get("bytes_captured", figures.bytes_captured);
  fields.Get("bytes_stored", figures.bytes_stored);
  fields.Get("capture", figures.capture);
  fields.Get("capture_reason", figures.capture_reason);
  return figures;
}

Json EncodeProcess(const ProcessInfo& process) {
  Json mappings = Json::array();
  for (const ProcessInfo::Mapping& mapping : process.mappings) {
    mappings.push_back({{"start", mapping.start},
                        {"end", mapping.end},
                        {"permissions", EncodeText(mapping.permissions)},
                        {"name", EncodeText(mapping.name)}});
  }
  Json files = Json::array();
  for (const ProcessInfo::OpenFile& file : process.files) {
    files.push_back({{"fd", file.fd}, {"target", EncodeText(file.target)}});
  }
  Json bindings = Json::array();
  for (const ProcessInfo::Binding& binding : process.bindings) {
    bindings.push_back({{"thread", binding.thread}, {"cpus", EncodeText(binding.cpus)}});
  }
  return {{"pid", process.pid},
          {"parent", process.parent},
          {"session", process.session},
          {"uid", process.uid},
          {"name", EncodeText(process.name)},
          {"command_line", EncodeTexts(process.command_line)},
          {"working_directory", EncodeText(process.working_directory)},
          {"environment", EncodeTexts(process.environment)},
          {"threads", process.threads},
          {"bindings", std::move(bindings)},
          {"resident_bytes", process.resident_bytes},
          {"mappings", std::move(mappings)},
          {"files", std::move(files)}};
}

ProcessInfo DecodeProcess(const Json& json, std::string& problem) {
  ProcessInfo process;
  JsonFields fields(json, "process", problem);
  fields.Get("pid", process.pid);
  fields.Get("parent", process.parent);
  fields.Get("session", process.session);
  fields.Get("uid", process.uid);
  fields.Get("name", process.name);
  fields.Get("command_line", process.command_line);
  fields.Get("working_directory", process.working_directory);
  fields.Get("environment", process.environment);
  fields.Get("threads", process.threads);
  fields.Get("resident_bytes", process.resident_bytes);
  for (const Json& item : fields.Array("bindings", limits::kProcessesMax)) {
    ProcessInfo::Binding& binding = process.bindings.emplace_back();
    JsonFields binding_fields(item, "binding", problem);
    binding_fields.Get("thread", binding.thread);
    binding_fields.Get("cpus", binding.cpus);
  }
  for (const Json& item : fields.Array("mappings", limits::kMappingsPerProcessMax)) {
    ProcessInfo::Mapping& mapping = process.mappings.emplace_back();
    JsonFields mapping_fields(item, "mapping", problem);
    mapping_fields.Get("start", mapping.start);
    mapping_fields.Get("end", mapping.end);
    mapping_fields.Get("permissions", mapping.permissions);
    mapping_fields.Get("name", mapping.name);
  }
  for (const Json& item : fields.Array("files", limits::kFilesPerSnapshotMax)) {
    ProcessInfo::OpenFile& file = process.files.emplace_back();
    JsonFields file_fields(item, "open file", problem);
    file_fields.Get("fd", file.fd);
    file_fields.Get("target", file.target);
  }
  return process;
}

Json EncodeFile(const FileState& file) {
  return {{"path", EncodeText(file.path)},
          {"bytes", file.bytes},
          {"mode", file.mode},
          {"uid", file.uid},
          {"gid", file.gid},
          {"mtime_ns", file.mtime_ns},
          {"append_only", file.append_only},
          {"content_kept", file.content_kept},
          {"only_if_missing", file.only_if_missing},
          {"kept_by", EncodeText(file.kept_by)},
          {"device", file.device},
          {"inode", file.inode},
          {"ctime_ns", file.ctime_ns},
          {"content_bytes", file.content.bytes},
          {"blocks", file.content.blocks.size()}};
}

FileState DecodeFile(const Json& json, uint64_t& blocks, std::string& problem) {
  FileState file;
  JsonFields fields(json, "file", problem);
  fields.Get("path", file.path);
  fields.Get("bytes", file.bytes);
  fields.Get("mode", file.mode);
  fields.Get("uid", file.uid);
  fields.Get("gid", file.gid);
  fields.Get("mtime_ns", file.mtime_ns);
  fields.Get("append_only", file.append_only);
  fields.Get("content_kept", file.content_kept);
  fields.Get("only_if_missing", file.only_if_missing);
  if (fields.Has("kept_by")) {
    fields.Get("kept_by", file.kept_by);
    fields.Get("device", file.device);
    fields.Get("inode", file.inode);
    fields.Get("ctime_ns", file.ctime_ns);
  }
  fields.Get("content_bytes", file.content.bytes);
  fields.Get("blocks", blocks);
  return file;
}

Json EncodeDirectory(const DirectoryState& directory) {
  return {{"path", EncodeText(directory.path)},
          {"mode", directory.mode},
          {"uid", directory.uid},
          {"gid", directory.gid}};
}

DirectoryState DecodeDirectory(const Json& json, std::string& problem) {
  DirectoryState directory;
  JsonFields fields(json, "directory", problem);
  fields.Get("path", directory.path);
  fields.Get("mode", directory.mode);
  fields.Get("uid", directory.uid);
  fields.Get("gid", directory.gid);
  return directory;
}

constexpr std::array<const char*, 6> kTreeEntryKinds = {"directory", "file", "link",
                                                        "symlink",   "fifo", "other"};

Json EncodeTree(const FileTree& tree) {
  Json entries = Json::array();
  for (const TreeEntry& entry : tree.entries) {
    entries.push_back({{"path", EncodeText(entry.path)},
                       {"kind", kTreeEntryKinds.at(static_cast<size_t>(entry.kind))},
                       {"mode", entry.mode},
                       {"uid", entry.uid},
                       {"gid", entry.gid},
                       {"mtime_ns", entry.mtime_ns},
                       {"links", entry.links},
                       {"target", EncodeText(entry.target)},
                       {"attributes", EncodeTexts(entry.attributes)}});
  }
  return {{"path", EncodeText(tree.path)}, {"entries", std::move(entries)}};
}

FileTree DecodeTree(const Json& json, std::string& problem) {
  FileTree tree;
  JsonFields fields(json, "tree", problem);
  fields.Get("path", tree.path);
  for (const Json& item : fields.Array("entries", limits::kFilesPerSnapshotMax)) {
    TreeEntry& entry = tree.entries.emplace_back();
    std::string kind;
    JsonFields entry_fields(item, "tree entry", problem);
    entry_fields.Get("path", entry.path);
    entry_fields.Get("kind", kind);
    entry_fields.Get("mode", entry.mode);
    entry_fields.Get("uid", entry.uid);
    entry_fields.Get("gid", entry.gid);
    entry_fields.Get("mtime_ns", entry.mtime_ns);
    entry_fields.Get("links", entry.links);
    entry_fields.Get("target", entry.target);
    entry_fields.Get("attributes", entry.attributes);
    const auto* const known = std::find(kTreeEntryKinds.begin(), kTreeEntryKinds.end(), kind);
    if (known == kTreeEntryKinds.end()) {
      entry_fields.Wrong("kind", "is none that is known");
    } else {
      entry.kind = static_cast<TreeEntry::Kind>(known - kTreeEntryKinds.begin());
    }
  }
  return tree;
}

}  // namespace

std::string EncodeSummary(const Manifest& manifest, const Annotations& annotations) {
  return PrintJson({{"lineage", EncodeText(manifest.id.lineage)},
                    {"parent", manifest.parent ? Json(manifest.parent->ToString()) : Json()},
                    {"kind", manifest.kind == SnapshotKind::kFull ? "full" : "delta"},
                    {"created_ms", manifest.created_ms},
                    {"root_pid", manifest.root_pid},
                    {"process_count", manifest.processes.size()},
                    {"figures", EncodeFigures(manifest.figures)},
                    {"annotations", EncodeTexts(annotations)}});
}

Result<Summary> DecodeSummary(std::string_view bytes, const std::string& where) {
  const Json json = TRY(ParseJson(bytes, where + ": summary"));
  Summary summary;
  std::string kind;
  std::string parent;
  std::string problem;
  JsonFields fields(json, "summary", problem);
  fields.Get("lineage", summary.shown.id.lineage);
  fields.GetOrNull("parent", parent);
  fields.Get("kind", kind);
  fields.Get("created_ms", summary.shown.created_ms);
  fields.Get("root_pid", summary.root_pid);
  fields.Get("process_count", summary.shown.process_count);
  summary.shown.figures = DecodeFigures(fields.Object("figures"), problem);
  fields.Get("annotations", summary.shown.annotations);
  if (kind == "delta") {
    summary.shown.kind = SnapshotKind::kDelta;
  } else if (kind != "full") {
    fields.Wrong("kind", "is neither full nor delta");
  }
  if (!parent.empty()) {
    Result<SnapshotId> id = ParseSnapshotId(parent);
    if (id && id->version != 0) {
      summary.shown.parent = *id;
    } else {
      fields.Wrong("parent", "is no snapshot");
    }
  }
  if (fields.ok() && !ValidateLineageName(summary.shown.id.lineage)) fields.Wrong("lineage", "is no name");
  if (!problem.empty()) return Wrong(where, problem);
  return summary;
}

std::string EncodeSegments(const Manifest& manifest) {
  return PrintJson(EncodeTexts(manifest.segments));
}

Result<std::vector<std::string>> DecodeSegments(std::string_view bytes, const std::string& where) {
  const Json json = TRY(ParseJson(bytes, where + ": segments"));
  if (!json.is_array() || json.size() > limits::kSegmentsPerSnapshotMax) {
    return Wrong(where, "the segments are no list or too many");
  }
  std::vector<std::string> segments(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    if (!DecodeText(json[i], segments[i]) || !IsSegmentId(segments[i])) {
      return Wrong(where, fmt::format("segment {} of the list has no proper name", i));
    }
  }
  return segments;
}

std::string EncodeDetails(const Manifest& manifest) {
  const Environment& environment = manifest.environment;
  return PrintJson({{"environment",
                     {{"hostname", EncodeText(environment.hostname)},
                      {"kernel_release", EncodeText(environment.kernel_release)},
                      {"machine", EncodeText(environment.machine)},
                      {"cpu_model", EncodeText(environment.cpu_model)},
                      {"cpu_flags", EncodeTexts(environment.cpu_flags)},
                      {"criu_version", EncodeText(environment.criu_version)},
                      {"holdfast_version", EncodeText(environment.holdfast_version)}}},
                    {"warnings", EncodeTexts(manifest.warnings)},
                    {"engine_facts", EncodeTexts(manifest.engine_facts)}});
}

Result<void> DecodeDetails(std::string_view bytes, const std::string& where, Manifest& manifest) {
  const Json json = TRY(ParseJson(bytes, where + ": details"));
  std::string problem;
  JsonFields fields(json, "details", problem);
  Environment& environment = manifest.environment;
  JsonFields environment_fields(fields.Object("environment"), "environment", problem);
  environment_fields.Get("hostname", environment.hostname);
  environment_fields.Get("kernel_release", environment.kernel_release);
  environment_fields.Get("machine", environment.machine);
  environment_fields.Get("cpu_model", environment.cpu_model);
  environment_fields.Get("cpu_flags", environment.cpu_flags);
  environment_fields.Get("criu_version", environment.criu_version);
  environment_fields.Get("holdfast_version", environment.holdfast_version);
  fields.Get("warnings", manifest.warnings);
  fields.Get("engine_facts", manifest.engine_facts);
  if (!problem.empty()) return Wrong(where, problem);
  return {};
}

std::string EncodeObjects(const Manifest& manifest) {
  Json processes = Json::array();
  for (const ProcessInfo& process : manifest.processes) processes.push_back(EncodeProcess(process));
  Json spaces = Json::array();
  for (const AddressSpace& space : manifest.address_spaces) {
    spaces.push_back({{"pid", space.pid}, {"extents", space.extents.size()}});
  }
  Json shared = Json::array();
  for (const SharedObject& object : manifest.shared_objects) {
    shared.push_back(
        {{"id", object.id}, {"name", EncodeText(object.name)}, {"extents", object.extents.size()}});
  }
  Json images = Json::array();
  for (const ImageFile& image : manifest.images) {
    images.push_back({{"name", EncodeText(image.name)},
                      {"bytes", image.content.bytes},
                      {"blocks", image.content.blocks.size()}});
  }
  Json files = Json::array();
  for (const FileState& file : manifest.files) files.push_back(EncodeFile(file));
  Json directories = Json::array();
  for (const DirectoryState& directory : manifest.directories)
    directories.push_back(EncodeDirectory(directory));
  Json trees = Json::array();
  for (const FileTree& tree : manifest.trees) trees.push_back(EncodeTree(tree));
  return PrintJson({{"processes", std::move(processes)},
                    {"address_spaces", std::move(spaces)},
                    {"shared_objects", std::move(shared)},
                    {"images", std::move(images)},
                    {"files", std::move(files)},
                    {"directories", std::move(directories)},
                    {"trees", std::move(trees)}});
}

Result<ObjectCounts> DecodeObjects(std::string_view bytes, const std::string& where, Manifest& manifest) {
  const Json json = TRY(ParseJson(bytes, where + ": objects"));
  ObjectCounts counts;
  std::string problem;
  JsonFields fields(json, "objects", problem);
  for (const Json& item : fields.Array("processes", limits::kProcessesMax)) {
    manifest.processes.push_back(DecodeProcess(item, problem));
  }
  for (const Json& item : fields.Array("address_spaces", limits::kProcessesMax)) {
    AddressSpace& space = manifest.address_spaces.emplace_back();
    JsonFields space_fields(item, "address space", problem);
    space_fields.Get("pid", space.pid);
    space_fields.Get("extents", counts.extents.emplace_back());
  }
  for (const Json& item : fields.Array("shared_objects", limits::kFilesPerSnapshotMax)) {
    SharedObject& object = manifest.shared_objects.emplace_back();
    JsonFields object_fields(item, "shared object", problem);
    object_fields.Get("id", object.id);
    object_fields.Get("name", object.name);
    object_fields.Get("extents", counts.extents.emplace_back());
  }
  for (const Json& item : fields.Array("images", limits::kFilesPerSnapshotMax)) {
    ImageFile& image = manifest.images.emplace_back();
    JsonFields image_fields(item, "image", problem);
    image_fields.Get("name", image.name);
    image_fields.Get("bytes", image.content.bytes);
    image_fields.Get("blocks", counts.blocks.emplace_back());
  }
  for (const Json& item : fields.Array("files", limits::kFilesPerSnapshotMax)) {
    manifest.files.push_back(DecodeFile(item, counts.blocks.emplace_back(), problem));
  }
  for (const Json& item : fields.Array("directories", limits::kFilesPerSnapshotMax)) {
    manifest.directories.push_back(DecodeDirectory(item, problem));
  }
  if (fields.Has("trees")) {
    for (const Json& item : fields.Array("trees", limits::kTreesPerSnapshotMax)) {
      manifest.trees.push_back(DecodeTree(item, problem));
    }
  }
  if (!problem.empty()) return Wrong(where, problem);
  return counts;
}

}  // namespace manifest_sections

std::string EncodeAnnotations(const Annotations& annotations) {
  return PrintJson({{"annotations", EncodeTexts(annotations)}});
}

Result<Annotations> DecodeAnnotations(std::string_view bytes, const std::string& where) {
  const Json json = TRY(ParseJson(bytes, where));
  Annotations annotations;
  std::string problem;
  JsonFields fields(json, "annotations", problem);
  fields.Get("annotations", annotations);
  if (!problem.empty()) return Fail(ErrorKind::kCorrupt, fmt::format("{}: {}", where, problem));
  return annotations;
}

Result<void> CheckAnnotations(const Annotations& annotations) {
  if (annotations.size() > limits::kAnnotationsMax) {
    return Fail(ErrorKind::kUsage, fmt::format("{} annotations, at most {} are allowed", annotations.size(),
                                               limits::kAnnotationsMax));
  }
  for (const auto& [key, value] : annotations) {
    if (key.empty() || key.size() > format::kAnnotationKeyBytesMax) {
      return Fail(ErrorKind::kUsage, fmt::format("an annotation's key has 1 to {} bytes, '{}' has {}",
                                                 format::kAnnotationKeyBytesMax, key, key.size()));
    }
    if (value.size() > limits::kAnnotationBytesMax) {
      return Fail(ErrorKind::kUsage, fmt::format("annotation '{}' has {} bytes, at most {} are allowed", key,
                                                 value.size(), limits::kAnnotationBytesMax));
    }
  }
  return {};
}

}  // namespace holdfast
