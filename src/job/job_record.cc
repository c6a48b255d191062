#include "job/job_record.h"

#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/limits.h"

namespace holdfast {

using Json = nlohmann::ordered_json;

namespace {

constexpr int kFormat = 1;

Json FormatIdentity(const ProcessIdentity& identity) {
  return {{"pid", identity.pid}, {"start_ticks", identity.start_ticks}, {"boot_id", identity.boot_id}};
}

pid_t ParsePid(const Json& json) {
  const auto pid = json.get<int64_t>();
  if (pid < 0 || pid > std::numeric_limits<pid_t>::max()) throw std::out_of_range("a pid is out of range");
  return static_cast<pid_t>(pid);
}

ProcessIdentity ParseIdentity(const Json& json) {
  return {.pid = ParsePid(json.at("pid")),
          .start_ticks = json.at("start_ticks").get<uint64_t>(),
          .boot_id = json.at("boot_id").get<std::string>()};
}

double ParseSeconds(const Json& json, double most) {
  const auto seconds = json.get<double>();
  if (!(seconds >= 0 && seconds <= most)) throw std::out_of_range("a trigger is out of range");
  return seconds;
}

uint64_t ParseCount(const Json& json, uint64_t most) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() > most) {
    throw std::out_of_range("a trigger is out of range");
  }
  return json.get<uint64_t>();
}

int ParseTriggerSignal(const Json& json) {
  const auto number = static_cast<int>(ParseCount(json, static_cast<uint64_t>(SIGRTMAX)));
  if (number == 0) return 0;
  if (const Result<void> valid = ValidateTriggerSignal(number); !valid) {
    throw std::invalid_argument(valid.error().message);
  }
  return number;
}

// Earlier versions knew only the interval.
TriggerSettings ParseTriggers(const Json& json) {
  TriggerSettings triggers;
  triggers.every_s = ParseSeconds(json.at("every_s"), limits::kEverySecondsMax);
  const auto value = [&](const char* key) { return json.value(key, Json(0U)); };
  triggers.mtbf_s = ParseSeconds(value("mtbf_s"), limits::kMtbfSecondsMax);
  triggers.every_dirty_bytes = ParseCount(value("every_dirty_bytes"), limits::kEveryDirtyBytesMax);
  triggers.on_signal = ParseTriggerSignal(value("on_signal"));
  triggers.deadline_s = ParseSeconds(value("deadline_s"), limits::kDeadlineSecondsMax);
  triggers.full_every = ParseCount(value("full_every"), limits::kFullEveryMax);
  triggers.freeze_budget_ms = ParseSeconds(value("freeze_budget_ms"), limits::kFreezeBudgetMsMax);
  return triggers;
}

JobEnding ParseEnding(const Json& json) {
  JobEnding ending;
  const std::string kind = json.at("kind").get<std::string>();
  if (kind != "exited" && kind != "checkpointed") throw std::invalid_argument("unknown ending " + kind);
  ending.kind = kind == "exited" ? JobEnding::Kind::kExited : JobEnding::Kind::kCheckpointed;
  ending.exit_status = json.at("exit_status").get<int>();
  ending.snapshot = json.at("snapshot").get<std::string>();
  ending.at_ms = json.at("at_ms").get<int64_t>();
  return ending;
}

}  // namespace

std::string_view JobStateName(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return "running";
    case JobState::kUnsupervised:
      return "unsupervised";
    case JobState::kExited:
      return "exited";
    case JobState::kCheckpointed:
      return "checkpointed";
    case JobState::kLost:
      return "lost";
  }
  return "lost";
}

