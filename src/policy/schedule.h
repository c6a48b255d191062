// All triggers of one job: whichever comes first. Once the job is to be stopped, only that counts.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "policy/dirty_trigger.h"
#include "policy/signal_trigger.h"
#include "policy/stop_trigger.h"
#include "policy/trigger_settings.h"
#include "policy/trigger_source.h"

namespace holdfast {

class Schedule {
 public:
  Schedule(const TriggerSettings& settings, Moment now);

  // Whether Outlook::unsaved is asked for by Next.
  bool LooksAtMemory() const {
    return settings_.every_dirty_bytes > 0 || (settings_.deadline_s > 0 && stop_.begun());
  }
  // And by checkpoints, in their report.
  bool ReportsUnsaved() const { return settings_.deadline_s > 0; }
  // True: the signal was for us.
  bool TakeSignal(int number, Moment now);
  // `earlier`: see StopTrigger::Begin.
  void Stop(Moment now, DurationPredictor earlier) { stop_.Begin(now, std::move(earlier)); }
  bool stopping() const { return stop_.begun(); }
  // After the last one has failed: see StopTrigger::TriesAgain.
  bool TriesAgain(const Outlook& outlook) const { return stop_.TriesAgain(outlook); }

  std::optional<Due> Next(const Outlook& outlook);
  // Arguments of `holdfast checkpoint` for a snapshot that is due.
  std::vector<std::string> Arguments(const Due& due) const;
  void CheckpointStarted(Moment now);
  void CheckpointEnded(const CheckpointReport& report);
  std::vector<std::string> TakeRemarks();

 private:
  TriggerSettings settings_;
  std::vector<std::unique_ptr<TriggerSource>> sources_;
  const DirtyTrigger* dirty_ = nullptr;  // one of them
  SignalTrigger signal_;
  StopTrigger stop_;
};

}  // namespace holdfast
