#include "job/did_you_mean.h"

#include "store/names.h"

namespace holdfast {

std::string DidYouMean(std::string_view wanted, const std::vector<std::string>& names) {
  const std::vector<std::string> near = NearNames(wanted, names);
  std::string text;
  for (size_t i = 0; i < near.size(); ++i) {
    text += i == 0 ? "did you mean " : i + 1 == near.size() ? " or " : ", ";
    text += "'" + near[i] + "'";
  }
  return text.empty() ? text : text + "?";
}

}  // namespace holdfast
