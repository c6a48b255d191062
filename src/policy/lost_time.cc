#include "policy/lost_time.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr double kWallSecondsMin = 0.5;  // processor time comes in ticks of 10 ms
constexpr double kUsedShareMin = 0.1;    // of one core

}  // namespace

double LostSeconds(const std::optional<CpuStretch>& before, const std::optional<CpuStretch>& during,
                   double freeze_s) {
  if (!before || !during || before->wall_s < kWallSecondsMin) return freeze_s;
  const double speed = before->user_s / before->wall_s;
  if (speed < kUsedShareMin) return freeze_s;
  const double missing_s = during->wall_s - during->user_s / speed;
  return std::clamp(missing_s, freeze_s, std::max(freeze_s, during->wall_s));
}

}  // namespace holdfast
