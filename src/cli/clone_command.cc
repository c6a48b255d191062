#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/resume_options.h"
#include "cli/started_job.h"
#include "job/clone_job.h"
#include "job/remove_job.h"
#include "linux/signal_names.h"

namespace holdfast {

namespace {

struct Flags {
  std::string snapshot;
  std::string name;
  int count = 1;
  std::vector<std::string> set_files;
  std::string signal;
  std::string network = "auto";
  ResumeFlags resume;
};

// "{}" in a content is the clone's number.
Result<std::vector<SetFile>> ParseSetFiles(const std::vector<std::string>& texts, int number) {
  std::vector<SetFile> files;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return Fail(ErrorKind::kUsage, "--set-file: '" + text + "' is not PATH=CONTENT")
          .WithHint("for example --set-file learning_rate.txt=0.001");
    }
    std::string content = text.substr(equals + 1);
    if (const size_t place = content.find("{}"); place != std::string::npos) {
      content.replace(place, 2, std::to_string(number));
    }
    files.push_back({text.substr(0, equals), content});
  }
  return files;
}

CloneNetwork NetworkOf(const Flags& flags) {
  if (flags.network == "auto") return CloneNetwork::kAuto;
  return flags.network == "own" ? CloneNetwork::kOwn : CloneNetwork::kShared;
}

struct StartedClone {
  StartedJob job;
  std::vector<std::string> about_network;
};

// A clone that does not start leaves nothing.
Result<StartedClone> StartClone(const GlobalOptions& global, const SnapshotId& original,
                                const std::string& name, const Flags& flags, int number) {
  const std::vector<SetFile> files = TRY(ParseSetFiles(flags.set_files, number));
  Store store = TRY(global.OpenStore());
  const MadeClone made = TRY(MakeClone(store, original, name, files, NetworkOf(flags)));
  Result<StartedJob> started = ResumeInBackground(global, made.snapshot, flags.resume);
  if (!started) {
    static_cast<void>(RemoveJobOrSnapshot(store, {name, 0}));
    return std::move(started).error();
  }
  return StartedClone{*std::move(started), made.about_network};
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const int signal = flags.signal.empty() ? 0 : TRY(ParseSignal(flags.signal));
  TRY(ParseTriggers(flags.resume.triggers));  // before anything is made for it
  SnapshotId original = TRY(ParseSnapshotId(flags.snapshot));
  original = TRY(TRY(global.OpenStore()).Resolve(original));  // the same one for all
  Json started = Json::array();
  for (int number = 1; number <= flags.count; ++number) {
    const std::string name = flags.count == 1 ? flags.name : fmt::format("{}-{}", flags.name, number);
    const StartedClone clone = TRY(StartClone(global, original, name, flags, number));
    if (signal != 0) ::kill(clone.job.pid, signal);
    if (global.json) {
      started.push_back(StartedJobToJson(clone.job));
      continue;
    }
    PrintStartedJob(clone.job, global);
    for (const std::string& sentence : clone.about_network) {
      if (!global.quiet) PrintNotice("  " + sentence);
    }
  }
  if (global.json) PrintJson(started);
  return 0;
}

CommandText Text() {
  return {
      .name = "clone",
      .summary = "run branches of a job beside it",
      .usage = "[options] NAME[@N] --name NEW",
      .details =
          {"Starts a new job where the snapshot stands, in the background. It runs in pid and mount "
           "namespaces of its "
           "own, beside the original and other clones, and has its own copies of the files that belong to "
           "the "
           "snapshot (those open for writing, its logs, the directories of --files): the original's stay "
           "untouched. Other files are "
           "shared. It "
           "takes snapshots of its own; its first one shares all with the original's.",
           "A job that is bound to a port or an abstract Unix name, or connected to itself, could not be "
           "twice "
           "in one "
           "network: its clone gets a network of its own, which is said. There it has the addresses that it "
           "had, reaches "
           "itself and nothing else, and is reached by 'nsenter -t PID -n COMMAND'. Any other shares the "
           "machine's network. "
           "--network decides otherwise. Connections to others stay the original's: the clone finds them "
           "closed.",
           "--set-file has it see another content in a file that it reads: other parameters. It must be a "
           "file that "
           "there is; the path is relative to the job's working directory. {} in a content is the clone's "
           "number. The "
           "job learns of it when it reads the file again; --signal may tell it to.",
           "'holdfast ps' lists clones like other jobs; where their own files are: STORE/jobs/NEW/files."},
      .examples = {{"holdfast clone train@3 --name warm --set-file lr.txt=0.01",
                    "the same run with another rate"},
                   {"holdfast clone train --name seed --count 4 --set-file seed.txt={}",
                    "four: seed-1 to seed-4"},
                   {"holdfast snapshots train --graph", "the branches"}},
      .exit_codes = {{"0", "all of them run"},
                     {"66", "there is no such snapshot, or no such file to set"},
                     {"73", "the name is taken"}},
  };
}

}  // namespace

void AddCloneCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("snapshot", flags->snapshot, "The job, or one snapshot of it")
      ->type_name("NAME[@N]")
      ->required();
  command.add_option("-n,--name", flags->name, "What to call it; with --count NEW-1, NEW-2, ...")
      ->type_name("NEW")
      ->required();
  command.add_option("-c,--count", flags->count, "How many")->type_name("COUNT")->check(CLI::Range(1, 1000));
  command
      .add_option("--set-file", flags->set_files, "What it reads in this file; may be given more than once")
      ->type_name("PATH=CONTENT")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command.add_option("--signal", flags->signal, "Send it to the clone's first process once it runs")
      ->type_name("SIGNAL");
  command
      .add_option("--network", flags->network,
                  "A network of its own, or the machine's; auto: its own where it needs one")
      ->type_name("auto|own|shared")
      ->check(CLI::IsMember({"auto", "own", "shared"}));
  AddTriggerOptions(command, flags->resume.triggers);
  command.add_option("-k,--keep", flags->resume.keep, "Keep the newest COUNT snapshots")->type_name("COUNT");
}

}  // namespace holdfast
