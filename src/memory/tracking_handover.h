// While a job is filled, the userfaultfd that tells of its missing pages marks its writes as well. It tells
// of forks and unmappings, too, each of which waits for a reader: so it must go as soon as nothing is missing
// any more, and its marks with it. Another one, which tells of nothing, goes on from what they said.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/result.h"
#include "memory/drain.h"
#include "memory/missing_ranges.h"
#include "store/manifest.h"

namespace holdfast {

// Places whose pages are as `stored`, and not written to since. `filling`: the userfaultfd that they were put
// by, protected. `arrived`: places that anything has been moved to meanwhile, with its marks; what is stored
// of them is about something else. Requires, as the next one: no thread that uses the address space runs.
Result<std::vector<PageRun>> FindUnwritten(pid_t pid, int filling, const AddressSpace& stored,
                                           const MissingRanges& arrived);

// When `filling` is closed. `tracking`: enabled for write protection, nothing registered yet. All but
// `unwritten` counts as written. After an error it is of no use.
Result<void> TrackUnwritten(pid_t pid, int tracking, const std::vector<PageRun>& unwritten);

// Whether another process below `root` has the same address space. Also when that cannot be found out.
bool SharesItsMemory(pid_t pid, pid_t root);

}  // namespace holdfast
