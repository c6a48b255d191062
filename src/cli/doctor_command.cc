#include <fmt/format.h>

#include <algorithm>
#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "engine/engine.h"

namespace holdfast {

namespace {

std::string LevelName(FindingLevel level) {
  switch (level) {
    case FindingLevel::kOk:
      return "ok";
    case FindingLevel::kDegraded:
      return "degraded";
    case FindingLevel::kBroken:
      return "broken";
  }
  return "broken";
}

Json TextOrNull(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json ReportToJson(const DoctorReport& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"level", LevelName(finding.level)},
                        {"subject", finding.subject},
                        {"what", finding.what},
                        {"remedy", finding.remedy}});
  }
  return {{"criu", {{"path", TextOrNull(report.criu_path)}, {"version", TextOrNull(report.criu_version)}}},
          {"findings", std::move(findings)}};
}

void PrintReport(const DoctorReport& report, bool quiet) {
  if (!quiet) {
    fmt::print("criu      {}\n",
               report.criu_path.empty() ? "none found" : report.criu_version + " (" + report.criu_path + ")");
  }
  for (const Finding& finding : report.findings) {
    if (quiet && finding.level == FindingLevel::kOk) continue;
    fmt::print("{:<9} {}: {}\n", LevelName(finding.level), finding.subject, finding.what);
    if (!finding.remedy.empty()) fmt::print("          -> {}\n", finding.remedy);
  }
}

Result<int> Run(const GlobalOptions& global) {
  const DoctorReport report = Doctor();
  if (global.json) {
    PrintJson(ReportToJson(report));
  } else {
    PrintReport(report, global.quiet);
  }
  const bool broken = std::any_of(report.findings.begin(), report.findings.end(), [](const Finding& finding) {
    return finding.level == FindingLevel::kBroken;
  });
  return broken ? ExitCode(ErrorKind::kUnsupported) : 0;
}

CommandText Text() {
  return {
      .name = "doctor",
      .summary = "tell what this machine can and cannot do",
      .usage = "",
      .details = {"Tries what a checkpoint and a restart need of the kernel, of CRIU and of the user's "
                  "rights. What is "
                  "missing is told with its remedy: broken means that nothing works without it, degraded "
                  "that something "
                  "is slower or not possible."},
      .examples = {{"sudo holdfast doctor", "before the first checkpoint on a machine"},
                   {"holdfast doctor --json | jq .criu.version", "for a script"}},
      .exit_codes = {{"0", "checkpoints work here"}, {"69", "something is broken"}},
  };
}

}  // namespace

void AddDoctorCommand(CommandLine& line) {
  line.Add(Text(), Run);
}

}  // namespace holdfast
