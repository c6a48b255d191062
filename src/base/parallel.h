// A loop over all cores.
#pragma once

#include <cstddef>
#include <functional>

#include "base/result.h"

namespace holdfast {

unsigned CoreCount();

// Calls work(i) for i in [0, count) from up to `threads` threads (0: one per core), in increasing order of
// start. Stops at the first error and returns it.
Result<void> ParallelFor(size_t count, const std::function<Result<void>(size_t)>& work, unsigned threads = 0);

}  // namespace holdfast
