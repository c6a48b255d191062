#include "job/obstacles.h"

#include <algorithm>

namespace holdfast {

Error DescribeObstacles(const std::string& job, const std::vector<Obstacle>& obstacles) {
  std::string message = job + " cannot be checkpointed (nothing was changed):";
  std::vector<std::string> remedies;
  for (const Obstacle& obstacle : obstacles) {
    message += "\n  ";
    if (obstacle.pid != 0) message += obstacle.process + " (pid " + std::to_string(obstacle.pid) + ") ";
    message += obstacle.what;
    const bool known = std::count(remedies.begin(), remedies.end(), obstacle.remedy) > 0;
    if (!obstacle.remedy.empty() && !known) remedies.push_back(obstacle.remedy);
  }
  Error error = Fail(ErrorKind::kUnsupported, std::move(message));
  for (const std::string& remedy : remedies) error.hint += (error.hint.empty() ? "" : "; ") + remedy;
  return error;
}

}  // namespace holdfast
