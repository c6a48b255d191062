// What containerd makes of a configuration: `containerd -c FILE config dump` (or `migrate`), which starts
// nothing and listens nowhere.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "agent/toml_text.h"
#include "base/result.h"

namespace holdfast {

// A configuration that is asked about.
struct Question {
  std::filesystem::path config;  // where it is to be: imports may be relative to that
  std::string text;
  std::filesystem::path leave_out;  // of the imported files; may be empty
  std::filesystem::path add;        // to them; may be empty
};

// kCorrupt: containerd does not take it; the message has its own words.
Result<TomlTables> AskContainerd(const std::filesystem::path& containerd, const Question& question);

// Of an answer: containerd 2 gives every one in version 3, whatever the file is.
int DumpVersion(const TomlTables& dump);

// A directory of our own that goes away with everything in it.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> Make();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// What `import`, a pattern of `config`, is in full.
std::filesystem::path ImportPattern(const std::filesystem::path& config, const std::string& import);

}  // namespace holdfast
