// By which way a process is captured, chosen by what each is predicted to take.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "linux/proc.h"
#include "memory/twin_plan.h"

namespace holdfast {

// Whether fork() does not give the child what is in the mapping, or not reliably.
bool HasNoContentAfterFork(const MappingDetail& detail);

struct CaptureChoice {
  enum class Way { kCopy, kPartialTwin, kWholeTwin };
  Way way = Way::kWholeTwin;
  double predicted_ms = 0;  // of the freeze, for this process's memory
  TwinPlan plan;            // of a twin
};

struct ChoiceRules {
  CaptureWay asked = CaptureWay::kAuto;
  bool may_copy = true;          // it can do without a twin
  std::vector<uint64_t> kept{};  // addresses that a twin has to have
};

// `details`: the mappings as they are, with what is known of their flags and residents. `written`: the pages
// of a tracked process that have to be captured.
CaptureChoice ChooseCapture(const std::vector<MappingDetail>& details, const std::vector<PageRun>& written,
                            const ChoiceRules& rules);

// Of a process that is not tracked: a twin of all of it.
double PredictWholeTwinMs(const std::vector<MappingDetail>& details);

}  // namespace holdfast
