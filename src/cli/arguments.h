// Arguments that several commands take, from text to what they mean.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

Result<double> ParseInterval(const std::string& text);  // "30s"; empty: 0; at least a tenth of a second
// "key=value" each; the value may be empty.
Result<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& words);
// NAME or NAME@N, looked up: NAME is its present.
Result<SnapshotId> FindSnapshot(const Store& store, const std::string& text);
Result<SnapshotSummary> FindSummary(const Store& store, const SnapshotId& id);

}  // namespace holdfast
