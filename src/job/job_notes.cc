#include "job/job_notes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace holdfast {

namespace {

constexpr size_t kFileBytesMax = 64 * 1024;
constexpr size_t kKeysMax = 64;
constexpr size_t kKeyBytesMax = 100;
constexpr size_t kValueBytesMax = 1000;
constexpr std::string_view kSpace = " \t\r";
constexpr std::string_view kKeyCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

// How many bytes of `text` are one whole character of UTF-8; 0: it is none.
size_t CharacterBytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t bytes = lead < 0x80   ? 1
                       : lead < 0xc2 ? 0
                       : lead < 0xe0 ? 2
                       : lead < 0xf0 ? 3
                       : lead < 0xf5 ? 4
                                     : 0;
  if (bytes > text.size()) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return bytes;
}

// What a table and JSON can show.
std::string Readable(std::string_view text) {
  std::string readable;
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (readable.size() + std::max<size_t>(bytes, 1) > kValueBytesMax) break;
    const bool control = bytes == 1 && (text.front() < ' ' || text.front() == 0x7f);
    if (bytes == 0 || control) {
      readable += control ? ' ' : '?';
    } else {
      readable += text.substr(0, bytes);
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return readable;
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The length of the KEY that `word` begins with when "=" follows; 0: it does not.
size_t KeyBytes(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > kKeyBytesMax) return 0;
  return word.substr(0, equals).find_first_not_of(kKeyCharacters) == std::string_view::npos ? equals : 0;
}

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!(line = Trim(line)).empty()) {
    const size_t end = std::min(line.find_first_of(kSpace), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

class Notes {
 public:
  void AddLine(std::string_view line) {
    line = Trim(line);
    if (line.empty()) return;
    const std::vector<std::string_view> words = Words(line);
    if (std::all_of(words.begin(), words.end(), [](std::string_view word) { return KeyBytes(word) > 0; })) {
      for (const std::string_view word : words) AddPair(word);
    } else if (KeyBytes(words.front()) > 0) {
      AddPair(line);
    } else {
      Set("note", line);
    }
  }
  std::map<std::string, std::string> Take() { return std::move(notes_); }

 private:
  void AddPair(std::string_view pair) {
    const size_t key = KeyBytes(pair);
    Set(std::string(pair.substr(0, key)), Trim(pair.substr(key + 1)));
  }
  void Set(const std::string& key, std::string_view value) {
    if (value.empty()) {
      notes_.erase(key);
    } else if (notes_.size() < kKeysMax || notes_.contains(key)) {
      notes_[key] = Readable(value);
    }
  }

  std::map<std::string, std::string> notes_;
};

}  // namespace

std::filesystem::path NoteFile(const std::filesystem::path& job_directory) {
  return job_directory / "notes";
}

Result<void> ClearNotes(const std::filesystem::path& job_directory) {
  const std::filesystem::path path = NoteFile(job_directory);
  const Fd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!file.valid()) return FailErrno("cannot make " + path.string());
  return {};
}

std::map<std::string, std::string> ParseNotes(std::string_view text) {
  Notes notes;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    notes.AddLine(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return notes.Take();
}

std::map<std::string, std::string> ReadNotes(const std::filesystem::path& job_directory) {
  // A job may have put a pipe in its place.
  const Fd file(::open(NoteFile(job_directory).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  const auto bytes = static_cast<size_t>(status.st_size);
  const size_t start = bytes > kFileBytesMax ? bytes - kFileBytesMax : 0;
  std::string text(bytes - start, '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), static_cast<off_t>(start));
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  if (start > 0) text.erase(0, text.find('\n'));
  return ParseNotes(text);
}

std::map<std::string, std::string> ReadSettledNotes(const std::filesystem::path& job_directory) {
  constexpr int kLooksMax = 5;
  constexpr int64_t kMomentMs = 100;
  std::map<std::string, std::string> notes = ReadNotes(job_directory);
  struct stat status {};
  if (!notes.empty() || ::stat(NoteFile(job_directory).c_str(), &status) != 0) return notes;
  const int64_t changed_ms = status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1'000'000;
  if (WallClockMs() - changed_ms > kMomentMs) return notes;
  for (int looks = 1; notes.empty() && looks < kLooksMax; ++looks) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    notes = ReadNotes(job_directory);
  }
  return notes;
}

}  // namespace holdfast
