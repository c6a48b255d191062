// Has another program, holdfast, do a verb: holdfast-runtime itself knows nothing of snapshots.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

struct HelperCall {
  std::string program;
  std::vector<std::string> arguments;  // without the program's name
  bool outlives_us = false;            // it completes what it does though this process is killed
  bool takes_streams = false;          // ours, under other numbers; else it has no end of what we hold
  int milliseconds = 0;                // then it is told to end; and killed when it does not
};

struct HelperAnswer {
  bool done = false;   // the verb is done; else the real runtime is to do it
  std::string said;    // of which snapshot, or why not
  bool given = false;  // the program itself said so
};

// Waits for the program's end and its answer (oci/runtime_helper.h). Its 0 to 2 are /dev/null.
HelperAnswer CallHelper(const HelperCall& call);

}  // namespace holdfast
