// What installing or uninstalling a handler would change, before it does.
#pragma once

#include <string>
#include <vector>

#include "agent/text_file.h"

namespace holdfast {

struct HandlerPlan {
  std::vector<FileChange> changes;  // none: it is as wanted already
  std::vector<std::string> notes;   // what the administrator should know
};

}  // namespace holdfast