std::string FormatJobRecord(const JobRecord& record) {
  Json json = {{"format", kFormat},
               {"name", record.name},
               {"command", record.command},
               {"working_directory", record.working_directory},
               {"began_ms", record.began_ms},
               {"started_ms", record.started_ms},
               {"job", FormatIdentity(record.job)},
               {"supervisor", FormatIdentity(record.supervisor)},
               {"every_s", record.triggers.every_s},
               {"mtbf_s", record.triggers.mtbf_s},
               {"every_dirty_bytes", record.triggers.every_dirty_bytes},
               {"on_signal", record.triggers.on_signal},
               {"deadline_s", record.triggers.deadline_s},
               {"full_every", record.triggers.full_every},
               {"freeze_budget_ms", record.triggers.freeze_budget_ms},
               {"keep", record.keep},
               {"terminal", record.terminal},
               {"merged_output", record.merged_output},
               {"private_files", record.private_files},
               {"private_trees", record.private_trees},
               {"private_network", record.private_network},
               {"file_trees", record.file_trees},
               {"resumed_from", record.resumed_from},
               {"container", nullptr},
               {"ending", nullptr}};
  if (record.container) {
    json["container"] = {{"id", record.container->id}, {"root", record.container->root}};
  }
  if (record.ending) {
    const bool exited = record.ending->kind == JobEnding::Kind::kExited;
    json["ending"] = {{"kind", exited ? "exited" : "checkpointed"},
                      {"exit_status", record.ending->exit_status},
                      {"snapshot", record.ending->snapshot},
                      {"at_ms", record.ending->at_ms}};
  }
  // A command line may hold any bytes; JSON may not.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<JobRecord> ParseJobRecord(std::string_view text, const std::string& where) {
  try {
    const Json json = Json::parse(text);
    if (json.at("format").get<int>() != kFormat) {
      return Fail(ErrorKind::kCorrupt, where + " is of another format")
          .WithHint("use the holdfast that wrote it");
    }
    JobRecord record;
    record.name = json.at("name").get<std::string>();
    record.command = json.at("command").get<std::vector<std::string>>();
    record.working_directory = json.at("working_directory").get<std::string>();
    record.began_ms = json.at("began_ms").get<int64_t>();
    record.started_ms = json.at("started_ms").get<int64_t>();
    record.job = ParseIdentity(json.at("job"));
    record.supervisor = ParseIdentity(json.at("supervisor"));
    record.triggers = ParseTriggers(json);
    if (!json.at("keep").is_number_unsigned()) throw std::out_of_range("keep is out of range");
    record.keep = json.at("keep").get<uint64_t>();
    record.terminal = json.at("terminal").get<bool>();
    record.merged_output = json.at("merged_output").get<bool>();
    record.private_files = json.value("private_files", false);
    record.private_trees = json.value("private_trees", std::vector<std::string>());
    record.private_network = json.value("private_network", false);
    record.file_trees = json.value("file_trees", std::vector<std::string>());
    record.resumed_from = json.at("resumed_from").get<std::string>();
    if (const Json container = json.value("container", Json()); !container.is_null()) {
      record.container = {container.at("id").get<std::string>(), container.at("root").get<std::string>()};
    }
    if (!json.at("ending").is_null()) record.ending = ParseEnding(json.at("ending"));
    if (record.job.pid < 0 || record.supervisor.pid < 0) {
      return Fail(ErrorKind::kCorrupt, where + " holds a number that is out of range");
    }
    return record;
  } catch (const std::exception& error) {  // nlohmann-json reports everything by throwing
    return Fail(ErrorKind::kCorrupt, where + " is damaged: " + error.what())
        .WithHint("remove the file: snapshots and logs stay, and 'holdfast resume' makes a new one");
  }
}

JobRecord RecordOfSnapshot(const Manifest& manifest) {
  JobRecord record;
  record.name = manifest.id.lineage;
  for (const ProcessInfo& process : manifest.processes) {
    if (process.pid != manifest.root_pid) continue;
    record.command = process.command_line;
    record.working_directory = process.working_directory;
  }
  for (const FileTree& tree : manifest.trees) record.file_trees.push_back(tree.path);
  return record;
}

}  // namespace holdfast
