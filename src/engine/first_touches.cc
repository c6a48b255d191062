#include "engine/first_touches.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "base/limits.h"
#include "base/page.h"
#include "engine/scratch_directory.h"
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
  const std::string fresh = path + ".new";
  if (!WriteWholeFile(fresh, text) || rename(fresh.c_str(), path.c_str()) != 0) unlink(fresh.c_str());
}

}  // namespace holdfast
