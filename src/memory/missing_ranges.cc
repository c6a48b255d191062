#include "memory/missing_ranges.h"

#include <algorithm>
#include <iterator>

namespace holdfast {

void MissingRanges::Add(const MissingRange& range) {
  if (range.start >= range.end) return;
  const auto next = ranges_.lower_bound(range.start);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (before->second.end == range.start &&
        before->second.stored + (range.start - before->first) == range.stored) {
      before->second.end = range.end;
      return;
    }
  }
  ranges_[range.start] = {range.end, range.stored};
}

std::vector<MissingRange> MissingRanges::Within(uint64_t start, uint64_t end) const {
  std::vector<MissingRange> found;
  auto at = ranges_.upper_bound(start);
  if (at != ranges_.begin()) --at;
  for (; at != ranges_.end() && at->first < end; ++at) {
    const MissingRange range{at->first, at->second.end, at->second.stored};
    const uint64_t from = std::max(start, range.start);
    const uint64_t to = std::min(end, range.end);
    if (from < to) found.push_back(range.Part(from, to));
  }
  return found;
}

std::vector<MissingRange> MissingRanges::Take(uint64_t start, uint64_t end) {
  std::vector<MissingRange> taken = Within(start, end);
  for (const MissingRange& part : taken) {
    const auto holder = std::prev(ranges_.upper_bound(part.start));
    const MissingRange whole{holder->first, holder->second.end, holder->second.stored};
    ranges_.erase(holder);
    if (whole.start < part.start) ranges_[whole.start] = {part.start, whole.stored};
    if (part.end < whole.end) ranges_[part.end] = {whole.end, whole.Part(part.end, whole.end).stored};
  }
  return taken;
}

std::optional<MissingRange> MissingRanges::FirstFrom(uint64_t address) const {
  auto at = ranges_.upper_bound(address);
  if (at != ranges_.begin() && std::prev(at)->second.end > address) --at;
  if (at == ranges_.end()) return std::nullopt;
  const MissingRange range{at->first, at->second.end, at->second.stored};
  return range.Part(std::max(address, range.start), range.end);
}

uint64_t MissingRanges::bytes() const {
  uint64_t total = 0;
  for (const auto& [start, rest] : ranges_) total += rest.end - start;
  return total;
}

}  // namespace holdfast
