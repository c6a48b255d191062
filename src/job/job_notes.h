// What a job says of itself: lines that it writes into the file named by $HOLDFAST_NOTE ("epoch=12
// loss=0.31"). What the file says at the freeze becomes annotations of the snapshot.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

inline constexpr const char* kNoteVariable = "HOLDFAST_NOTE";

std::filesystem::path NoteFile(const std::filesystem::path& job_directory);
// Makes the file, empty (0600), or empties it.
Result<void> ClearNotes(const std::filesystem::path& job_directory);

// A line of words KEY=VALUE sets each of them; one that begins with KEY= sets this key to all the rest; any
// other is the "note". Later lines win. What a job writes is not believed: keys of 1 to 100 characters of
// [A-Za-z0-9._-], values of at most 1000 bytes of UTF-8, 64 keys; what is longer is cut, what is more is left
// out.
std::map<std::string, std::string> ParseNotes(std::string_view text);
// Of the last 64 KiB of the file; nothing when there is none.
std::map<std::string, std::string> ReadNotes(const std::filesystem::path& job_directory);
// The same; but of a file that was emptied a moment ago it waits some milliseconds for what will be written.
std::map<std::string, std::string> ReadSettledNotes(const std::filesystem::path& job_directory);

}  // namespace holdfast
