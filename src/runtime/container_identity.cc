#include "runtime/container_identity.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "runtime/annotation_names.h"

namespace holdfast {

namespace {

bool IsLowerOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool IsLetterOrDigit(char c) {
  return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z');
}

// RFC 1123, as Kubernetes applies it to namespaces and containers.
bool IsDnsLabel(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

// Labels with dots between: pods.
bool IsDnsSubdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    const size_t dot = text.find('.');
    if (!IsDnsLabel(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// A UUID; static pods have 32 hexadecimal digits without dashes.
bool IsUid(std::string_view text) {
  return text.size() >= 8 && text.size() <= 64 && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLetterOrDigit(c) || c == '-'; });
}

bool IsLabelValue(std::string_view text) {
  return !text.empty() && text.size() <= 63 && IsLetterOrDigit(text.front()) &&
         IsLetterOrDigit(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return IsLetterOrDigit(c) || c == '-' || c == '_' || c == '.';
         });
}

// A value that containerd and CRI-O give under different names.
struct PodAnnotation {
  std::string_view containerd;
  std::string_view crio;
};
constexpr PodAnnotation kType{"io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"};
constexpr PodAnnotation kNamespace{"io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"};
constexpr PodAnnotation kPodName{"io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"};
constexpr PodAnnotation kPodUid{"io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"};
constexpr PodAnnotation kContainerName{"io.kubernetes.cri.container-name", "io.kubernetes.container.name"};

std::string_view FindEither(const Annotations& annotations, const PodAnnotation& key) {
  const std::string_view value = Find(annotations, key.containerd);
  return value.empty() ? Find(annotations, key.crio) : value;
}

using Check = bool (*)(std::string_view);

Result<std::string> Required(const Annotations& annotations, const PodAnnotation& key, Check is_valid) {
  const std::string_view value = FindEither(annotations, key);
  const std::string name(key.containerd);
  if (value.empty()) return Fail(ErrorKind::kUsage, name + " is missing");
  if (!is_valid(value)) return Fail(ErrorKind::kUsage, name + " is no name: '" + std::string(value) + "'");
  return std::string(value);
}

Result<std::string> Optional(const Annotations& annotations, std::string_view key, Check is_valid) {
  const auto found = annotations.find(key);
  if (found == annotations.end()) return std::string();
  if (is_valid(found->second)) return found->second;
  return Fail(ErrorKind::kUsage, std::string(key) + " is no name: '" + found->second + "'");
}

}  // namespace

std::string_view Find(const Annotations& annotations, std::string_view key) {
  const auto found = annotations.find(key);
  return found == annotations.end() ? std::string_view() : std::string_view(found->second);
}

bool IsContainerId(std::string_view text) {
  return !text.empty() && text.size() <= limits::kContainerIdBytesMax && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsLetterOrDigit(c) || c == '_' || c == '+' || c == '-' || c == '.';
         });
}

PodRole RoleInPod(const Annotations& annotations) {
  const std::string_view type = FindEither(annotations, kType);
  if (type.empty()) return PodRole::kNoPod;
  return type == "container" ? PodRole::kContainer : PodRole::kSandbox;
}

std::string ContainerName(const Annotations& annotations) {
  return std::string(FindEither(annotations, kContainerName));
}

Result<ContainerIdentity> Identify(std::string_view id, const Annotations& annotations) {
  if (!IsContainerId(id)) return Fail(ErrorKind::kUsage, "the container's id is no name");
  ContainerIdentity identity;
  identity.id = id;
  identity.in_pod = RoleInPod(annotations) != PodRole::kNoPod;
  if (identity.in_pod) {
    identity.pod_namespace = TRY(Required(annotations, kNamespace, IsDnsLabel));
    identity.pod_name = TRY(Required(annotations, kPodName, IsDnsSubdomain));
    identity.pod_uid = TRY(Required(annotations, kPodUid, IsUid));
    identity.container_name = TRY(Required(annotations, kContainerName, IsDnsLabel));
  }
  identity.owner_uid = TRY(Optional(annotations, annotation::kOwnerUid, IsUid));
  identity.template_hash = TRY(Optional(annotations, annotation::kTemplateHash, IsLabelValue));
  identity.slot = TRY(Optional(annotations, annotation::kSlot, IsDnsLabel));
  return identity;
}

}  // namespace holdfast
