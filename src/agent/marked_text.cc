#include "agent/marked_text.h"

namespace holdfast {

namespace {

constexpr std::string_view kBegin =
    "# >>> holdfast-agent: added by 'holdfast-agent install', removed by 'uninstall'";
constexpr std::string_view kLineEndAdded = " (with the end of line before it)";
constexpr std::string_view kFileMade = " (with the file)";
constexpr std::string_view kDirectoryMade = " (with the directory)";
constexpr std::string_view kEnd = "# <<< holdfast-agent\n";

}  // namespace

std::string AddMarked(std::string_view file, std::string_view ours, MadeFor made) {
  std::string all(file);
  const bool add_line_end = !all.empty() && all.back() != '\n';
  if (add_line_end) all += '\n';
  all += kBegin;
  if (add_line_end) all += kLineEndAdded;
  if (made.file) all += kFileMade;
  if (made.directory) all += kDirectoryMade;
  all += '\n';
  all += ours;
  all += kEnd;
  return all;
}

MarkedText TakeMarked(std::string_view file) {
  MarkedText taken;
  taken.rest = file;
  size_t begin = file.find(kBegin);
  if (begin == std::string_view::npos) return taken;
  const size_t first_line = file.find('\n', begin);
  const size_t end = file.find(kEnd, begin);
  if (first_line == std::string_view::npos || end == std::string_view::npos) return taken;
  const std::string_view mark = file.substr(begin, first_line - begin);
  taken.found = true;
  taken.made.file = mark.find(kFileMade) != std::string_view::npos;
  taken.made.directory = mark.find(kDirectoryMade) != std::string_view::npos;
  if (mark.find(kLineEndAdded) != std::string_view::npos && begin > 0) --begin;
  taken.rest = std::string(file.substr(0, begin)) + std::string(file.substr(end + kEnd.size()));
  return taken;
}

}  // namespace holdfast
