// The exit codes of holdfast; docs/exit-codes.md is their documentation.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

int ExitCode(ErrorKind kind);

struct ExitCodeText {
  int code = 0;
  std::string name;  // ErrorKindName, or "success", "checkpointed"
  std::string what;
};
// All of them, in order, for help, man pages and the document.
std::vector<ExitCodeText> AllExitCodes();

}  // namespace holdfast
