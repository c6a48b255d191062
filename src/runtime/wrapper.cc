#include "runtime/wrapper.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>

#include "base/fd.h"
#include "base/limits.h"
#include "runtime/annotation_names.h"
#include "runtime/container_state.h"
#include "runtime/decision_log.h"
#include "runtime/decisions.h"
#include "runtime/last_resort.h"
#include "runtime/oci_command.h"
#include "runtime/pod_verbs.h"
#include "runtime/real_runtime.h"
#include "runtime/settings.h"

namespace holdfast {

namespace {

int64_t NowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

Decision Decide(const OciCommand& command, const Annotations& annotations) {
  if (command.verb != Verb::kKill) return DecideCreate(command.id, annotations);
  const int signal = command.signal.empty() ? SIGTERM : SignalNumber(command.signal);
  return DecideKill(command.id, annotations, signal, command.all);
}

// What was found about a verb.
struct Found {
  Annotations annotations;
  Decision decision;
  std::string line;  // of the log, when there is nothing more to do; empty: there is nothing to say
  bool is_ours() const { return decision.verdict == Verdict::kTakes; }
};

Found Examine(const OciCommand& command, const std::string& runtime) {
  Result<Annotations> annotations = ContainerAnnotations(command);
  if (!annotations) {
    // A container that is not there, or that cannot be told from others, is runc's to complain about.
    if (annotations.error().kind != ErrorKind::kCorrupt) return {};
    return {.annotations = {},
            .decision = {},
            .line = FormatUnread(command.verb_text, command.id, annotations.error(), runtime, NowMs())};
  }
  Found found{.annotations = *std::move(annotations), .decision = {}, .line = {}};
  found.decision = Decide(command, found.annotations);
  if (found.decision.verdict == Verdict::kNotOptedIn) return {};
  found.line = FormatDecision(command.verb_text, command.id, found.decision, runtime, NowMs());
  return found;
}

bool MayBeOurs(const OciCommand& command, const RuntimeSettings& settings) {
  const bool examined = command.verb == Verb::kCreate || command.verb == Verb::kKill;
  return command.understood && (examined || IsPodVerb(command, settings));
}

// Whether the verb is done, and runc is not needed for it. Whatever becomes of our own code, runc gets the
// verb.
bool DoOurPart(const OciCommand& command, std::span<char* const> words, char** argv,
               const std::string& runtime, const RuntimeSettings& settings) {
  Found found;
  {
    const LastResort resort(runtime, argv, limits::kRuntimeMillisecondsMax);
    found = Examine(command, runtime);
    if (!found.is_ours() || !IsPodVerb(command, settings)) {
      if (!found.line.empty()) AppendToLog(settings.log, found.line);
      return false;
    }
  }
  const LastResort resort(runtime, argv,
                          limits::kRuntimeWaitSecondsMax * 1000);  // the helper has limits of its own
  const HelperAnswer answer = DoPodVerb(command, words, found.decision, found.annotations, runtime, settings);
  found.decision.detail = answer.said;
  found.decision.did = answer.done ? "done" : "passed through";
  AppendToLog(settings.log, FormatDecision(command.verb_text, command.id, found.decision, runtime, NowMs()));
  return answer.done;
}

// As runc tells containerd: the engine looks for the last error in the log.
void TellEngine(const OciCommand& command, const std::string& message) {
  if (command.log.empty() || command.log_format != "json") return;
  const Fd log(
      ::open(std::string(command.log).c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!log.valid()) return;
  std::string text = message;  // a path in it may have been anything
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '"' || c == '\\' || (c >= 0 && c < ' '); }, '?');
  const std::string line = "{\"level\":\"error\",\"msg\":\"" + text + "\"}\n";
  if (::write(log.get(), line.data(), line.size()) < 0) return;
}

int NoRuntime(const OciCommand& command, const std::string& why) {
  const std::string message = "holdfast-runtime: " + why;
  const std::string line =
      message +
      "\nhint: install runc or crun, or name it in /etc/holdfast/runtime.conf: runc = /path/to/runc\n";
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return 1;
  TellEngine(command, message);
  return 1;
}

constexpr std::string_view kHelp =
    "holdfast-runtime stands in for an OCI runtime, runc or crun, and hands every command on to it as it "
    "is:\n"
    "container engines call it; 'holdfast-agent install' tells them to. These two are its own:\n"
    "  --holdfast-help      this text\n"
    "  --holdfast-version   its version, and which runtime it hands on to\n"
    "Files: /etc/holdfast/runtime.conf (runc = PATH, log = DIRECTORY, store = DIRECTORY, holdfast = PATH, "
    "wait =\n"
    "SECONDS, deadline = SECONDS), /run/holdfast/runtime/decisions.log\n"
    "Environment: HOLDFAST_RUNC (the runtime's path), HOLDFAST_RUNTIME_CONF (another runtime.conf)\n";

int Print(std::string_view text) {
  return ::write(STDOUT_FILENO, text.data(), text.size()) < 0 ? 1 : 0;
}

int PrintVersion(const std::string& runtime) {
  return Print("holdfast-runtime " HOLDFAST_VERSION "\nhands on to " +
               (runtime.empty() ? std::string("nothing: there is no runc and no crun") : runtime) + "\n");
}

// Becomes the first runtime that lets itself be executed, from `runtime` on.
int PassThrough(std::string runtime, const OciCommand& command, const RuntimeSettings& settings,
                std::string_view path, char** argv) {
  std::vector<std::string> failed;
  std::string why = "there is no runc and no crun";
  while (!runtime.empty()) {
    const int error = BecomeRuntime(runtime, argv);
    why = "cannot execute " + runtime + ": " + strerror(error);
    failed.push_back(std::move(runtime));
    runtime = FindRealRuntime(settings.runc, path, failed);
  }
  return NoRuntime(command, why);
}

}  // namespace

int RunWrapper(int argc, char** argv) {
  const std::span<char* const> words(argv, static_cast<size_t>(argc));
  const OciCommand command = ParseOciCommand(words.subspan(words.empty() ? 0 : 1));
  const RuntimeSettings settings = LoadSettings();
  const char* path_text = ::getenv("PATH");
  const std::string_view path = path_text != nullptr ? path_text : "";
  const std::string runtime = FindRealRuntime(settings.runc, path);

  const std::string_view only = argc == 2 ? argv[1] : "";
  if (only == "--holdfast-help") return Print(kHelp);
  if (only == "--holdfast-version") return PrintVersion(runtime);
  if (!runtime.empty() && MayBeOurs(command, settings)) {
    try {
      if (DoOurPart(command, words.subspan(1), argv, runtime, settings)) return 0;
    } catch (const std::exception&) {  // no memory, most likely: the container is created all the same
    }
  }
  return PassThrough(runtime, command, settings, path, argv);
}

}  // namespace holdfast
