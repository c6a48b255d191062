// What a job wrote to last before its snapshot, as far as the snapshot tells: pages that its parent does not
// have. A job that is restarted is likely to go on with them.
#pragma once

#include <vector>

#include "memory/page_server.h"
#include "store/manifest.h"

namespace holdfast {

// By process and address.
std::vector<Stretch> WrittenLast(const Manifest& manifest, const Manifest& parent);

}  // namespace holdfast
