// Where the store is when the user says nothing.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

// `given` (--store), else $HOLDFAST_STORE, else the default; absolute.
Result<std::filesystem::path> StoreDirectory(const std::string& given);
std::string DefaultStoreText();  // for the help

enum class IfMissing { kMake, kFail };
Result<Store> OpenStoreAt(const std::string& given, IfMissing if_missing);

}  // namespace holdfast
