// What a job says of itself at the instant of a freeze, which may fall between its emptying the file and its
// writing into it: then it stands by what it said last. So that this is known, the notes are read again
// whenever they change.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/fd.h"

namespace holdfast {

class NotesWatch {
 public:
  // Where the kernel has no more inotify instances for us, what was said before counts as what was said last.
  explicit NotesWatch(const std::filesystem::path& job_directory);
  NotesWatch(const NotesWatch&) = delete;
  NotesWatch& operator=(const NotesWatch&) = delete;
  ~NotesWatch();

  // Requires: the job stands still.
  std::map<std::string, std::string> Now();

 private:
  void Follow();

  const std::filesystem::path job_directory_;
  Fd changes_;  // inotify
  Fd end_;      // eventfd
  std::mutex mutex_;
  std::map<std::string, std::string> last_;  // not empty, unless nothing was said
  std::thread follower_;
};

}  // namespace holdfast
