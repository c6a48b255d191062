// Where memory is still missing, and which stored memory belongs there: a map from addresses as they are now
// to addresses as they were at the snapshot.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace holdfast {

// [start, end) is to be what was stored of [stored, ...).
struct MissingRange {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t stored = 0;

  uint64_t bytes() const { return end - start; }
  // Requires: [from, to) lies within it.
  MissingRange Part(uint64_t from, uint64_t to) const { return {from, to, stored + (from - start)}; }
  bool operator==(const MissingRange&) const = default;
};

class MissingRanges {
 public:
  // Requires: nothing of it is missing yet.
  void Add(const MissingRange& range);
  // What of [start, end) is missing.
  std::vector<MissingRange> Within(uint64_t start, uint64_t end) const;
  // The same, which is not missing any more.
  std::vector<MissingRange> Take(uint64_t start, uint64_t end);
  // The first one at `address` or after it, from there on.
  std::optional<MissingRange> FirstFrom(uint64_t address) const;

  bool empty() const { return ranges_.empty(); }
  uint64_t bytes() const;

 private:
  struct Rest {
    uint64_t end = 0;
    uint64_t stored = 0;
  };
  std::map<uint64_t, Rest> ranges_;  // by start
};

}  // namespace holdfast
