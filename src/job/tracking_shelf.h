// Where a checkpoint leaves the descriptors that keep the tracking of a job's writes going, until the next
// one takes them: with the job's supervisor, which lives as long as the job.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "engine/engine.h"

namespace holdfast {

// The supervisor's side.
class TrackingShelf {
 public:
  // Listens in the job's directory, in the place of an earlier supervisor's. The socket's file stays: when an
  // earlier supervisor comes to its end, it may be a later one's.
  static Result<TrackingShelf> Open(const std::filesystem::path& job_directory);
  TrackingShelf(TrackingShelf&&) noexcept = default;
  TrackingShelf& operator=(TrackingShelf&&) = delete;

  int fd() const { return listener_.get(); }
  // Lets one checkpoint take or leave something, if one wants to (then fd() is readable). Never waits long.
  void Serve();
  // What lies on it, without the descriptors.
  KeptTracking Shows() const;
  // When it was left there.
  std::chrono::steady_clock::time_point left_at() const { return left_at_; }

 private:
  TrackingShelf() = default;

  Fd listener_;
  std::string note_;
  std::vector<Fd> descriptors_;
  std::chrono::steady_clock::time_point left_at_;
};

// A checkpoint's side. A job without a supervisor, or one of an older version, has an empty shelf.
KeptTracking TakeFromShelf(const std::filesystem::path& job_directory);
// What does not fit on the shelf is let go of: that tracking ends.
void PutOnShelf(const std::filesystem::path& job_directory, KeptTracking tracking);

}  // namespace holdfast
