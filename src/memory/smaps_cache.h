// /proc/PID/smaps without its price. The kernel makes it by walking every page table, tens of milliseconds
// for a few GiB, and CRIU reads it while the job stands still, for the flags of the mappings alone. So the
// flags are read before the freeze, the mappings in it (/proc/PID/maps, 30 us), and what changed in between
// is guessed and corrected afterwards from the twin, which has the same flags.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "linux/proc.h"

namespace holdfast {

struct ComposedSmaps {
  std::string text;                    // what CRIU is given
  std::vector<MappingDetail> details;  // the same, typed
  size_t guessed = 0;                  // mappings that were not there before
};

// `before`: smaps of the process when it still ran; `now`: its maps in the freeze.
ComposedSmaps ComposeSmaps(const std::vector<MappingDetail>& before, const std::vector<Mapping>& now);

// Sum of the mappings marked as locked. Where it differs from VmLck, the flags have changed in a way that the
// twin cannot tell (it inherits no locks): the kernel has to be asked.
uint64_t LockedBytes(const std::vector<MappingDetail>& details);

// The true flags at the freeze: `told` corrected by the twin's. What a twin lacks altogether is DONTFORK;
// locks are as told. `differs`: whether anything that a restart depends on was told wrong.
std::vector<MappingDetail> CorrectByTwin(const std::vector<MappingDetail>& told,
                                         const std::vector<MappingDetail>& twin, bool* differs);

// The same where there is no twin, by the process's own flags after the freeze (`later`): what is the same
// before and after it was so in it. `doubtful`: a flag has changed on which it depends what becomes of
// content.
std::vector<MappingDetail> CorrectByLater(const std::vector<MappingDetail>& told,
                                          const std::vector<MappingDetail>& later, bool* differs,
                                          bool* doubtful);

}  // namespace holdfast
