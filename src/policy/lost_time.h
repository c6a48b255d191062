// What a checkpoint takes from a job that runs on: how much less it gets done meanwhile, by the processor
// time that it spends in its own code. The freeze, faults of tracked pages and the drain on the same cores
// are all in that.
#pragma once

#include <optional>

namespace holdfast {

// A stretch of time, and the processor time of the job in it, of all its processes, in its own code.
struct CpuStretch {
  double wall_s = 0;
  double user_s = 0;
};

// In seconds of running time, between the freeze and the whole of `during`. A job that hardly computes tells
// nothing by its processor time: it lost the freeze.
double LostSeconds(const std::optional<CpuStretch>& before, const std::optional<CpuStretch>& during,
                   double freeze_s);

}  // namespace holdfast
