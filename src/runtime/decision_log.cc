#include "runtime/decision_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/limits.h"

namespace holdfast {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kTextBytesMax = 300;  // of what others wrote; the line must stay one piece

std::string Shortened(std::string_view text) {
  return std::string(text.substr(0, kTextBytesMax));
}

std::string TimeText(int64_t time_ms) {
  const time_t seconds = time_ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> day{};
  std::strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ", day.data(), static_cast<int>(time_ms % 1000));
  return text.data();
}

Json Start(std::string_view verb, std::string_view id, int64_t time_ms) {
  return {{"time", TimeText(time_ms)}, {"verb", Shortened(verb)}, {"id", Shortened(id)}};
}

std::string Finish(Json line, std::string_view runtime) {
  line["runtime"] = Shortened(runtime);
  // What is no UTF-8 is replaced, not thrown at us.
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void AddUnlessEmpty(Json& line, const char* key, const std::string& value) {
  if (!value.empty()) line[key] = Shortened(value);
}

enum class Opened { kFile, kFull, kFailed };

// Opens the log. Where it is full, it becomes the earlier one, unless somebody else sees to that just now.
Opened OpenLog(const std::string& path, Fd& file) {
  file.Reset(::open(path.c_str(),
                    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY, 0600));
  struct stat opened {};
  if (!file.valid() || ::fstat(file.get(), &opened) != 0 || !S_ISREG(opened.st_mode)) return Opened::kFailed;
  if (static_cast<uint64_t>(opened.st_size) < limits::kDecisionLogBytesMax) return Opened::kFile;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return Opened::kFailed;
  struct stat named {};
  // Somebody may have moved the file away between our open and our lock: then the name is a new one's.
  if (::stat(path.c_str(), &named) == 0 && named.st_ino == opened.st_ino) {
    ::rename(path.c_str(), (path + ".1").c_str());
  }
  return Opened::kFull;
}

void MakeDirectories(const std::string& directory) {
  const size_t slash = directory.rfind('/');
  if (slash != std::string::npos && slash > 0) ::mkdir(directory.substr(0, slash).c_str(), 0755);
  ::mkdir(directory.c_str(), 0700);
}

}  // namespace

std::string FormatDecision(std::string_view verb, std::string_view id, const Decision& decision,
                           std::string_view runtime, int64_t time_ms) {
  Json line = Start(verb, id, time_ms);
  line["verdict"] = VerdictName(decision.verdict);
  AddUnlessEmpty(line, "detail", decision.detail);
  line["did"] = decision.did;
  const ContainerIdentity& who = decision.identity;
  AddUnlessEmpty(line, "namespace", who.pod_namespace);
  AddUnlessEmpty(line, "pod", who.pod_name);
  AddUnlessEmpty(line, "container", who.container_name);
  AddUnlessEmpty(line, "pod_uid", who.pod_uid);
  AddUnlessEmpty(line, "owner_uid", who.owner_uid);
  AddUnlessEmpty(line, "template_hash", who.template_hash);
  AddUnlessEmpty(line, "slot", who.slot);
  return Finish(std::move(line), runtime);
}

std::string FormatUnread(std::string_view verb, std::string_view id, const Error& why,
                         std::string_view runtime, int64_t time_ms) {
  Json line = Start(verb, id, time_ms);
  line["verdict"] = "unread";
  line["detail"] = Shortened(why.message);
  line["did"] = "passed through";
  return Finish(std::move(line), runtime);
}

bool AppendToLog(const std::string& directory, std::string_view line) {
  if (line.size() > limits::kDecisionLineBytesMax) return false;
  const std::string path = directory + "/decisions.log";
  Fd file;
  Opened opened = OpenLog(path, file);
  if (opened == Opened::kFailed && !file.valid()) {
    MakeDirectories(directory);
    opened = OpenLog(path, file);
  }
  if (opened == Opened::kFull) opened = OpenLog(path, file);
  return opened == Opened::kFile &&
         ::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

}  // namespace holdfast
