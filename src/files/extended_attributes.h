// Extended attributes of a file, access lists among them.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace holdfast {

using ExtendedAttributes = std::map<std::string, std::string>;

// Of what `path` leads to, a symbolic link in its last part not followed; none where the file system knows
// none, or the file is gone. `shown` names it in errors.
Result<ExtendedAttributes> ReadAttributes(const std::string& path, const std::string& shown);

}  // namespace holdfast
