// What stands in the way of a checkpoint, in words.
#pragma once

#include <string>
#include <vector>

#include "engine/engine.h"

namespace holdfast {

// kUnsupported, naming every process and what to do; `job` is how the user called it.
Error DescribeObstacles(const std::string& job, const std::vector<Obstacle>& obstacles);

}  // namespace holdfast
