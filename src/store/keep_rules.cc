#include "store/keep_rules.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <set>

namespace holdfast {
namespace {

std::tm LocalTime(int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm time{};
  ::localtime_r(&seconds, &time);
  return time;
}

// Days of the calendar, numbered without a gap (days from 1970-01-01, a Thursday).
int64_t DayOf(const std::tm& time) {
  std::tm midnight{};
  midnight.tm_year = time.tm_year;
  midnight.tm_mon = time.tm_mon;
  midnight.tm_mday = time.tm_mday;
  constexpr int64_t kSecondsPerDay = 86'400;
  return ::timegm(&midnight) / kSecondsPerDay;
}

int64_t HourOf(const std::tm& time) {
  constexpr int64_t kHoursPerDay = 24;
  return DayOf(time) * kHoursPerDay + time.tm_hour;
}

int64_t WeekOf(const std::tm& time) {
  constexpr int64_t kThursdayFromMonday = 3;
  return (DayOf(time) + kThursdayFromMonday) / 7;
}

// Wants the newest snapshot of each of the newest `count` periods. Asked from the newest snapshot on.
class PeriodRule {
 public:
  PeriodRule(uint64_t count, int64_t (*period_of)(const std::tm&)) : left_(count), period_of_(period_of) {}
  bool Wants(const std::tm& time) {
    const int64_t period = period_of_(time);
    if (left_ == 0 || period == seen_) return false;
    seen_ = period;
    --left_;
    return true;
  }

 private:
  uint64_t left_;
  int64_t (*period_of_)(const std::tm&);
  std::optional<int64_t> seen_;
};

}  // namespace

std::vector<uint64_t> VersionsToRemove(const std::vector<SnapshotSummary>& snapshots,
                                       const KeepRules& rules) {
  std::vector<uint64_t> removed;
  if (!rules.any()) return removed;
  std::array periods = {PeriodRule(rules.hourly, HourOf), PeriodRule(rules.daily, DayOf),
                        PeriodRule(rules.weekly, WeekOf)};
  const bool only_last = rules.hourly == 0 && rules.daily == 0 && rules.weekly == 0 && !rules.besides;
  uint64_t last = rules.last;
  for (auto snapshot = snapshots.rbegin(); snapshot != snapshots.rend(); ++snapshot) {
    bool stays = snapshot->present;
    if (last > 0) {
      --last;
      stays = true;
    }
    if (!snapshot->damage.empty()) {
      stays = stays || !only_last;
    } else {
      const std::tm time = LocalTime(snapshot->created_ms);
      for (PeriodRule& rule : periods) stays = rule.Wants(time) || stays;
      stays = stays || (rules.besides && rules.besides(*snapshot));
    }
    if (!stays) removed.push_back(snapshot->id.version);
  }
  std::reverse(removed.begin(), removed.end());
  return removed;
}

}  // namespace holdfast
