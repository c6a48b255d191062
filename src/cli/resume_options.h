// What `resume` and `rollback` have in common.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/trigger_options.h"
#include "job/resume_job.h"

namespace holdfast {

struct ContainerFlags {
  std::string id;
  std::string bundle;
  std::string runc_root;
  bool close_connections = false;
};

struct ResumeFlags {
  ContainerFlags container;
  TriggerFlags triggers;  // what is not given stays as it was
  std::optional<uint64_t> keep;
  std::vector<std::string> files;
  std::string pid_mode = "same";
  bool keep_files = false;
  bool detach = false;
  bool lazy = false;
  bool eager = false;
};

void AddResumeOptions(CLI::App& command, ResumeFlags& flags);
// Of `resume` alone.
void AddContainerOptions(CLI::App& command, ContainerFlags& flags);
// Returns once it runs; its supervisor stays.
Result<StartedJob> ResumeInBackground(const GlobalOptions& global, const SnapshotId& snapshot,
                                      const ResumeFlags& flags);
// Restarts, and stands by the job to its end or leaves that to the background. The exit status.
Result<int> ResumeAsTold(const GlobalOptions& global, const SnapshotId& snapshot, const ResumeFlags& flags);

}  // namespace holdfast
