#include "pod/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/limits.h"
#include "store/hash.h"
#include "store/store.h"

namespace holdfast {
namespace {

constexpr int kNames = 5;
constexpr size_t kNameBytesMax = 253;  // Kubernetes has none that are longer

bool IsPlain(std::string_view name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kNameBytesMax && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), is_plain);
}

}  // namespace

Result<PodIdentity> PodIdentity::Parse(std::string_view path) {
  std::string_view rest = path;
  for (int number = 1; number <= kNames; ++number) {
    const size_t slash = rest.find('/');
    const bool last = slash == std::string_view::npos;
    if (!IsPlain(rest.substr(0, slash)) || last != (number == kNames)) {
      return Fail(ErrorKind::kUsage, fmt::format("'{}' is no identity", path))
          .WithHint("NAMESPACE/OWNER-UID/TEMPLATE-HASH/SLOT/CONTAINER");
    }
    rest.remove_prefix(last ? rest.size() : slash + 1);
  }
  return PodIdentity(std::string(path));
}

std::string PodIdentity::Lineage() const {
  std::string lineage = path_;
  std::replace(lineage.begin(), lineage.end(), '/', '.');
  if (lineage.size() <= limits::kLineageNameBytesMax) return lineage;
  lineage = "pod-";
  for (const uint8_t byte : HashBytes128(std::as_bytes(std::span(path_))))
    lineage += fmt::format("{:02x}", byte);
  return lineage;
}

std::filesystem::path PodIdentity::LeaseDirectory(const std::filesystem::path& store) const {
  return store / "leases" / path_;
}

}  // namespace holdfast
