#include "linux/mounts.h"

#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {
namespace {

bool IsOctal(char digit) {
  return digit >= '0' && digit <= '7';
}

// "\040" is a space (fs/proc_namespace.c, mangle).
std::string Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
        IsOctal(text[i + 3])) {
      decoded += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace

Result<std::vector<Mount>> ParseMounts(std::string_view text) {
  std::vector<Mount> mounts;
  while (!text.empty()) {
    std::string_view line = TakeLine(text);
    if (line.empty()) continue;
    Mount mount;
    for (int skipped = 0; skipped < 3; ++skipped) TakeWord(line);  // id, parent, device
    mount.root = Decode(TakeWord(line));
    mount.point = Decode(TakeWord(line));
    // Options and optional fields, up to the separator.
    std::string_view word = TakeWord(line);
    while (!word.empty() && word != "-") word = TakeWord(line);
    mount.type = Decode(TakeWord(line));
    TakeWord(line);  // the source
    mount.file_system_options = Decode(TakeWord(line));
    if (!mount.point.starts_with('/') || mount.type.empty()) {
      return Fail(ErrorKind::kInternal, "a line of mountinfo makes no sense");
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

Result<std::vector<Mount>> ReadMounts(pid_t pid) {
  return ParseMounts(TRY(ReadFile(ProcPath(pid, "mountinfo"))));
}

}  // namespace holdfast
