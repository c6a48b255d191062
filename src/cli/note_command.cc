#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "base/fd.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "job/job_notes.h"

namespace holdfast {

namespace {

// Pairs, a line each: their values may have spaces. Other words are the note.
std::string LinesOf(const std::vector<std::string>& words) {
  std::string pairs;
  std::string note;
  for (const std::string& word : words) {
    const bool pair = word.find('=') != std::string::npos && word.front() != '=';
    if (pair) {
      pairs += word + "\n";
    } else {
      note += (note.empty() ? "" : " ") + word;
    }
  }
  return pairs + (note.empty() ? "" : "note=" + note + "\n");
}

Result<int> Run(const std::vector<std::string>& words) {
  const char* path = std::getenv(kNoteVariable);
  if (path == nullptr || *path == 0) {
    return Fail(ErrorKind::kUsage, "holdfast note: this is not inside of a job that 'holdfast run' started")
        .WithHint(
            "from outside: 'holdfast annotate NAME@N epoch=12' describes a snapshot, 'holdfast checkpoint "
            "NAME "
            "--tag epoch=12' takes one");
  }
  const std::string lines = LinesOf(words);
  const Fd file(::open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!file.valid()) return FailErrno(std::string("cannot open ") + path);
  if (::write(file.get(), lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) {
    return FailErrno(std::string("cannot write to ") + path);
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "note",
      .summary = "inside of a job: say where it stands",
      .usage = "",
      .details = {"What a job says of itself becomes annotations of its next snapshot, and of all later ones "
                  "until it says "
                  "something else: as it was at the freeze. 'holdfast snapshots' shows them, 'holdfast "
                  "resume --where' finds "
                  "a snapshot by them. Words that are no pair are its note.",
                  "A program needs no command for it: writing a line into the file that $HOLDFAST_NOTE names "
                  "does the same "
                  "(epoch=12 loss=0.31). What it says is forgotten at a restart."},
      .examples = {{"holdfast note epoch=12 loss=0.31", "in a script that 'holdfast run' started"},
                   {"echo \"epoch=12 loss=0.31\" > \"$HOLDFAST_NOTE\"", "the same"},
                   {"holdfast resume train --where epoch=12", "later, outside"}},
      .exit_codes = {{"0", "it is noted"}, {"64", "this is not inside of a job"}},
  };
}

}  // namespace

void AddNoteCommand(CommandLine& line) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App& command = line.Add(Text(), [words](const GlobalOptions&) { return Run(*words); });
  command.add_option("words", *words, "What to say")->type_name("KEY=VALUE|TEXT")->required();
}

}  // namespace holdfast
