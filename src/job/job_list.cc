#include "job/job_list.h"

#include <algorithm>
#include <set>

namespace holdfast {

namespace {

void CountSnapshots(const Store& store, JobRow& row, std::vector<Error>& problems) {
  const Result<std::vector<SnapshotSummary>> snapshots = store.Snapshots(row.record.name);
  if (!snapshots) {
    if (snapshots.error().kind != ErrorKind::kNotFound) problems.push_back(snapshots.error());
    return;
  }
  row.snapshots = snapshots->size();
  if (snapshots->empty()) return;
  row.newest = snapshots->back().id;
  if (row.record.started_ms == 0) row.record.started_ms = snapshots->front().created_ms;
}

}  // namespace

Result<JobTable> ListJobs(const Store& store) {
  const JobBook book(store.JobsDirectory());
  JobList list = TRY(book.List());
  const std::vector<std::string> lineages = TRY(store.Lineages());
  JobTable table;
  table.problems = std::move(list.damaged);
  for (JobRecord& record : list.jobs) {
    JobRow row;
    row.state = book.StateOf(record);
    row.ending = book.EndingOf(record);
    row.record = std::move(record);
    table.rows.push_back(std::move(row));
  }
  for (const std::string& lineage : lineages) {
    if (book.Has(lineage)) continue;
    JobRow row;
    row.record.name = lineage;
    row.state = JobState::kCheckpointed;
    table.rows.push_back(std::move(row));
  }
  for (JobRow& row : table.rows) CountSnapshots(store, row, table.problems);
  std::sort(table.rows.begin(), table.rows.end(),
            [](const JobRow& a, const JobRow& b) { return a.record.name < b.record.name; });
  return table;
}

std::vector<std::string> KnownNames(const Store& store) {
  std::set<std::string> names;
  if (const Result<JobList> list = JobBook(store.JobsDirectory()).List()) {
    for (const JobRecord& record : list->jobs) names.insert(record.name);
  }
  if (const Result<std::vector<std::string>> lineages = store.Lineages()) {
    names.insert(lineages->begin(), lineages->end());
  }
  return {names.begin(), names.end()};
}

}  // namespace holdfast
