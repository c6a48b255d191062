// The pages that a job waited for after a lazy restart, kept so that the next restart brings them in first.
#pragma once

#include <string>
#include <vector>

#include "memory/page_server.h"

namespace holdfast {

// None when there is no such file, or none that can be read: then nothing comes first.
std::vector<Touch> ReadFirstTouches(const std::string& path);
void WriteFirstTouches(const std::string& path, const std::vector<Touch>& touches);

}  // namespace holdfast
