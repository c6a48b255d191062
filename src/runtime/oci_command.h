// What a container engine asks an OCI runtime for, read out of its command line: the verb, the container, and
// the few options that say where the container is. runc's command line and crun's, both:
//
//   runc --root R --log L --log-format json create --bundle B --pid-file P ID
//   crun --root=R kill --all ID 9
//
// runc 1.1 parses with Go's flag package (-name, --name, =value or the next word; options may follow the id),
// crun 1.8 with argp. What one of them understands and this does not is no error here: the command is passed
// through unread.
#pragma once

#include <span>
#include <string_view>

namespace holdfast {

enum class Verb { kOther, kCreate, kRun, kStart, kState, kKill, kDelete, kCheckpoint, kRestore };

// The texts are the caller's arguments. Empty: not given.
struct OciCommand {
  Verb verb = Verb::kOther;
  std::string_view verb_text;
  // Whether everything on the command line is known, so that the fields below can be relied on.
  bool understood = false;

  std::string_view root;
  std::string_view log;
  std::string_view log_format;

  std::string_view bundle;
  std::string_view config;  // crun's name for config.json within the bundle
  bool all = false;         // kill --all

  std::string_view id;
  std::string_view signal;  // of kill
};

// `arguments`: without the program's name. Never fails, allocates nothing.
OciCommand ParseOciCommand(std::span<const char* const> arguments);

// "15", "TERM", "sigterm", "RTMIN+3" as runc and crun read them; 0 when it is none.
int SignalNumber(std::string_view text);

}  // namespace holdfast
