// Pages whose content is in the store already: what a delta takes over, and what it has to capture.
#pragma once

#include <vector>

#include "memory/drain.h"
#include "store/manifest.h"

namespace holdfast {

inline uint64_t EndOf(const PageRun& run) {
  return run.address + run.bytes;
}

// All lists are sorted by address and disjoint.

// The parts of `known` that lie in `runs`.
std::vector<Extent> Within(const std::vector<Extent>& known, const std::vector<PageRun>& runs);
// The parts of `known` that lie in none of `runs`.
std::vector<Extent> Without(const std::vector<Extent>& known, const std::vector<PageRun>& runs);

// In order and disjoint, whatever they were.
std::vector<PageRun> Ordered(std::vector<PageRun> runs);
// The parts of `runs` that lie in none of `others`.
std::vector<PageRun> LeftOf(const std::vector<PageRun>& runs, const std::vector<PageRun>& others);
// The places that they lie in.
std::vector<PageRun> RunsOf(const std::vector<Extent>& extents);

uint64_t TotalBytes(const std::vector<PageRun>& runs);

}  // namespace holdfast
