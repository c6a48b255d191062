// A runtime handler of ours in CRI-O's configuration: a file in crio.conf.d, which CRI-O reads in any case.
#pragma once

#include <filesystem>
#include <string>

#include "agent/handler_plan.h"
#include "base/result.h"

namespace holdfast {

struct CrioOptions {
  std::string name = "holdfast";
  std::filesystem::path runtime;  // holdfast-runtime, absolute
  std::filesystem::path directory = "/etc/crio/crio.conf.d";
};

// kExists: a file of that name is there and not ours.
Result<HandlerPlan> PlanCrioInstall(const CrioOptions& options);
Result<HandlerPlan> PlanCrioUninstall(const CrioOptions& options);
// Where our handler is; empty when it is not there.
Result<std::string> FindCrioHandler(const CrioOptions& options);

}  // namespace holdfast
