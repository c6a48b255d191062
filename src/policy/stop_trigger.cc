#include "policy/stop_trigger.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/units.h"

namespace holdfast {

namespace {

constexpr int kDeltasMax = 10;
constexpr int kLastsMax = 3;
// A checkpoint may take this much longer than predicted.
constexpr double kMargin = 1.5;
// For what comes after the commit: the job's end, the supervisor's.
constexpr double kReserveSeconds = 1;
// A delta helps when the last one then takes less than this share of what it would take now.
constexpr double kHelpfulShare = 0.8;
constexpr double kSinceSecondsMin = 0.1;

}  // namespace

void StopTrigger::Begin(Moment now, DurationPredictor earlier) {
  began_ = now;
  earlier.Add(predictor_);
  predictor_ = std::move(earlier);
}

StopTrigger::Forecast StopTrigger::Look(const Outlook& outlook, const Unsaved& unsaved) const {
  Forecast forecast;
  const uint64_t bytes = unsaved.bytes();
  forecast.left_s = deadline_s_ - SecondsBetween(*began_, outlook.now);
  forecast.now_s = predictor_.PredictS(bytes);
  // The job may write all of it again meanwhile.
  forecast.fits = kReserveSeconds + 2 * kMargin * forecast.now_s <= forecast.left_s;
  uint64_t rest = bytes;
  if (!unsaved.tracked && deltas_ == 0) rest = 0;  // nobody knows; it is worth a try
  if (unsaved.tracked) {
    const double per_s =
        static_cast<double>(unsaved.written_bytes) / std::max(unsaved.since_s, kSinceSecondsMin);
    rest = std::min(bytes, static_cast<uint64_t>(per_s * predictor_.ExpectS(bytes)));
  }
  forecast.after_s = predictor_.PredictS(rest);
  // How much of the time is the fixed part is not known before there was a little one.
  const bool shorter = predictor_.knows_little_ones()
                           ? forecast.after_s < kHelpfulShare * forecast.now_s
                           : static_cast<double>(rest) < kHelpfulShare * static_cast<double>(bytes);
  forecast.helps = bytes > limits::kLittleMemoryBytes && deltas_ < kDeltasMax && shorter;
  return forecast;
}

std::string StopTrigger::Explain(const Forecast& forecast, const Unsaved& unsaved, bool last) const {
  std::string text =
      fmt::format("{} until the deadline, {} not saved yet: ", FormatSeconds(std::max(forecast.left_s, 0.0)),
                  FormatBytes(unsaved.bytes()));
  if (!last) {
    return text + fmt::format("a delta takes at most about {}, the last one then {}",
                              FormatSeconds(forecast.now_s), FormatSeconds(forecast.after_s));
  }
  text += fmt::format("the last one takes at most about {}", FormatSeconds(forecast.now_s));
  if (failed_lasts_ > 0) return text + " (once more)";
  if (failed_) return text + " (a delta failed)";
  if (!forecast.helps) return text + " (a delta would not make it shorter)";
  return text + " (there is no time for a delta)";
}

bool StopTrigger::TriesAgain(const Outlook& outlook) const {
  if (failed_lasts_ >= kLastsMax || !outlook.unsaved) return false;
  const Forecast forecast = Look(outlook, *outlook.unsaved);
  return kReserveSeconds + kMargin * std::max(forecast.now_s, failed_last_s_) <= forecast.left_s;
}

std::optional<Due> StopTrigger::Next(const Outlook& outlook) {
  if (!began_) return std::nullopt;
  Due due{.at = outlook.now, .trigger = "stop", .why = {}, .last = true};
  if (deadline_s_ <= 0) return due;
  due.trigger = "deadline";
  if (!outlook.unsaved) return due;
  const Forecast forecast = Look(outlook, *outlook.unsaved);
  due.last = failed_lasts_ > 0 || failed_ || !forecast.helps || !forecast.fits;
  due.why = Explain(forecast, *outlook.unsaved, due.last);
  return due;
}

void StopTrigger::CheckpointEnded(const CheckpointReport& report) {
  if (report.ok && report.unsaved_bytes) predictor_.Add(*report.unsaved_bytes, report.seconds());
  if (!began_) return;
  if (report.last) {
    if (report.ok) return;
    ++failed_lasts_;
    failed_last_s_ = std::max(failed_last_s_, report.seconds());
    return;
  }
  // One that was under way when it began is as good as a delta, but is not known to have begun the tracking.
  if (report.started < *began_) return;
  ++deltas_;
  failed_ = failed_ || !report.ok;
}

}  // namespace holdfast
