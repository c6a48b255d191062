#include "job/stop_request.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "linux/atomic_file.h"
#include "linux/proc.h"

namespace holdfast {

namespace {

std::filesystem::path PathIn(const std::filesystem::path& job_directory) {
  return job_directory / "stop.json";
}

}  // namespace

Result<void> WriteStopRequest(const std::filesystem::path& job_directory, const StopRequest& request) {
  const nlohmann::ordered_json json = {{"newest_before", request.newest_before},
                                       {"snapshot", request.snapshot}};
  return WriteFileAtomically(PathIn(job_directory), json.dump() + "\n");
}

std::optional<StopRequest> ReadStopRequest(const std::filesystem::path& job_directory) {
  const Result<std::string> text = ReadFile(PathIn(job_directory));
  if (!text) return std::nullopt;
  try {
    const nlohmann::json json = nlohmann::json::parse(*text);
    return StopRequest{.newest_before = json.at("newest_before").get<uint64_t>(),
                       .snapshot = json.at("snapshot").get<std::string>()};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

void RemoveStopRequest(const std::filesystem::path& job_directory) {
  ::unlink(PathIn(job_directory).c_str());
}

}  // namespace holdfast
