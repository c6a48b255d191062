// As much of TOML 1.0 as it takes to put a handler into somebody's configuration without touching anything
// else in it. It does not judge whether a file is valid: containerd itself is asked for that.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// What stands in a containerd configuration before its first table.
struct TopLevel {
  int version = 0;  // 0: not given
  std::vector<std::string> imports;
  size_t imports_begin = 0;  // the bytes of the array, brackets included; both 0: not given
  size_t imports_end = 0;
  bool has_content = false;  // more than blanks and comments, tables included
};
Result<TopLevel> ScanTopLevel(std::string_view text);

// A table's name in pieces: plugins."io.containerd.grpc.v1.cri".containerd
using TablePath = std::vector<std::string>;
// Key -> value as written, for every table. The outermost is {}.
using TomlTables = std::map<TablePath, std::map<std::string, std::string>>;

// Reads what `containerd config dump` prints: a key with its value on each line. Lines of its log in between
// are skipped.
TomlTables ReadDump(std::string_view text);

std::string TomlUnquoted(std::string_view value);  // of a string as written; any other value as it is
std::string TomlString(std::string_view text);     // with quotes and escapes
std::string TomlTableName(const TablePath& path);  // without brackets
bool IsUnder(const TablePath& path, const TablePath& above);  // or the same

}  // namespace holdfast
