#include "policy/duration_predictor.h"

#include <algorithm>

#include "base/limits.h"

namespace holdfast {

namespace {

constexpr size_t kSamplesMax = 8;
// Of so much the fixed part is no great share.
constexpr uint64_t kMuchBytes = 64ull << 20;
// As long as nothing is known: what a slow disk and a busy machine do.
constexpr double kFixedSeconds = 1;
constexpr double kBytesPerSecond = 50e6;
constexpr double kSecondsMin = 0.001;

}  // namespace

void DurationPredictor::Add(uint64_t bytes, double seconds) {
  samples_.push_back({bytes, std::max(seconds, kSecondsMin)});
  if (samples_.size() > kSamplesMax) samples_.pop_front();
}

void DurationPredictor::Add(const DurationPredictor& later) {
  for (const Sample& sample : later.samples_) Add(sample.bytes, sample.seconds);
}

double DurationPredictor::PredictS(uint64_t bytes) const {
  return FixedS() + static_cast<double>(bytes) / BytesPerSecond();
}

double DurationPredictor::ExpectS(uint64_t bytes) const {
  double known_bytes = 0;
  double seconds = 0;
  for (const Sample& sample : samples_) {
    if (sample.bytes <= limits::kLittleMemoryBytes) continue;
    known_bytes += static_cast<double>(sample.bytes);
    seconds += sample.seconds;
  }
  return known_bytes > 0 ? static_cast<double>(bytes) * seconds / known_bytes : PredictS(bytes);
}

bool DurationPredictor::knows_little_ones() const {
  return std::any_of(samples_.begin(), samples_.end(),
                     [](const Sample& sample) { return sample.bytes <= limits::kLittleMemoryBytes; });
}

double DurationPredictor::FixedS() const {
  if (samples_.empty()) return kFixedSeconds;
  double longest = 0;
  double shortest = samples_.front().seconds;
  for (const Sample& sample : samples_) {
    if (sample.bytes <= limits::kLittleMemoryBytes) longest = std::max(longest, sample.seconds);
    shortest = std::min(shortest, sample.seconds);
  }
  // It is a part of what every one of them took.
  return longest > 0 ? longest : shortest;
}

double DurationPredictor::BytesPerSecond() const {
  for (const uint64_t at_least : {kMuchBytes, limits::kLittleMemoryBytes + 1}) {
    double lowest = 0;
    for (const Sample& sample : samples_) {
      if (sample.bytes < at_least) continue;
      const double speed = static_cast<double>(sample.bytes) / sample.seconds;
      lowest = lowest > 0 ? std::min(lowest, speed) : speed;
    }
    if (lowest > 0) return lowest;
  }
  return kBytesPerSecond;
}

}  // namespace holdfast
