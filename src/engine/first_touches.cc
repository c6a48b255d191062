#include "engine/first_touches.h"

#include <fmt/format.h>

#include <sstream>

#include "base/limits.h"
#include "base/page.h"
#include "linux/atomic_file.h"
#include "linux/proc.h"

namespace holdfast {

std::vector<Touch> ReadFirstTouches(const std::string& path) {
  std::vector<Touch> touches;
  const Result<std::string> text = ReadFile(path);
  if (!text) return touches;
  std::istringstream lines(*text);
  Touch touch;
  while (touches.size() < limits::kTouchesKeptMax &&
         lines >> std::dec >> touch.pid >> std::hex >> touch.address) {
    touch.address &= ~(kPageBytes - 1);
    touches.push_back(touch);
  }
  return touches;
}

void WriteFirstTouches(const std::string& path, const std::vector<Touch>& touches) {
  std::string text;
  for (const Touch& touch : touches) text += fmt::format("{} {:x}\n", touch.pid, touch.address);
  static_cast<void>(WriteFileAtomically(path, text));
}

}  // namespace holdfast
