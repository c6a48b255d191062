#include "agent/containerd_handler.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <functional>

#include "agent/ask_containerd.h"
#include "agent/marked_text.h"
#include "agent/text_file.h"
#include "agent/toml_text.h"

namespace holdfast {

namespace {

constexpr const char* kImportedName = "90-holdfast.toml";
constexpr const char* kRuncShim = "io.containerd.runc.v2";

TablePath CriSection(int version) {
  if (version >= 3) return {"plugins", "io.containerd.cri.v1.runtime"};
  return {"plugins", "io.containerd.grpc.v1.cri"};
}

TablePath Join(TablePath path, const std::vector<std::string>& more) {
  path.insert(path.end(), more.begin(), more.end());
  return path;
}

TablePath HandlerTable(int version, const std::string& name) {
  return Join(CriSection(version), {"containerd", "runtimes", name});
}

// A configuration as it would be without us.
struct Found {
  std::optional<std::string> file;  // none: there is none
  std::string text;                 // without our block
  MadeFor made;                     // by us, for the block
  TopLevel top;
  int version = 2;                  // what our tables are written for
  std::filesystem::path imported;   // where a file of ours would be imported from; empty: nowhere
  std::optional<std::string> ours;  // what is there now
  bool directory_is_made = false;   // by us, for that
};

// A directory out of which `config` imports whatever file there is.
std::filesystem::path ImportedFile(const std::filesystem::path& config, const TopLevel& top) {
  for (const std::string& each : top.imports) {
    const std::filesystem::path pattern = ImportPattern(config, each);
    std::filesystem::path file = pattern.parent_path() / kImportedName;
    const bool plain_directory = pattern.parent_path().string().find_first_of("*?[") == std::string::npos;
    if (plain_directory && file != config && ::fnmatch(pattern.c_str(), file.c_str(), FNM_PATHNAME) == 0)
      return file;
  }
  return {};
}

Result<Found> Find(const HandlerOptions& options) {
  Found found;
  found.file = TRY(ReadTextFile(options.config));
  const MarkedText marked = TakeMarked(found.file.value_or(""));
  found.text = marked.rest;
  found.made = marked.made;
  if (!found.file)
    found.made = {.file = true, .directory = !std::filesystem::exists(options.config.parent_path())};
  Result<TopLevel> top = ScanTopLevel(found.text);
  if (!top) return std::move(top.error()).Within(options.config.string());
  found.top = std::move(*top);
  if (found.top.has_content) found.version = found.top.version;
  if (found.version != 2 && found.version != 3) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("{} is of version {}; only 2 and 3 can be changed", options.config.string(),
                            found.version == 0 ? 1 : found.version))
        .WithHint("'containerd config migrate' makes a newer one (containerd 2.0 and later)");
  }
  found.imported = ImportedFile(options.config, found.top);
  if (!found.imported.empty()) found.ours = TRY(ReadTextFile(found.imported));
  const MarkedText ours = TakeMarked(found.ours.value_or(""));
  if (found.ours && !ours.found) {
    return Fail(ErrorKind::kExists, found.imported.string() + " is there and is not ours");
  }
  found.directory_is_made = !found.imported.empty() &&
                            (ours.made.directory || !std::filesystem::exists(found.imported.parent_path()));
  return found;
}

TablePath DumpedHandler(const TomlTables& dump, const std::string& name) {
  return HandlerTable(DumpVersion(dump), name);
}

bool IsNothing(const std::string& value) {
  return value == "\"\"" || value == "0" || value == "false" || value == "[]" || value == "{}" ||
         value == "''";
}

const std::string* Value(const TomlTables& tables, const TablePath& table, const std::string& key) {
  const auto found = tables.find(table);
  if (found == tables.end()) return nullptr;
  const auto value = found->second.find(key);
  return value == found->second.end() ? nullptr : &value->second;
}

// What the default handler has been given, as it holds for a pod of ours, too: the cgroup driver above all.
struct DefaultHandler {
  std::map<std::string, std::string> settings;
  std::map<std::string, std::string> options;
  std::string binary;  // the runc that it names, empty: that of PATH
};

DefaultHandler ReadDefaultHandler(const TomlTables& dump) {
  DefaultHandler handler;
  const TablePath above = Join(CriSection(DumpVersion(dump)), {"containerd"});
  const std::string* name = Value(dump, above, "default_runtime_name");
  const TablePath table = DumpedHandler(dump, name != nullptr ? TomlUnquoted(*name) : "runc");
  const std::string* type = Value(dump, table, "runtime_type");
  if (type == nullptr || TomlUnquoted(*type) != kRuncShim)
    return handler;  // of another kind: it says nothing for runc
  for (const auto& [key, value] : dump.at(table)) {
    const bool own =
        key == "runtime_type" || key == "runtime_path" || key == "pod_annotations" || key == "options";
    if (!own && !IsNothing(value)) handler.settings[key] = value;
  }
  const auto options = dump.find(Join(table, {"options"}));
  if (options == dump.end()) return handler;
  for (const auto& [key, value] : options->second) {
    if (key == "BinaryName") {
      handler.binary = TomlUnquoted(value);
    } else if (!IsNothing(value)) {
      handler.options[key] = value;
    }
  }
  return handler;
}

