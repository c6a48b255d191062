#include "memory/capture_cost.h"

namespace holdfast {

double PredictCopyMs(uint64_t bytes, size_t runs) {
  constexpr double kBytesPerMs = 6e6;
  constexpr double kRunMs = 0.0003;
  return static_cast<double>(bytes) / kBytesPerMs + static_cast<double>(runs) * kRunMs;
}

double PredictForkMs(uint64_t small_page_bytes, uint64_t huge_page_bytes) {
  constexpr double kSmallBytesPerMs = 40e6;
  constexpr double kHugeBytesPerMs = 1e9;
  return static_cast<double>(small_page_bytes) / kSmallBytesPerMs +
         static_cast<double>(huge_page_bytes) / kHugeBytesPerMs;
}

double PredictTwinMs(uint64_t small_page_bytes, uint64_t huge_page_bytes) {
  constexpr double kBaseMs = 1;
  return kBaseMs + PredictForkMs(small_page_bytes, huge_page_bytes);
}

}  // namespace holdfast
