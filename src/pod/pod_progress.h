// Work with a deadline: past it, or told by a signal, it is undone and fails with kInterrupted.
#pragma once

#include <chrono>

#include "base/progress.h"
#include "job/signal_fence.h"

namespace holdfast {

class PodProgress : public Progress {
 public:
  explicit PodProgress(std::chrono::milliseconds deadline)
      : until_(std::chrono::steady_clock::now() + deadline) {}
  void Phase(std::string_view /*name*/, uint64_t /*total*/) override {}
  void Advance(uint64_t /*done*/) override {}
  void Note(std::string_view /*text*/) override {}
  bool Cancelled() const override { return IsLate() || SignalFence::StopRequested(); }
  bool IsLate() const { return std::chrono::steady_clock::now() >= until_; }

 private:
  std::chrono::steady_clock::time_point until_;
};

}  // namespace holdfast
