#include "runtime/decisions.h"

#include <csignal>

#include "runtime/annotation_names.h"
#include "runtime/oci_command.h"

namespace holdfast {

namespace {

bool IsInList(std::string_view list, std::string_view name) {
  constexpr std::string_view kBetween = ", \t\n";
  while (true) {
    const size_t start = list.find_first_not_of(kBetween);
    if (start == std::string_view::npos) return false;
    list.remove_prefix(start);
    const size_t end = list.find_first_of(kBetween);
    if (list.substr(0, end) == name) return true;
    if (end == std::string_view::npos) return false;
    list.remove_prefix(end);
  }
}

Decision Is(Verdict verdict, std::string detail = {}) {
  Decision decision;
  decision.verdict = verdict;
  decision.detail = std::move(detail);
  return decision;
}

// Whether the container asked for checkpoints, is one that can have them, and who it is.
Decision Examine(std::string_view id, const Annotations& annotations) {
  const std::string_view asked = Find(annotations, annotation::kCheckpoint);
  if (asked.empty() || asked == "false") return Is(Verdict::kNotOptedIn);
  if (asked != "true") return Is(Verdict::kBadOptIn, std::string(asked));
  if (RoleInPod(annotations) == PodRole::kSandbox) return Is(Verdict::kSandbox);
  if (RoleInPod(annotations) == PodRole::kContainer && annotations.contains(annotation::kContainers) &&
      !IsInList(Find(annotations, annotation::kContainers), ContainerName(annotations))) {
    return Is(Verdict::kNotNamed, ContainerName(annotations));
  }
  Result<ContainerIdentity> identity = Identify(id, annotations);
  if (!identity) return Is(Verdict::kBadIdentity, identity.error().message);
  Decision decision = Is(Verdict::kTakes);
  decision.identity = *std::move(identity);
  return decision;
}

int StopSignal(const Annotations& annotations) {
  const int signal = SignalNumber(Find(annotations, annotation::kStopSignal));
  return signal != 0 ? signal : SIGTERM;
}

}  // namespace

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNotOptedIn:
      return "not-opted-in";
    case Verdict::kTakes:
      return "takes";
    case Verdict::kBadOptIn:
      return "bad-opt-in";
    case Verdict::kSandbox:
      return "sandbox";
    case Verdict::kNotNamed:
      return "not-named";
    case Verdict::kBadIdentity:
      return "bad-identity";
    case Verdict::kAllProcesses:
      return "all-processes";
    case Verdict::kOtherSignal:
      return "other-signal";
  }
  return "";
}

Decision DecideCreate(std::string_view id, const Annotations& annotations) {
  return Examine(id, annotations);
}

Decision DecideKill(std::string_view id, const Annotations& annotations, int signal, bool all) {
  Decision decision = Examine(id, annotations);
  if (decision.verdict != Verdict::kTakes) return decision;
  if (all) return Is(Verdict::kAllProcesses);
  if (signal != StopSignal(annotations)) return Is(Verdict::kOtherSignal, std::to_string(signal));
  return decision;
}

}  // namespace holdfast
