#include "linux/proc_text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "base/fd.h"
#include "base/limits.h"
#include "base/units.h"
#include "linux/proc.h"

namespace holdfast {

std::string ProcPath(pid_t pid, std::string_view rest) {
  return fmt::format("/proc/{}/{}", pid, rest);
}

std::string_view TakeLine(std::string_view& text) {
  const size_t newline = text.find('\n');
  const std::string_view line = text.substr(0, newline);
  text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  return line;
}

std::string_view TakeWord(std::string_view& text) {
  const size_t first = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(first);
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::vector<std::string> SplitAtNul(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\0'), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

Result<std::string> ReadLinkAt(int directory, const char* name, const std::string& what) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlinkat(directory, name, target.data(), target.size());
  if (length < 0) return FailErrno("cannot read the link " + what);
  return std::string(target.data(), static_cast<size_t>(length));
}

Result<std::string> ReadAll(int fd, const std::string& path) {
  // procfs hands out a page or so per call and knows no size beforehand; the buffer doubles so that few
  // copies are made.
  std::string content;
  size_t used = 0;
  for (;;) {
    if (used == content.size()) {
      if (used >= limits::kProcFileBytesMax) {
        return Fail(ErrorKind::kUnsupported,
                    path + " is longer than " + FormatBytes(limits::kProcFileBytesMax));
      }
      content.resize(std::max<size_t>(16 * kKiB, used * 2));
    }
    const ssize_t got = ::read(fd, content.data() + used, content.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read " + path);
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  content.resize(used);
  return content;
}

Result<std::string> ReadFile(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return FailErrno("cannot open " + path);
  return ReadAll(file.get(), path);
}

}  // namespace holdfast
