// The records of all jobs of a store, one directory each: STORE/jobs/NAME/{job.json, stop.json, *.log,
// attach.sock}. Any number of processes may read; who writes a job's record holds its lock ("job-NAME") or is
// its supervisor.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/job_record.h"

namespace holdfast {

struct JobList {
  std::vector<JobRecord> jobs;  // by name
  std::vector<Error> damaged;   // records that cannot be read; the others are shown all the same
};

class JobBook {
 public:
  // `jobs_directory`: Store::JobsDirectory().
  explicit JobBook(std::filesystem::path jobs_directory);

  std::filesystem::path DirectoryOf(const std::string& name) const { return jobs_directory_ / name; }
  // Where a clone's own files are, each under its path.
  std::filesystem::path PrivateFilesOf(const std::string& name) const { return DirectoryOf(name) / "files"; }
  bool Has(const std::string& name) const;
  // kNotFound, with near names, when there is no such job.
  Result<JobRecord> Load(const std::string& name) const;
  Result<JobList> List() const;
  // Makes the directory (0700) when it is missing.
  Result<void> Save(const JobRecord& record) const;
  // The record, the logs, everything.
  Result<void> Remove(const std::string& name) const;

  JobState StateOf(const JobRecord& record) const;
  // The ending, also when nobody was left to write it down: stopped by `checkpoint --stop` without a
  // supervisor.
  std::optional<JobEnding> EndingOf(const JobRecord& record) const;

 private:
  std::filesystem::path jobs_directory_;
};

// "it ended with status 3 at 2026-...", for messages about a job that does not run.
std::string DescribeEnd(JobState state, const std::optional<JobEnding>& ending);

}  // namespace holdfast
