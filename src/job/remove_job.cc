#include "job/remove_job.h"

#include <algorithm>

#include "job/did_you_mean.h"
#include "job/job_book.h"
#include "job/job_list.h"
#include "job/supervised_job.h"

namespace holdfast {

namespace {

Result<void> RefuseIfAlive(const JobBook& book, const std::string& name) {
  const Result<JobRecord> record = book.Load(name);
  if (!record) return {};  // no record, or a damaged one, which may go as well
  const JobState state = book.StateOf(*record);
  if (state != JobState::kRunning && state != JobState::kUnsupervised) return {};
  return Fail(ErrorKind::kBusy, "'" + name + "' runs (pid " + std::to_string(record->job.pid) + ")")
      .WithHint("stop it first, or remove single snapshots: holdfast rm " + name + "@N");
}

Result<void> RemoveJob(Store& store, const std::string& name) {
  const JobBook book(store.JobsDirectory());
  const StoreLock lock = TRY(store.Lock(JobLockName(name)));
  TRY(RefuseIfAlive(book, name));
  const std::vector<std::string> lineages = TRY(store.Lineages());
  const bool has_lineage = std::count(lineages.begin(), lineages.end(), name) > 0;
  const bool has_record = book.Has(name);
  if (!has_lineage && !has_record) {
    std::string hint = DidYouMean(name, KnownNames(store));
    if (hint.empty()) hint = "'holdfast ps' lists the jobs";
    return Fail(ErrorKind::kNotFound, "no job is called '" + name + "'").WithHint(std::move(hint));
  }
  if (has_lineage) TRY(store.RemoveLineage(name));
  if (has_record) TRY(book.Remove(name));
  return {};
}

}  // namespace

Result<Removal> RemoveJobOrSnapshot(Store& store, const SnapshotId& id) {
  Removal removal;
  if (id.version == 0) {
    TRY(RemoveJob(store, id.lineage));
    removal.removed.push_back(id.lineage);
  } else {
    TRY(store.Remove(id));
    removal.removed.push_back(id.ToString());
  }
  removal.bytes_freed = TRY(store.CollectGarbage()).bytes_freed;
  return removal;
}

Result<Removal> PruneLineages(Store& store, const std::vector<std::string>& lineages, const KeepRules& rules,
                              bool dry_run) {
  Removal removal;
  auto add = [&](const PruneReport& report) {
    for (const SnapshotId& id : report.removed) removal.removed.push_back(id.ToString());
    removal.bytes_freed += report.bytes_freed;
  };
  if (rules.any()) {
    const std::vector<std::string> all = lineages.empty() ? TRY(store.Lineages()) : lineages;
    for (const std::string& lineage : all) add(TRY(store.Prune(lineage, rules, dry_run)));
  }
  add(TRY(store.CollectGarbage(dry_run)));
  return removal;
}

}  // namespace holdfast
