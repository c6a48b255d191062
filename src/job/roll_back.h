// The first half of `holdfast rollback`: the present of a job ends, so that an earlier one can take its
// place.
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "engine/engine.h"
#include "job/notices.h"
#include "store/store.h"

namespace holdfast {

struct StopOptions {
  bool discard = false;  // take no last snapshot
  Notices notices;
  Progress* progress = nullptr;
};

// Ends the job if it runs, after a last snapshot, and waits until it and its supervisor are gone. Nothing is
// changed when that snapshot fails.
Result<void> StopForRollBack(Store& store, const std::string& name, const StopOptions& options);

}  // namespace holdfast
