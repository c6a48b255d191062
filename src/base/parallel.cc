#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace holdfast {

unsigned CoreCount() {
  return std::max(1u, std::thread::hardware_concurrency());
}

Result<void> ParallelFor(size_t count, const std::function<Result<void>(size_t)>& work, unsigned threads) {
  if (threads == 0) threads = CoreCount();
  threads = static_cast<unsigned>(std::min<size_t>(threads, count));
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::optional<Error> first_error;
  const auto run = [&] {
    for (size_t i = next++; i < count && !failed; i = next++) {
      Result<void> result = work(i);
      if (result) continue;
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::move(result).error();
      failed = true;
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(run);
    run();
  }
  if (first_error) return *std::move(first_error);
  return {};
}

}  // namespace holdfast
