#include "runtime/oci_command.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <optional>

namespace holdfast {

namespace {

using Text = std::string_view;

struct Option {
  Text name;
  bool takes_value = false;
  Text OciCommand::*value = nullptr;  // where it goes; nullptr: it is only skipped
};

constexpr bool kValue = true;

// --help and --version are not here: they turn the command into another one, which is passed through unread.
constexpr auto kGlobalOptions = std::to_array<Option>({
    {"root", kValue, &OciCommand::root},
    {"log", kValue, &OciCommand::log},
    {"log-format", kValue, &OciCommand::log_format},
    {"log-level", kValue},
    {"criu", kValue},
    {"rootless", kValue},
    {"cgroup-manager", kValue},
    {"debug"},
    {"systemd-cgroup"},
});

constexpr auto kCreateOptions = std::to_array<Option>({
    {"bundle", kValue, &OciCommand::bundle},
    {"b", kValue, &OciCommand::bundle},
    {"config", kValue, &OciCommand::config},
    {"f", kValue, &OciCommand::config},
    {"console-socket", kValue},
    {"pid-file", kValue},
    {"preserve-fds", kValue},
    {"no-pivot"},
    {"no-new-keyring"},
    {"no-subreaper"},
    {"detach"},
    {"d"},
    {"keep"},
});

constexpr auto kKillOptions = std::to_array<Option>({{"all"}, {"a"}});
constexpr auto kDeleteOptions = std::to_array<Option>({{"force"}, {"f"}});

constexpr auto kCheckpointOptions = std::to_array<Option>({
    {"bundle", kValue, &OciCommand::bundle},
    {"b", kValue, &OciCommand::bundle},
    {"image-path", kValue},
    {"work-path", kValue},
    {"parent-path", kValue},
    {"status-fd", kValue},
    {"page-server", kValue},
    {"manage-cgroups-mode", kValue},
    {"empty-ns", kValue},
    {"console-socket", kValue},
    {"pid-file", kValue},
    {"lsm-profile", kValue},
    {"lsm-mount-context", kValue},
    {"leave-running"},
    {"tcp-established"},
    {"tcp-close"},
    {"tcp-skip-in-flight"},
    {"link-remap"},
    {"ext-unix-sk"},
    {"shell-job"},
    {"lazy-pages"},
    {"file-locks"},
    {"pre-dump"},
    {"auto-dedup"},
    {"detach"},
    {"d"},
    {"no-subreaper"},
    {"no-pivot"},
});

struct VerbOptions {
  Text name;
  Verb verb;
  std::span<const Option> options;
};

constexpr auto kVerbs = std::to_array<VerbOptions>({
    {"create", Verb::kCreate, kCreateOptions},
    {"run", Verb::kRun, kCreateOptions},
    {"start", Verb::kStart, {}},
    {"state", Verb::kState, {}},
    {"kill", Verb::kKill, kKillOptions},
    {"delete", Verb::kDelete, kDeleteOptions},
    {"checkpoint", Verb::kCheckpoint, kCheckpointOptions},
    {"restore", Verb::kRestore, kCheckpointOptions},
});

const Option* Find(std::span<const Option> options, Text name) {
  const auto found =
      std::find_if(options.begin(), options.end(), [&](const Option& each) { return each.name == name; });
  return found == options.end() ? nullptr : &*found;
}

// A walk over the words of a command line.
class Words {
 public:
  explicit Words(std::span<const char* const> words) : words_(words) {}

  bool AtEnd() const { return next_ == words_.size(); }
  Text Take() { return words_[next_++]; }
  bool AtOption() const {
    return !only_operands_ && !AtEnd() && words_[next_][0] == '-' && words_[next_][1] != '\0';
  }
  // Whether the word is "--": after it nothing is an option.
  bool TakeSeparator() {
    if (Text(words_[next_]) != "--") return false;
    only_operands_ = true;
    ++next_;
    return true;
  }

  // Takes an option and its value; false when it is not among `options`.
  bool TakeOption(std::span<const Option> options, OciCommand& into) {
    Text word = Take();
    word.remove_prefix(word.starts_with("--") ? 2 : 1);
    const size_t equals = word.find('=');
    const Text name = word.substr(0, equals);
    const Option* option = Find(options, name);
    if (option == nullptr) return false;
    std::optional<Text> value;
    if (equals != Text::npos) value = word.substr(equals + 1);
    if (option->takes_value && !value) {
      if (AtEnd()) return false;
      value = Take();
    }
    if (option->value != nullptr) into.*option->value = *value;
    if (name == "all" || name == "a") into.all = !value || (*value != "false" && *value != "0");
    return true;
  }

 private:
  std::span<const char* const> words_;
  size_t next_ = 0;
  bool only_operands_ = false;
};

// The container's id and, of kill, the signal; anything more is too much.
bool TakeOperand(Text word, OciCommand& into) {
  if (into.id.empty()) {
    into.id = word;
  } else if (into.verb == Verb::kKill && into.signal.empty()) {
    into.signal = word;
  } else {
    return false;
  }
  return true;
}

bool TakeVerb(Words& words, OciCommand& into) {
  into.verb_text = words.Take();
  const auto found = std::find_if(kVerbs.begin(), kVerbs.end(),
                                  [&](const VerbOptions& each) { return each.name == into.verb_text; });
  if (found == kVerbs.end()) return true;
  into.verb = found->verb;
  while (!words.AtEnd()) {
    if (words.AtOption()) {
      if (!words.TakeSeparator() && !words.TakeOption(found->options, into)) return false;
    } else if (!TakeOperand(words.Take(), into)) {
      return false;
    }
  }
  return !into.id.empty();
}

}  // namespace

OciCommand ParseOciCommand(std::span<const char* const> arguments) {
  OciCommand command;
  Words words(arguments);
  while (words.AtOption()) {
    if (!words.TakeSeparator() && !words.TakeOption(kGlobalOptions, command)) return command;
  }
  command.understood = !words.AtEnd() && TakeVerb(words, command);
  return command;
}

int SignalNumber(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size())
    return number > 0 && number < NSIG ? number : 0;
  auto is = [&](Text name) {
    return text.size() == name.size() && strncasecmp(text.data(), name.data(), name.size()) == 0;
  };
  if (text.size() > 3 && strncasecmp(text.data(), "SIG", 3) == 0) text.remove_prefix(3);
  for (int signal = 1; signal < 32; ++signal) {
    const char* name = sigabbrev_np(signal);
    if (name != nullptr && is(name)) return signal;
  }
  // As images name it for systemd; 34 to every libc, whatever it keeps for itself.
  constexpr Text kRealTime = "RTMIN+";
  constexpr int kFirstRealTime = 34;
  if (text.size() <= kRealTime.size() || strncasecmp(text.data(), kRealTime.data(), kRealTime.size()) != 0)
    return 0;
  const int offset = SignalNumber(text.substr(kRealTime.size()));
  return offset > 0 && kFirstRealTime + offset < NSIG ? kFirstRealTime + offset : 0;
}

}  // namespace holdfast
