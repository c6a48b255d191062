// A file that tells how far the filling of a lazily restarted job has come. Its page servers hold a lock on
// it for as long as any of them lives; what is in it says how it ended.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

enum class FillStage {
  kNone,     // it was not restarted lazily
  kFilling,  // its page servers are at work
  kFilled,   // all of its memory is there
  kLost,     // they are gone, and it is not: what was missing is zeros now, so the job must not go on
};

struct FillProgress {
  FillStage stage = FillStage::kNone;
  std::string reason;  // of kLost
};

// Of the record at `path`.
FillProgress ReadFillProgress(const std::string& path);

class FillRecord {
 public:
  // Anew, locked. Processes that are forked later hold the lock, too.
  static Result<FillRecord> Create(const std::string& path);
  void SetFilled() const;
  void SetLost(const std::string& reason) const;
  int descriptor() const { return fd_.get(); }

 private:
  explicit FillRecord(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace holdfast
