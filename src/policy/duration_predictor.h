// How long a checkpoint will take, from what earlier ones of the same job took.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace holdfast {

class DurationPredictor {
 public:
  // `bytes`: that were not saved when it began; `seconds`: that it took until it was committed. The newest
  // eight count.
  void Add(uint64_t bytes, double seconds);
  void Add(const DurationPredictor& later);
  // Rather too long than too short: a fixed part, the longest of those that had little to save (at most
  // limits::kLittleMemoryBytes), and a part for each byte, at the lowest speed of those that had much.
  double PredictS(uint64_t bytes) const;
  // At the mean speed.
  double ExpectS(uint64_t bytes) const;
  // The fixed part has been measured.
  bool knows_little_ones() const;

 private:
  struct Sample {
    uint64_t bytes = 0;
    double seconds = 0;
  };
  double FixedS() const;
  double BytesPerSecond() const;

  std::deque<Sample> samples_;
};

}  // namespace holdfast
