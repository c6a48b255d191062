// The runtime that does the work: where it is, and how it takes this process over.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// The best program that is not among those that `failed`: `named` (empty: none), runc and then crun of `path`
// ($PATH), then where packages put them. Empty when there is none. Only what can be executed and is no
// holdfast-runtime, under whatever name and of whatever version: a wrapper that wraps itself would never end.
// Of `path`, absolute directories.
std::string FindRealRuntime(const std::string& named, std::string_view path,
                            const std::vector<std::string>& failed = {});

// Whether the file is a holdfast-runtime: it says so in an ELF note, which is in its first page.
bool IsHoldfastRuntime(const std::string& program);

// Becomes `program` with the arguments and the environment of this process; only argv[0] is the program's own
// path, as if the caller had named that. Returns errno when it cannot.
int BecomeRuntime(const std::string& program, char* const* argv);

}  // namespace holdfast
