// holdfast-runtime: an OCI runtime that is runc, or crun, with an eye on the containers that asked for
// checkpoints.
#pragma once

namespace holdfast {

// Does not return when all is well: the process becomes the real runtime. Else the exit status, and why is on
// stderr and in the file that --log names.
int RunWrapper(int argc, char** argv);

}  // namespace holdfast
