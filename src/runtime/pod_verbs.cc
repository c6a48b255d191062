#include "runtime/pod_verbs.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "oci/runtime_helper.h"
#include "runtime/annotation_names.h"

namespace holdfast {

namespace {

constexpr int kMillisecondsPerSecond = 1000;
constexpr const char* kDefaultRoot = "/run/runc";

std::string RootOf(const OciCommand& command) {
  return command.root.empty() ? kDefaultRoot : std::string(command.root);
}

// The value of an option, or "true" of a switch; empty when it is not there. Whoever asks has had the command
// line understood as a whole.
std::string_view FindOption(std::span<const char* const> words, std::string_view name, bool takes_value) {
  for (size_t index = 0; index < words.size(); ++index) {
    std::string_view word = words[index];
    if (word == "--") return {};
    if (!word.starts_with('-')) continue;
    word.remove_prefix(std::min(word.find_first_not_of('-'), word.size()));
    if (!word.starts_with(name)) continue;
    word.remove_prefix(name.size());
    if (word.starts_with('=')) return word.substr(1);
    if (!word.empty()) continue;
    if (!takes_value) return "true";
    return index + 1 < words.size() ? words[index + 1] : std::string_view();
  }
  return {};
}

bool HasSwitch(std::span<const char* const> words, std::string_view name) {
  const std::string_view value = FindOption(words, name, false);
  return !value.empty() && value != "false" && value != "0";
}

// The one that was installed with this program.
std::string HoldfastBeside() {
  std::array<char, 4096> path{};
  const ssize_t bytes = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  const std::string self(path.data(), bytes < 0 ? 0 : static_cast<size_t>(bytes));
  return self.substr(0, self.rfind('/') + 1) + "holdfast";
}

void AddFiles(std::string_view list, std::vector<std::string>& arguments) {
  constexpr std::string_view kBetween = ", \t\n";
  while (true) {
    const size_t start = list.find_first_not_of(kBetween);
    if (start == std::string_view::npos) return;
    list.remove_prefix(start);
    const size_t end = std::min(list.find_first_of(kBetween), list.size());
    arguments.insert(arguments.end(), {"--files", std::string(list.substr(0, end))});
    list.remove_prefix(end);
  }
}

std::string Milliseconds(int seconds) {
  return std::to_string(seconds * kMillisecondsPerSecond);
}

void AddCreate(const OciCommand& command, std::span<const char* const> words, const RuntimeSettings& settings,
               HelperCall& call) {
  const int seconds = std::max(limits::kCreateSecondsMax, settings.wait_seconds);
  call.milliseconds = seconds * kMillisecondsPerSecond;
  call.takes_streams = true;
  const std::string bundle = command.bundle.empty() ? "." : std::string(command.bundle);
  call.arguments.insert(call.arguments.end(),
                        {"--bundle", bundle, "--wait-ms", Milliseconds(settings.wait_seconds),
                         "--deadline-ms", Milliseconds(seconds - limits::kUndoSecondsMax)});
  const std::string_view pid_file = FindOption(words, "pid-file", true);
  if (!pid_file.empty()) call.arguments.insert(call.arguments.end(), {"--pid-file", std::string(pid_file)});
  if (HasSwitch(words, "systemd-cgroup")) call.arguments.emplace_back("--systemd-cgroup");
}

// Its own deadline comes first: then it has still to undo what it has begun.
void AddKill(const Annotations& annotations, const RuntimeSettings& settings, HelperCall& call) {
  call.outlives_us = true;
  call.milliseconds = (settings.deadline_seconds + limits::kUndoSecondsMax) * kMillisecondsPerSecond;
  call.arguments.insert(call.arguments.end(), {"--deadline-ms", Milliseconds(settings.deadline_seconds)});
  AddFiles(Find(annotations, annotation::kFiles), call.arguments);
}

// A container whose helper was killed may stand still after its snapshot, and a stopped one hears no signal.
void LetGoOn(const std::string& runtime, const std::string& root, const std::string& id) {
  constexpr int kMillisecondsMax = 5000;
  HelperCall call;
  call.program = runtime;
  call.arguments = {"--root", root, "kill", "--all", id, "CONT"};
  call.milliseconds = kMillisecondsMax;
  static_cast<void>(CallHelper(call));
}

}  // namespace

bool IsPodVerb(const OciCommand& command, const RuntimeSettings& settings) {
  if (settings.store.empty() || !command.understood) return false;
  if (command.verb == Verb::kStart) {
    if (!IsContainerId(command.id)) return false;
    const std::string mark = RootOf(command) + "/" + std::string(command.id) + "/" + kRestoredMark;
    return ::access(mark.c_str(), F_OK) == 0;
  }
  return command.verb == Verb::kCreate || command.verb == Verb::kKill || command.verb == Verb::kDelete;
}

Result<std::string> IdentityPath(const ContainerIdentity& identity) {
  if (!identity.in_pod) return Fail(ErrorKind::kUsage, "it is in no pod");
  struct Part {
    const std::string& value;
    std::string_view annotation;
  };
  const std::array<Part, 3> optional = {Part{identity.owner_uid, annotation::kOwnerUid},
                                        Part{identity.template_hash, annotation::kTemplateHash},
                                        Part{identity.slot, annotation::kSlot}};
  std::string path = identity.pod_namespace;
  for (const Part& part : optional) {
    if (part.value.empty()) return Fail(ErrorKind::kUsage, std::string(part.annotation) + " is missing");
    path += "/" + part.value;
  }
  return path + "/" + identity.container_name;
}

HelperAnswer DoPodVerb(const OciCommand& command, std::span<const char* const> words,
                       const Decision& decision, const Annotations& annotations, const std::string& runtime,
                       const RuntimeSettings& settings) {
  const Result<std::string> identity = IdentityPath(decision.identity);
  if (!identity) return {false, identity.error().message};
  if (runtime.ends_with("crun")) return {false, "only runc's containers can be checkpointed"};
  if (!FindOption(words, "console-socket", true).empty())
    return {false, "a container with a terminal cannot be restarted"};
  HelperCall call;
  call.program = settings.holdfast.empty() ? HoldfastBeside() : settings.holdfast;
  call.milliseconds = limits::kUndoSecondsMax * kMillisecondsPerSecond;
  call.arguments = {"--store",    settings.store,
                    "oci",        std::string(command.verb_text),
                    "--identity", *identity,
                    "--pod-uid",  decision.identity.pod_uid,
                    "--name",     decision.identity.container_name,
                    "--id",       std::string(command.id),
                    "--runtime",  runtime,
                    "--root",     RootOf(command)};
  if (command.verb == Verb::kCreate) AddCreate(command, words, settings, call);
  if (command.verb == Verb::kKill) AddKill(annotations, settings, call);
  if (command.verb == Verb::kDelete && (HasSwitch(words, "force") || HasSwitch(words, "f"))) {
    call.arguments.emplace_back("--force");
  }
  HelperAnswer answer = CallHelper(call);
  if (command.verb == Verb::kKill && !answer.done && !answer.given) {
    LetGoOn(runtime, RootOf(command), std::string(command.id));
  }
  return answer;
}

}  // namespace holdfast
