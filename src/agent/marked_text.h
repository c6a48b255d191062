// Text of ours at the end of somebody else's file, between two marks, so that it can be found and taken out
// again with every other byte left as it is.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// What was made for it, and is to go with it.
struct MadeFor {
  bool file = false;
  bool directory = false;
};

struct MarkedText {
  std::string rest;  // the file without our part
  bool found = false;
  MadeFor made;
};

// `file` with `ours` (lines) at its end. A missing end of line before it is added, and noted in the mark.
std::string AddMarked(std::string_view file, std::string_view ours, MadeFor made);
MarkedText TakeMarked(std::string_view file);

}  // namespace holdfast
