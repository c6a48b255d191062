#include "agent/toml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>

namespace holdfast {

namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t';
}
bool IsBareKey(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

Error NotToml(std::string_view text, size_t at) {
  const auto line =
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(at, text.size())), '\n');
  return Fail(ErrorKind::kCorrupt, fmt::format("line {} is not understood", line + 1));
}

// A walk over the text, from value to value.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  void Skip() { ++at_; }
  bool Take(char c) {
    if (Peek() != c) return false;
    Skip();
    return true;
  }
  void SkipBlanks() {
    while (IsBlank(Peek())) Skip();
  }
  void SkipLine() {
    const size_t end = text_.find('\n', at_);
    at_ = end == std::string_view::npos ? text_.size() : end + 1;
  }
  // Blanks, ends of lines and comments.
  void SkipSpace() {
    while (!AtEnd()) {
      if (Peek() == '#') {
        SkipLine();
      } else if (IsBlank(Peek()) || Peek() == '\n' || Peek() == '\r') {
        Skip();
      } else {
        return;
      }
    }
  }

  Result<std::string> String() {
    const char quote = Peek();
    if (text_.substr(at_, 3) ==
        std::string(3, quote)) {  // of several lines: not where we look, only to be skipped
      const size_t end = text_.find(std::string(3, quote), at_ + 3);
      if (end == std::string_view::npos) return NotToml(text_, at_);
      const size_t start = at_ + 3;
      at_ = end + 3;
      while (Peek() == quote) Skip();
      return std::string(text_.substr(start, end - start));
    }
    std::string value;
    for (Skip(); !AtEnd() && Peek() != '\n'; Skip()) {
      if (Take(quote)) return value;
      if (Peek() == '\\' && quote == '"') {
        Skip();
        if (std::strchr("\"\\", Peek()) == nullptr) value += '\\';  // others stay as they are written
      }
      value += Peek();
    }
    return NotToml(text_, at_);
  }

  // Goes behind a value of any kind.
  Result<void> SkipValue() {
    int depth = 0;
    while (!AtEnd()) {
      const char c = Peek();
      if (c == '"' || c == '\'') {
        TRY(String());
        continue;
      }
      if (c == '#' || (c == '\n' && depth == 0)) {
        SkipLine();
        if (depth == 0) return {};
        continue;
      }
      if (c == '[' || c == '{') ++depth;
      if (c == ']' || c == '}') --depth;
      Skip();
    }
    return {};
  }

  Result<std::string> Key() {
    if (Peek() == '"' || Peek() == '\'') return String();
    std::string key;
    while (IsBareKey(Peek())) {
      key += Peek();
      Skip();
    }
    if (key.empty()) return NotToml(text_, at_);
    return key;
  }

  // a."b.c".d
  Result<TablePath> Path() {
    TablePath path;
    do {
      SkipBlanks();
      path.push_back(TRY(Key()));
      SkipBlanks();
    } while (Take('.'));
    return path;
  }

  Result<std::vector<std::string>> Strings() {
    std::vector<std::string> strings;
    if (!Take('[')) return NotToml(text_, at_);
    while (true) {
      SkipSpace();
      if (Take(']')) return strings;
      if (Peek() != '"' && Peek() != '\'') return NotToml(text_, at_);
      strings.push_back(TRY(String()));
      SkipSpace();
      if (!Take(',') && Peek() != ']') return NotToml(text_, at_);
    }
  }

  Result<int> Number() {
    int number = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    if (error != std::errc()) return NotToml(text_, at_);
    at_ = static_cast<size_t>(end - text_.data());
    return number;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

void ReadDumpLine(std::string_view line, TablePath& table, TomlTables& tables) {
  constexpr std::string_view kLogLine = "time=\"";
  if (line.empty() || line.front() == '#' || line.starts_with(kLogLine)) return;
  if (line.front() == '[') {
    Scanner name(line.substr(1));
    Result<TablePath> path = name.Path();
    if (!path) return;
    table = std::move(*path);
    tables[table];
    return;
  }
  Scanner scanner(line);
  const Result<TablePath> key = scanner.Path();
  if (!key || !scanner.Take('=')) return;
  tables[table][TomlTableName(*key)] = Trimmed(line.substr(scanner.at()));
}

}  // namespace

Result<TopLevel> ScanTopLevel(std::string_view text) {
  TopLevel top;
  Scanner scanner(text);
  while (true) {
    scanner.SkipSpace();
    if (scanner.AtEnd()) return top;
    top.has_content = true;
    if (scanner.Peek() == '[') return top;
    const TablePath key = TRY(scanner.Path());
    if (!scanner.Take('=')) return NotToml(text, scanner.at());
    scanner.SkipBlanks();
    if (key == TablePath{"version"}) {
      top.version = TRY(scanner.Number());
    } else if (key == TablePath{"imports"}) {
      top.imports_begin = scanner.at();
      top.imports = TRY(scanner.Strings());
      top.imports_end = scanner.at();
    }
    TRY(scanner.SkipValue());
  }
}

TomlTables ReadDump(std::string_view text) {
  TomlTables tables;
  TablePath table;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    ReadDumpLine(Trimmed(text.substr(0, end)), table, tables);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return tables;
}

std::string TomlUnquoted(std::string_view value) {
  if (value.empty() || (value.front() != '"' && value.front() != '\'')) return std::string(value);
  Scanner scanner(value);
  return scanner.String().value_or(std::string(value));
}

std::string TomlString(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string TomlTableName(const TablePath& path) {
  std::string name;
  for (const std::string& piece : path) {
    if (!name.empty()) name += '.';
    const bool bare = !piece.empty() && std::all_of(piece.begin(), piece.end(), IsBareKey);
    name += bare ? piece : TomlString(piece);
  }
  return name;
}

bool IsUnder(const TablePath& path, const TablePath& above) {
  return path.size() >= above.size() && std::equal(above.begin(), above.end(), path.begin());
}

}  // namespace holdfast
