#include "cli/started_job.h"

#include <fmt/format.h>

#include "base/units.h"
#include "cli/output.h"

namespace holdfast {

namespace {

std::string DescribeResume(const StartedJob& job) {
  const std::string later =
      job.bytes_to_come == 0 ? "" : fmt::format(", {} of it still to come", FormatBytes(job.bytes_to_come));
  return fmt::format("{} runs again as pid {}: restart {}, {} of memory{}", job.snapshot, job.pid,
                     FormatMilliseconds(job.restart_ms), FormatBytes(job.bytes_restored), later);
}

}  // namespace

Json StartedJobToJson(const StartedJob& job) {
  if (job.snapshot.empty())
    return {{"name", job.name}, {"pid", job.pid}, {"supervisor_pid", job.supervisor_pid}};
  return {{"name", job.name},
          {"snapshot", job.snapshot},
          {"pid", job.pid},
          {"supervisor_pid", job.supervisor_pid},
          {"restart_ms", job.restart_ms},
          {"bytes_restored", job.bytes_restored},
          {"bytes_to_come", job.bytes_to_come},
          {"network", job.private_network ? "own" : "shared"},
          {"files_put_back", job.files_put_back}};
}

void PrintStartedJob(const StartedJob& job, const GlobalOptions& global) {
  if (global.json) {
    PrintJson(StartedJobToJson(job));
  } else if (!job.snapshot.empty()) {
    if (!global.quiet) PrintResumeNotice(job);
    fmt::print("{}\n", job.name);
  } else {
    fmt::print("{}\n", job.name);
    if (!global.quiet)
      PrintNotice(fmt::format("runs as pid {}; 'holdfast logs -f {}' shows it", job.pid, job.name));
  }
  std::fflush(stdout);
}

void PrintResumeNotice(const StartedJob& job) {
  PrintNotice(DescribeResume(job));
  constexpr size_t kShownMax = 20;
  const size_t count = job.files_put_back.size();
  for (size_t i = 0; i < count && i < kShownMax; ++i) PrintNotice("  put back: " + job.files_put_back[i]);
  if (count > kShownMax)
    PrintNotice(fmt::format("  put back: ... and {} more; --json lists them all", count - kShownMax));
}

}  // namespace holdfast
