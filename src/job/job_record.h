// What Holdfast knows of a job that it started, resumed or was pointed at: STORE/jobs/NAME/job.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "job/process_identity.h"
#include "policy/trigger_settings.h"
#include "store/manifest.h"

namespace holdfast {

// How a job ended that did not just vanish.
struct JobEnding {
  enum class Kind { kExited, kCheckpointed };
  Kind kind = Kind::kExited;
  int exit_status = 0;   // as a shell shows it: 128+N for signal N
  std::string snapshot;  // kCheckpointed: "NAME@7"
  int64_t at_ms = 0;     // wall clock
};

// A container that a job is: its ID, and where runc keeps its state.
struct ContainerPlace {
  std::string id;
  std::string root;
  bool operator==(const ContainerPlace&) const = default;
};

struct JobRecord {
  std::string name;
  std::vector<std::string> command;
  std::string working_directory;
  int64_t began_ms = 0;  // wall clock; of the first start, over all resumes. 0: when its process was started
  int64_t started_ms = 0;  // wall clock; of the last start or resume
  ProcessIdentity job;
  ProcessIdentity supervisor;  // pid 0: Holdfast did not start it
  TriggerSettings triggers;
  uint64_t keep = 0;                    // 0: keep all
  bool terminal = false;                // runs on a pty of ours
  bool merged_output = false;           // one output.log instead of stdout.log and stderr.log
  std::vector<std::string> file_trees;  // CheckpointOptions::file_trees
  bool private_files = false;           // a clone: has its own copies of its files, in the job's directory
  // With private files: directories that it has had copies of, as wholes, whatever its snapshots hold now.
  std::vector<std::string> private_trees;
  bool private_network = false;  // has a network namespace of its own
  std::string resumed_from;      // "NAME@3", or empty
  std::optional<ContainerPlace> container;
  std::optional<JobEnding> ending;
};

enum class JobState { kRunning, kUnsupervised, kExited, kCheckpointed, kLost };
std::string_view JobStateName(JobState state);

std::string FormatJobRecord(const JobRecord& record);
// `where` names the file in errors. Refuses (kCorrupt) what is truncated, of another format or out of range.
Result<JobRecord> ParseJobRecord(std::string_view text, const std::string& where);

// What a snapshot says of its job: name, command, working directory and file trees.
JobRecord RecordOfSnapshot(const Manifest& manifest);

}  // namespace holdfast
