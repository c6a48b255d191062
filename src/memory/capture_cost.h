// How long a capture in the freeze is going to take. The figures are from current machines, two cores, and
// only have to be right beside one another: they decide which way is taken.
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast {

// `bytes` in so many separate runs, into memory that is ready for them.
double PredictCopyMs(uint64_t bytes, size_t runs);
// A fork() that copies the page tables of so much resident memory.
double PredictTwinMs(uint64_t small_page_bytes, uint64_t huge_page_bytes);
// The same without its constant part.
double PredictForkMs(uint64_t small_page_bytes, uint64_t huge_page_bytes);
// Two calls made in the stopped task: one range of its memory is left out of a fork(), and put back.
inline constexpr double kLeaveOutMs = 0.035;

}  // namespace holdfast
