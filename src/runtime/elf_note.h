// The mark by which a holdfast-runtime knows another one. The linker puts notes right behind the program
// headers (GNU ld 2.40, LLVM lld 16), so the first page of the file has it.
#pragma once

#include <string_view>

namespace holdfast {

inline constexpr std::string_view kElfNoteName = "holdfast-runtime";

}  // namespace holdfast
