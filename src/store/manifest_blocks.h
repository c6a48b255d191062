// The blocks that a manifest names.
#pragma once

#include "store/manifest.h"

namespace holdfast {

// Leaves out the blocks that nothing in the manifest refers to: what was stored and written anew before the
// commit, what was taken over from a parent and is not the same any more.
void DropUnusedBlocks(Manifest& manifest);

}  // namespace holdfast
