#include "job/job_book.h"

#include <algorithm>
#include <system_error>

#include "base/clock.h"
#include "job/did_you_mean.h"
#include "job/stop_request.h"
#include "linux/atomic_file.h"
#include "linux/proc.h"
#include "store/manifest.h"

namespace holdfast {

namespace {

constexpr const char* kRecordFile = "job.json";

}  // namespace

JobBook::JobBook(std::filesystem::path jobs_directory) : jobs_directory_(std::move(jobs_directory)) {}

bool JobBook::Has(const std::string& name) const {
  std::error_code ignored;
  return std::filesystem::exists(DirectoryOf(name) / kRecordFile, ignored);
}

Result<JobRecord> JobBook::Load(const std::string& name) const {
  TRY(ValidateLineageName(name));
  const std::string path = DirectoryOf(name) / kRecordFile;
  const Result<std::string> text = ReadFile(path);
  if (text) {
    JobRecord record = TRY(ParseJobRecord(*text, path));
    record.name = name;  // the directory's name is the one that counts
    return record;
  }
  if (text.error().kind != ErrorKind::kNotFound) return text.error();
  std::vector<std::string> names;
  if (const Result<JobList> list = List()) {
    for (const JobRecord& record : list->jobs) names.push_back(record.name);
  }
  std::string hint = DidYouMean(name, names);
  if (hint.empty()) hint = "'holdfast ps' lists the jobs";
  return Fail(ErrorKind::kNotFound, "no job is called '" + name + "'").WithHint(std::move(hint));
}

Result<JobList> JobBook::List() const {
  JobList list;
  std::error_code error;
  std::filesystem::directory_iterator entries(jobs_directory_, error);
  if (error == std::errc::no_such_file_or_directory) return list;
  if (error) return FailErrno(error.value(), "cannot list " + jobs_directory_.string());
  for (const std::filesystem::directory_entry& entry : entries) {
    const std::string path = entry.path() / kRecordFile;
    const Result<std::string> text = ReadFile(path);
    if (!text && text.error().kind == ErrorKind::kNotFound) continue;  // being made or removed right now
    Result<JobRecord> record = text ? ParseJobRecord(*text, path) : Result<JobRecord>(text.error());
    if (!record) {
      list.damaged.push_back(record.error());
      continue;
    }
    record->name = entry.path().filename();
    list.jobs.push_back(std::move(*record));
  }
  std::sort(list.jobs.begin(), list.jobs.end(),
            [](const JobRecord& a, const JobRecord& b) { return a.name < b.name; });
  return list;
}

Result<void> JobBook::Save(const JobRecord& record) const {
  TRY(ValidateLineageName(record.name));
  const std::filesystem::path directory = DirectoryOf(record.name);
  std::error_code error;
  if (std::filesystem::create_directory(directory, error)) {
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);
  }
  if (error) return FailErrno(error.value(), "cannot make " + directory.string());
  return WriteFileAtomically(directory / kRecordFile, FormatJobRecord(record));
}

Result<void> JobBook::Remove(const std::string& name) const {
  TRY(ValidateLineageName(name));
  std::error_code error;
  // The record first: what is left after a crash is then no job any more.
  std::filesystem::remove(DirectoryOf(name) / kRecordFile, error);
  if (!error) std::filesystem::remove_all(DirectoryOf(name), error);
  if (error) return FailErrno(error.value(), "cannot remove " + DirectoryOf(name).string());
  return {};
}

std::optional<JobEnding> JobBook::EndingOf(const JobRecord& record) const {
  if (record.ending) return record.ending;
  const std::optional<StopRequest> stop = ReadStopRequest(DirectoryOf(record.name));
  if (!stop || stop->snapshot.empty() || IsAlive(record.job) || IsAlive(record.supervisor))
    return std::nullopt;
  return JobEnding{.kind = JobEnding::Kind::kCheckpointed, .exit_status = 0, .snapshot = stop->snapshot};
}

JobState JobBook::StateOf(const JobRecord& record) const {
  if (const std::optional<JobEnding> ending = EndingOf(record)) {
    return ending->kind == JobEnding::Kind::kExited ? JobState::kExited : JobState::kCheckpointed;
  }
  if (IsAlive(record.supervisor)) return JobState::kRunning;
  return IsAlive(record.job) ? JobState::kUnsupervised : JobState::kLost;
}

std::string DescribeEnd(JobState state, const std::optional<JobEnding>& ending) {
  std::string text;
  if (state == JobState::kExited && ending) {
    text = "it ended with status " + std::to_string(ending->exit_status);
  } else if (state == JobState::kCheckpointed && ending) {
    text = "it was stopped after " + ending->snapshot;
  } else {
    return "it died together with its supervisor";
  }
  if (ending->at_ms != 0) text += " at " + FormatWallClock(ending->at_ms);
  return text;
}

}  // namespace holdfast
