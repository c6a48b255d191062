#include "memory/known_pages.h"

#include <algorithm>

#include "base/page.h"

namespace holdfast {
namespace {

uint64_t EndOf(const Extent& extent) {
  return extent.address + uint64_t{extent.pages} * kPageBytes;
}

Extent Part(const Extent& extent, uint64_t from, uint64_t to) {
  Extent part = extent;
  part.address = from;
  part.pages = static_cast<uint32_t>((to - from) / kPageBytes);
  if (part.block != kZeroBlock) {
    part.first_page = static_cast<uint16_t>(part.first_page + (from - extent.address) / kPageBytes);
  }
  return part;
}

}  // namespace

std::vector<Extent> Within(const std::vector<Extent>& known, const std::vector<PageRun>& runs) {
  std::vector<Extent> within;
  auto extent = known.begin();
  for (const PageRun& run : runs) {
    while (extent != known.end() && EndOf(*extent) <= run.address) ++extent;
    for (auto at = extent; at != known.end() && at->address < EndOf(run); ++at) {
      within.push_back(Part(*at, std::max(at->address, run.address), std::min(EndOf(*at), EndOf(run))));
    }
  }
  return within;
}

std::vector<Extent> Without(const std::vector<Extent>& known, const std::vector<PageRun>& runs) {
  std::vector<Extent> without;
  auto run = runs.begin();
  for (const Extent& extent : known) {
    while (run != runs.end() && EndOf(*run) <= extent.address) ++run;
    uint64_t from = extent.address;
    for (auto at = run; at != runs.end() && at->address < EndOf(extent); ++at) {
      if (at->address > from) without.push_back(Part(extent, from, at->address));
      from = std::max(from, EndOf(*at));
    }
    if (from < EndOf(extent)) without.push_back(Part(extent, from, EndOf(extent)));
  }
  return without;
}

std::vector<PageRun> Ordered(std::vector<PageRun> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const PageRun& a, const PageRun& b) { return a.address < b.address; });
  std::vector<PageRun> ordered;
  for (const PageRun& run : runs) {
    if (run.bytes == 0) continue;
    if (!ordered.empty() && run.address <= EndOf(ordered.back())) {
      ordered.back().bytes = std::max(EndOf(ordered.back()), EndOf(run)) - ordered.back().address;
    } else {
      ordered.push_back(run);
    }
  }
  return ordered;
}

std::vector<PageRun> LeftOf(const std::vector<PageRun>& runs, const std::vector<PageRun>& others) {
  std::vector<PageRun> without;
  auto other = others.begin();
  for (const PageRun& run : runs) {
    while (other != others.end() && EndOf(*other) <= run.address) ++other;
    PageRun rest = run;
    for (auto at = other; at != others.end() && at->address < EndOf(run); ++at) {
      if (at->address > rest.address) {
        without.push_back(rest);
        without.back().bytes = at->address - rest.address;
      }
      rest.address = std::max(rest.address, EndOf(*at));
      rest.bytes = EndOf(run) - std::min(rest.address, EndOf(run));
    }
    if (rest.bytes > 0) without.push_back(rest);
  }
  return without;
}

std::vector<PageRun> RunsOf(const std::vector<Extent>& extents) {
  std::vector<PageRun> runs;
  for (const Extent& extent : extents) {
    if (runs.empty() || EndOf(runs.back()) != extent.address) runs.push_back({.address = extent.address});
    runs.back().bytes = EndOf(extent) - runs.back().address;
  }
  return runs;
}

uint64_t TotalBytes(const std::vector<PageRun>& runs) {
  uint64_t bytes = 0;
  for (const PageRun& run : runs) bytes += run.bytes;
  return bytes;
}

}  // namespace holdfast
