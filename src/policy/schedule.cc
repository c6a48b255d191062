#include "policy/schedule.h"

#include "policy/adaptive_trigger.h"
#include "policy/interval_trigger.h"

namespace holdfast {

Schedule::Schedule(const TriggerSettings& settings, Moment now)
    : settings_(settings), signal_(settings.on_signal), stop_(settings.deadline_s) {
  if (settings.every_s > 0) sources_.push_back(std::make_unique<IntervalTrigger>(settings.every_s, now));
  if (settings.mtbf_s > 0) sources_.push_back(std::make_unique<AdaptiveTrigger>(settings.mtbf_s, now));
  if (settings.every_dirty_bytes > 0) {
    auto dirty = std::make_unique<DirtyTrigger>(settings.every_dirty_bytes);
    dirty_ = dirty.get();
    sources_.push_back(std::move(dirty));
  }
}

bool Schedule::TakeSignal(int number, Moment now) {
  if (settings_.on_signal == 0 || number != signal_.number()) return false;
  signal_.Arrived(now);
  return true;
}

std::optional<Due> Schedule::Next(const Outlook& outlook) {
  if (stop_.begun()) return stop_.Next(outlook);
  std::optional<Due> first = signal_.Next(outlook);
  for (const auto& source : sources_) {
    std::optional<Due> due = source->Next(outlook);
    if (due && (!first || due->at < first->at)) first = std::move(due);
  }
  return first;
}

std::vector<std::string> Schedule::Arguments(const Due& due) const {
  std::vector<std::string> arguments = {"--tag", std::string(kTriggerAnnotation) + "=" + due.trigger};
  if (due.last) arguments.emplace_back("--stop");
  // With a stop before it, a snapshot has to be quick.
  if (stop_.begun()) return arguments;
  // So that what is written is counted, in small jobs as well.
  const bool count = dirty_ != nullptr && (due.trigger == "dirty" || !dirty_->gave_up());
  if (count) arguments.insert(arguments.end(), {"--capture", "precopy"});
  if (settings_.full_every > 0) {
    arguments.insert(arguments.end(), {"--full-every", std::to_string(settings_.full_every)});
  }
  return arguments;
}

void Schedule::CheckpointStarted(Moment now) {
  signal_.CheckpointStarted(now);
  for (const auto& source : sources_) source->CheckpointStarted(now);
  stop_.CheckpointStarted(now);
}

void Schedule::CheckpointEnded(const CheckpointReport& report) {
  signal_.CheckpointEnded(report);
  for (const auto& source : sources_) source->CheckpointEnded(report);
  stop_.CheckpointEnded(report);
}

std::vector<std::string> Schedule::TakeRemarks() {
  std::vector<std::string> remarks;
  for (const auto& source : sources_) {
    if (std::string remark = source->TakeRemark(); !remark.empty()) remarks.push_back(std::move(remark));
  }
  return remarks;
}

}  // namespace holdfast
