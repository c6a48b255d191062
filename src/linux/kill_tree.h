// The end of a whole process tree.
#pragma once

#include <sys/types.h>

namespace holdfast {

// SIGKILL for `root` and all its descendants.
void KillTree(pid_t root);

}  // namespace holdfast
