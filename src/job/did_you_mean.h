#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// "did you mean 'train' or 'train-2'?", or empty when none of `names` is near.
std::string DidYouMean(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace holdfast