std::string HandlerText(const HandlerOptions& options, int version, const DefaultHandler& like) {
  const TablePath table = HandlerTable(version, options.name);
  std::string text = fmt::format("[{}]\n  runtime_type = \"{}\"\n  pod_annotations = [\"holdfast.dev/*\"]\n",
                                 TomlTableName(table), kRuncShim);
  for (const auto& [key, value] : like.settings) text += fmt::format("  {} = {}\n", key, value);
  text += fmt::format("[{}]\n  BinaryName = {}\n", TomlTableName(Join(table, {"options"})),
                      TomlString(options.runtime.string()));
  for (const auto& [key, value] : like.options) text += fmt::format("  {} = {}\n", key, value);
  return text;
}

// What is different in `after` apart from the handler's own tables; empty when nothing is.
std::string OtherDifference(const TomlTables& before, const TomlTables& after, const TablePath& handler) {
  auto without = [&](TomlTables tables) {
    std::erase_if(tables, [&](const auto& each) { return IsUnder(each.first, handler); });
    std::erase_if(tables, [](const auto& each) { return each.second.empty(); });
    tables[{}].erase("imports");  // as loaded: names the files
    return tables;
  };
  const TomlTables left = without(before);
  const TomlTables right = without(after);
  for (const auto* tables : {&left, &right}) {
    const TomlTables& others = tables == &left ? right : left;
    for (const auto& [table, values] : *tables) {
      const auto other = others.find(table);
      if (other == others.end() || other->second != values) return "[" + TomlTableName(table) + "]";
    }
  }
  return {};
}

Question Ask(const HandlerOptions& options, const Found& found, std::string text,
             const std::filesystem::path& add = {}) {
  return {.config = options.config, .text = std::move(text), .leave_out = found.imported, .add = add};
}

// Whether containerd takes what is asked about, has the handler then, and is otherwise the same.
Result<void> Check(const HandlerOptions& options, const TomlTables& before, const Question& question) {
  const TomlTables after = TRY(AskContainerd(options.containerd, question));
  const TablePath table = DumpedHandler(after, options.name);
  const std::string* binary = Value(after, Join(table, {"options"}), "BinaryName");
  if (binary == nullptr || TomlUnquoted(*binary) != options.runtime.string()) {
    return Fail(ErrorKind::kUnsupported, "containerd would not have the handler");
  }
  const std::string other = OtherDifference(before, after, table);
  if (!other.empty()) return Fail(ErrorKind::kUnsupported, "it would change " + other);
  return {};
}

// The handlers that are built into containerd vanish with the first one that a file names (1.6 and 1.7: a map
// in a file replaces the default's). Then they have to be named as well, with all that they are.
std::string VanishedHandlers(int version, const TomlTables& before, const TomlTables& after) {
  const TablePath handlers = Join(CriSection(DumpVersion(before)), {"containerd", "runtimes"});
  const TablePath written = Join(CriSection(version), {"containerd", "runtimes"});
  std::string text;
  for (const auto& [table, values] : before) {
    if (!IsUnder(table, handlers) || table == handlers || after.contains(table)) continue;
    const TablePath below(table.begin() + static_cast<std::ptrdiff_t>(handlers.size()), table.end());
    text += fmt::format("[{}]\n", TomlTableName(Join(written, below)));
    for (const auto& [key, value] : values) text += fmt::format("  {} = {}\n", key, value);
  }
  return text;
}

// Tells what is asked about a configuration that has `handler` in it.
using AskWith = std::function<Result<Question>(const std::string& handler)>;

// The tables to add: the handler's, and those of others that would be lost otherwise. Whatever more would
// change, is an error.
Result<std::string> TablesToAdd(const HandlerOptions& options, int version, const TomlTables& before,
                                const std::string& handler, const AskWith& ask_with) {
  const TomlTables after = TRY(AskContainerd(options.containerd, TRY(ask_with(handler))));
  std::string tables = handler + VanishedHandlers(version, before, after);
  TRY(Check(options, before, TRY(ask_with(tables))));
  return tables;
}

void Change(HandlerPlan& plan, const std::filesystem::path& path, std::optional<std::string> before,
            std::optional<std::string> after) {
  if (before != after) plan.changes.push_back({path, std::move(before), std::move(after)});
}

std::optional<std::string> TextBefore(const Found& found) {
  if (found.made.file && found.text.empty()) return std::nullopt;
  return found.text;
}

bool CriIsDisabled(const TomlTables& before) {
  const std::string* disabled = Value(before, {}, "disabled_plugins");
  if (disabled == nullptr) return false;
  for (const char* name : {"io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"}) {
    if (disabled->find(name) != std::string::npos) return true;
  }
  return false;
}

void AddNotes(const DefaultHandler& like, HandlerPlan& plan) {
  if (like.binary.empty()) return;
  plan.notes.push_back("the default handler runs " + like.binary + ": put 'runc = " + like.binary +
                       "' into /etc/holdfast/runtime.conf (an absolute path) for the same");
}

