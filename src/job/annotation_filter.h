// `--where`: which snapshots, by their annotations.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

// KEY=VALUE, KEY!=VALUE, KEY<VALUE, KEY<=VALUE, KEY>VALUE, KEY>=VALUE. As numbers when both are numbers; else
// "=" and
// "!=" compare the text, and the others are false. What lacks the key satisfies only "!=".
class AnnotationFilter {
 public:
  static Result<AnnotationFilter> Parse(const std::string& text);
  bool Accepts(const std::map<std::string, std::string>& annotations) const;

 private:
  std::string key_;
  std::string comparison_;
  std::string value_;
};

Result<std::vector<AnnotationFilter>> ParseFilters(const std::vector<std::string>& texts);
bool AcceptedByAll(const std::vector<AnnotationFilter>& filters, const SnapshotSummary& snapshot);
// The newest snapshot that all accept. kNotFound names what there is.
Result<SnapshotId> FindNewest(const Store& store, const std::string& lineage,
                              const std::vector<std::string>& texts);

}  // namespace holdfast
