#include "memory/smaps_cache.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace holdfast {
namespace {

// The flags that matter at a restart and that a twin has as its original had them.
constexpr std::array<std::string_view, 10> kTwinTells = {"gd", "nr", "ht", "sr", "rr",
                                                         "dd", "mg", "hg", "nh", "wf"};

std::vector<std::string> GuessFlags(const Mapping& mapping) {
  std::vector<std::string> flags;
  if (mapping.readable) flags.emplace_back("rd");
  if (mapping.writable) flags.emplace_back("wr");
  if (mapping.executable) flags.emplace_back("ex");
  if (mapping.shared) flags.emplace_back("sh");
  for (const char* word : {"mr", "mw", "me"}) flags.emplace_back(word);
  if (mapping.name == "[stack]") flags.emplace_back("gd");
  if (!mapping.shared) flags.emplace_back("ac");
  return flags;
}

}  // namespace

ComposedSmaps ComposeSmaps(const std::vector<MappingDetail>& before, const std::vector<Mapping>& now) {
  ComposedSmaps composed;
  composed.details.reserve(now.size());
  auto known = before.begin();
  for (const Mapping& mapping : now) {
    while (known != before.end() && known->mapping.start < mapping.start) ++known;
    MappingDetail detail;
    if (known != before.end() && known->mapping.line == mapping.line) {
      detail = *known;
    } else {
      detail.flags = GuessFlags(mapping);
      detail.resident_bytes = mapping.bytes();  // at most
      ++composed.guessed;
    }
    detail.mapping = mapping;
    composed.text += mapping.line + "\nVmFlags:";
    for (const std::string& flag : detail.flags) composed.text += " " + flag;
    composed.text += " \n";
    composed.details.push_back(std::move(detail));
  }
  return composed;
}

uint64_t LockedBytes(const std::vector<MappingDetail>& details) {
  uint64_t bytes = 0;
  for (const MappingDetail& detail : details) {
    if (detail.Has("lo")) bytes += detail.mapping.bytes();
  }
  return bytes;
}

std::vector<MappingDetail> CorrectByTwin(const std::vector<MappingDetail>& told,
                                         const std::vector<MappingDetail>& twin, bool* differs) {
  std::vector<MappingDetail> corrected = told;
  auto found = twin.begin();
  for (MappingDetail& detail : corrected) {
    while (found != twin.end() && found->mapping.end <= detail.mapping.start) ++found;
    const bool in_twin = found != twin.end() && found->mapping.start < detail.mapping.end;
    std::set<std::string> flags(detail.flags.begin(), detail.flags.end());
    const auto set = [&flags](std::string_view flag, bool on) {
      if (on) {
        flags.emplace(flag);
      } else {
        flags.erase(std::string(flag));
      }
    };
    const std::set<std::string> were = flags;
    set("dc", !in_twin);
    if (in_twin) {
      for (const std::string_view flag : kTwinTells) set(flag, found->Has(flag));
    }
    if (flags == were) continue;
    *differs = true;
    detail.flags.assign(flags.begin(), flags.end());
  }
  return corrected;
}

std::vector<MappingDetail> CorrectByLater(const std::vector<MappingDetail>& told,
                                          const std::vector<MappingDetail>& later, bool* differs,
                                          bool* doubtful) {
  static constexpr std::array<std::string_view, 3> kContent = {"dc", "wf", "ht"};
  std::vector<MappingDetail> corrected = told;
  auto found = later.begin();
  for (MappingDetail& detail : corrected) {
    while (found != later.end() && found->mapping.start < detail.mapping.start) ++found;
    if (found == later.end()) break;
    if (found->mapping.line != detail.mapping.line) continue;
    for (const std::string_view flag : kContent) *doubtful |= found->Has(flag) != detail.Has(flag);
    for (const std::string_view flag : kTwinTells) *differs |= found->Has(flag) != detail.Has(flag);
    detail.flags = found->flags;
  }
  return corrected;
}

}  // namespace holdfast
