// What checkpoints take from a running job, measured from outside by the processor time of its processes.
#pragma once

#include <sys/types.h>

#include <optional>

#include "policy/trigger_source.h"

namespace holdfast {

class LossMeter {
 public:
  explicit LossMeter(pid_t root) : root_(root), free_since_(Read()) {}

  void CheckpointStarted() { started_ = Read(); }
  // Seconds of running time that the job lost since CheckpointStarted, at least `freeze_s`.
  double CheckpointEnded(double freeze_s);

 private:
  struct Reading {
    Moment at;
    double user_s = 0;
  };
  std::optional<Reading> Read() const;

  pid_t root_;
  std::optional<Reading> free_since_;  // of checkpoints of ours
  std::optional<Reading> started_;
};

}  // namespace holdfast
