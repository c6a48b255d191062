#include "cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "job/terminal.h"

namespace holdfast {

namespace {

// Characters, not bytes: names and notes may be UTF-8.
size_t DisplayWidth(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string CutTo(const std::string& text, size_t width) {
  if (DisplayWidth(text) <= width) return text;
  std::string cut;
  size_t used = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && used + 1 >= width) break;
    used += begins ? 1 : 0;
    cut += c;
  }
  return cut + "…";
}

// One write, so that lines of several processes do not mix.
void WriteError(const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    done += static_cast<size_t>(written);
  }
}

}  // namespace

void PrintJson(const Json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  std::fflush(stdout);
}

Json ErrorToJson(const Error& error) {
  return {{"error",
           {{"kind", ErrorKindName(error.kind)},
            {"message", error.message},
            {"hint", error.hint},
            {"errno", error.error_number}}}};
}

void PrintError(const Error& error, bool json) {
  if (json) {
    PrintJson(ErrorToJson(error));
    return;
  }
  std::fflush(stdout);
  // A message about the command line names the command itself.
  const bool named = error.message.starts_with("holdfast");
  std::string text = (named ? "" : "holdfast: ") + error.message + "\n";
  if (!error.hint.empty()) text += "  hint: " + error.hint + "\n";
  WriteError(text);
}

void PrintNotice(const std::string& line) {
  WriteError("holdfast: " + line + "\n");
}

Notices PrintedNotices(bool quiet) {
  return [quiet](NoticeKind kind, const std::string& line) {
    if (!quiet || kind == NoticeKind::kProblem) PrintNotice(line);
  };
}

std::string Table::Format(size_t width) const {
  static constexpr size_t kGap = 2;
  static constexpr size_t kLastColumnMin = 12;
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t widest = DisplayWidth(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, DisplayWidth(row[i]));
    widths.push_back(widest);
  }
  if (width > 0) {
    size_t before_last = 0;
    for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + kGap;
    const size_t room = width > before_last + kLastColumnMin ? width - before_last : kLastColumnMin;
    widths.back() = std::min(widths.back(), room);
  }
  std::string text;
  auto add_row = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (size_t i = 0; i < cells.size(); ++i) {
      const bool last = i + 1 == cells.size();
      const std::string cell = last ? CutTo(cells[i], widths[i]) : cells[i];
      const std::string padding(widths[i] - std::min(widths[i], DisplayWidth(cell)), ' ');
      line += columns_[i].align == Align::kRight ? padding + cell : cell + padding;
      if (!last) line.append(kGap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  add_row(titles);
  for (const auto& row : rows_) add_row(row);
  return text;
}

void Table::Print() const {
  const auto window = ReadWindowSize(STDOUT_FILENO);
  fmt::print("{}", Format(window ? window->columns : 0));
}

std::string FormatAge(int64_t then_ms, int64_t now_ms) {
  const int64_t seconds = std::max<int64_t>(0, (now_ms - then_ms) / 1000);
  if (seconds < 120) return fmt::format("{} s ago", seconds);
  if (seconds < 120 * 60) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} days ago", seconds / 86400);
}

std::string FormatCommand(const std::vector<std::string>& command) {
  std::string text;
  for (const std::string& word : command) {
    std::string shown;
    for (const char c : word) {
      if (c == '\'') {
        shown += "'\\''";
      } else {
        shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
      }
    }
    const bool quoted = word.empty() || word.find_first_of(" \t\n'\"\\$&|;<>()*?") != std::string::npos;
    text += (text.empty() ? "" : " ") + (quoted ? "'" + shown + "'" : shown);
  }
  return text;
}

}  // namespace holdfast
