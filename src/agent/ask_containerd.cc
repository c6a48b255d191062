#include "agent/ask_containerd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "linux/atomic_file.h"
#include "linux/subprocess.h"

namespace holdfast {

namespace {

Result<std::string> ReadAll(int file) {
  std::string content;
  std::array<char, 64 * 1024> piece{};
  while (content.size() < limits::kSettingsBytesMax) {
    const ssize_t bytes = ::pread(file, piece.data(), piece.size(), static_cast<off_t>(content.size()));
    if (bytes < 0) return FailErrno("cannot read containerd's answer");
    if (bytes == 0) return content;
    content.append(piece.data(), static_cast<size_t>(bytes));
  }
  return Fail(ErrorKind::kCorrupt, "containerd's answer is too long");
}

std::vector<std::string> Matching(const std::filesystem::path& pattern) {
  std::vector<std::string> files;
  glob_t found{};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return files;
}

// The text with each file that it imports named, so that it says the same from anywhere.
Result<std::string> WithImportsNamed(const Question& question) {
  const TopLevel top = TRY(ScanTopLevel(question.text));
  if (top.imports_end == 0) return question.text;
  std::string imports;
  for (const std::string& each : top.imports) {
    for (const std::string& file : Matching(ImportPattern(question.config, each))) {
      if (file != question.leave_out) imports += TomlString(file) + ", ";
    }
  }
  if (!question.add.empty()) imports += TomlString(question.add.string());
  return fmt::format("{}[{}]{}", question.text.substr(0, top.imports_begin), imports,
                     question.text.substr(top.imports_end));
}

std::string LastLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t start = text.rfind('\n');
  return start == std::string::npos ? text : text.substr(start + 1);
}

// `containerd -c FILE config HOW`
Result<TomlTables> RunConfigCommand(const std::filesystem::path& containerd,
                                    const std::filesystem::path& file, const char* how) {
  const Fd answer(::memfd_create("containerd", MFD_CLOEXEC));
  if (!answer.valid()) return FailErrno("cannot make a file for containerd's answer");
  SpawnOptions options;
  options.arguments = {containerd.string(), "-c", file.string(), "config", how};
  options.output = answer.get();
  Subprocess process = TRY(Subprocess::Spawn(options));
  const int status = TRY(process.Wait());
  const std::string said = TRY(ReadAll(answer.get()));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ReadDump(said);
  return Fail(ErrorKind::kCorrupt, LastLine(said));
}

}  // namespace

int DumpVersion(const TomlTables& dump) {
  const auto top = dump.find({});
  const bool given = top != dump.end() && top->second.contains("version");
  return given && top->second.at("version") == "3" ? 3 : 2;
}

std::filesystem::path ImportPattern(const std::filesystem::path& config, const std::string& import) {
  return config.parent_path() / import;  // itself when it is absolute
}

Result<TemporaryDirectory> TemporaryDirectory::Make() {
  std::string name = (std::filesystem::temp_directory_path() / "holdfast-agent-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return FailErrno("cannot make " + name);
  return TemporaryDirectory(name);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<TomlTables> AskContainerd(const std::filesystem::path& containerd, const Question& question) {
  const TemporaryDirectory directory = TRY(TemporaryDirectory::Make());
  const std::filesystem::path copy = directory.path() / "config.toml";
  TRY(WriteFileAtomically(copy, TRY(WithImportsNamed(question))));
  auto ask = [&](const char* how) -> Result<TomlTables> {
    Result<TomlTables> tables = RunConfigCommand(containerd, copy, how);
    if (!tables)
      return std::move(tables.error()).Within("containerd cannot read " + question.config.string());
    return tables;
  };
  TomlTables tables = TRY(ask("dump"));
  // containerd 2.0's dump leaves a file of version 2 as it is, in tables that nothing reads, and calls it 3;
  // what it makes of the file when it starts is what `migrate` shows.
  const bool is_older = TRY(ScanTopLevel(question.text)).version == 2 && DumpVersion(tables) == 3;
  return is_older ? ask("migrate") : tables;
}

}  // namespace holdfast
