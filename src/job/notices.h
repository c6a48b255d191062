// Short lines for the user about what a supervisor does ("train@3: freeze 12 ms, ..."). A front door prints
// them or drops them.
#pragma once

#include <functional>
#include <string>

namespace holdfast {

enum class NoticeKind { kNews, kProblem };
using Notices = std::function<void(NoticeKind kind, const std::string& line)>;

}  // namespace holdfast