// Whether what an imported file says of the CRI is put beside what the configuration says (containerd 2.0),
// not in its place (1.6, 1.7): there our file would undo whatever is written into the configuration later on.
Result<bool> MergesImports(const HandlerOptions& options, int version) {
  const TemporaryDirectory directory = TRY(TemporaryDirectory::Make());
  const std::filesystem::path file = directory.path() / kImportedName;
  const TablePath table = Join(CriSection(version), {"cni"});
  const std::string start = fmt::format("version = {}\n", version);
  TRY(WriteTextFile(file, fmt::format("{}[{}]\n  bin_dir = \"/imported\"\n", start, TomlTableName(table))));
  const std::string text =
      fmt::format("{}imports = []\n[{}]\n  conf_dir = \"/own\"\n", start, TomlTableName(table));
  const TomlTables asked = TRY(AskContainerd(
      options.containerd, {.config = options.config, .text = text, .leave_out = {}, .add = file}));
  const std::string* own = Value(asked, Join(CriSection(DumpVersion(asked)), {"cni"}), "conf_dir");
  return own != nullptr && TomlUnquoted(*own) == "/own";
}

// The handler as a file that the configuration imports.
Result<void> PlanImportedFile(const HandlerOptions& options, const Found& found, const TomlTables& before,
                              const std::string& handler, HandlerPlan& plan) {
  if (!TRY(MergesImports(options, found.version))) {
    return Fail(ErrorKind::kUnsupported, "an imported file would replace what the configuration says");
  }
  auto content = [&](const std::string& tables) {
    return AddMarked("", fmt::format("version = {}\n", found.version) + tables,
                     {.file = true, .directory = found.directory_is_made});
  };
  const TemporaryDirectory directory = TRY(TemporaryDirectory::Make());
  const std::filesystem::path file = directory.path() / kImportedName;
  auto ask_with = [&](const std::string& tables) -> Result<Question> {
    TRY(WriteTextFile(file, content(tables)));
    return Ask(options, found, found.text, file);
  };
  const std::string tables = TRY(TablesToAdd(options, found.version, before, handler, ask_with));
  Change(plan, found.imported, found.ours, content(tables));
  Change(plan, options.config, found.file, TextBefore(found));
  return {};
}

// The handler as a block at the configuration's end.
Result<void> PlanBlock(const HandlerOptions& options, const Found& found, const TomlTables& before,
                       const std::string& handler, HandlerPlan& plan) {
  auto content = [&](const std::string& tables) {
    return AddMarked(found.text,
                     (found.top.has_content ? "" : fmt::format("version = {}\n", found.version)) + tables,
                     TextBefore(found) ? MadeFor{} : found.made);
  };
  auto ask_with = [&](const std::string& tables) -> Result<Question> {
    return Ask(options, found, content(tables));
  };
  const std::string tables = TRY(TablesToAdd(options, found.version, before, handler, ask_with));
  Change(plan, options.config, found.file, content(tables));
  if (found.ours) Change(plan, found.imported, found.ours, std::nullopt);
  return {};
}

}  // namespace

Result<HandlerPlan> PlanContainerdInstall(const HandlerOptions& options) {
  Found found = TRY(Find(options));
  if (options.containerd.empty()) {
    return Fail(ErrorKind::kNotFound, "there is no containerd to ask what it makes of its configuration")
        .WithHint("--containerd PROGRAM names it");
  }
  const TomlTables before = TRY(AskContainerd(options.containerd, Ask(options, found, found.text)));
  if (CriIsDisabled(before)) {
    return Fail(ErrorKind::kUnsupported,
                "disabled_plugins turns containerd's CRI off: no kubelet uses this containerd")
        .WithHint("take the CRI out of disabled_plugins in " + options.config.string());
  }
  if (!found.top.has_content) found.version = DumpVersion(before);
  if (before.contains(DumpedHandler(before, options.name))) {
    return Fail(ErrorKind::kExists, fmt::format("containerd has a handler '{}' already", options.name))
        .WithHint("--handler NAME takes another name");
  }
  HandlerPlan plan;
  const DefaultHandler like = ReadDefaultHandler(before);
  AddNotes(like, plan);
  const std::string handler = HandlerText(options, found.version, like);
  if (!found.imported.empty() && PlanImportedFile(options, found, before, handler, plan)) return plan;
  const Result<void> planned = PlanBlock(options, found, before, handler, plan);
  if (!planned)
    return Error(planned.error()).Within("the handler cannot be added to " + options.config.string());
  return plan;
}

Result<HandlerPlan> PlanContainerdUninstall(const HandlerOptions& options) {
  HandlerPlan plan;
  const Found found = TRY(Find(options));
  Change(plan, options.config, found.file, TextBefore(found));
  if (found.ours) Change(plan, found.imported, found.ours, std::nullopt);
  return plan;
}

Result<std::string> FindContainerdHandler(const HandlerOptions& options) {
  const Found found = TRY(Find(options));
  if (found.ours) return found.imported.string();
  return found.file && TakeMarked(*found.file).found ? options.config.string() : std::string();
}

}  // namespace holdfast
