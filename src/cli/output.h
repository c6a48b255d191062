// What commands print, and how: results to stdout, everything else to stderr, one JSON document with --json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/notices.h"

namespace holdfast {

using Json = nlohmann::ordered_json;

void PrintJson(const Json& json);
// "holdfast: MESSAGE" and its hint on stderr, or {"error": ...} on stdout.
void PrintError(const Error& error, bool json);
Json ErrorToJson(const Error& error);

// One line on stderr, "holdfast: " in front.
void PrintNotice(const std::string& line);
// Problems are told even when the user wants quiet.
Notices PrintedNotices(bool quiet);

// Columns with a header, as wide as they need to be; the last one is cut at the terminal's edge.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // `width`: of the terminal, 0: no limit.
  std::string Format(size_t width) const;
  void Print() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string FormatAge(int64_t then_ms, int64_t now_ms);  // "12 s ago", "3 h ago"
// As one would type it: words with blanks in quotes; control characters visible.
std::string FormatCommand(const std::vector<std::string>& command);

}  // namespace holdfast
