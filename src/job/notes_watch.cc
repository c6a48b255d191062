#include "job/notes_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "job/job_notes.h"

namespace holdfast {

NotesWatch::NotesWatch(const std::filesystem::path& job_directory)
    : job_directory_(job_directory),
      changes_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      end_(eventfd(0, EFD_CLOEXEC)) {
  const bool watched =
      changes_.valid() && end_.valid() &&
      inotify_add_watch(changes_.get(), NoteFile(job_directory).c_str(), IN_MODIFY | IN_CLOSE_WRITE) >= 0;
  last_ = ReadSettledNotes(job_directory);
  if (watched) follower_ = std::thread([this] { Follow(); });
}

NotesWatch::~NotesWatch() {
  if (!follower_.joinable()) return;
  const uint64_t one = 1;
  static_cast<void>(!write(end_.get(), &one, sizeof one));
  follower_.join();
}

std::map<std::string, std::string> NotesWatch::Now() {
  std::map<std::string, std::string> notes = ReadNotes(job_directory_);
  if (!notes.empty()) return notes;
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_;
}

void NotesWatch::Follow() {
  std::array<char, 4096> events{};
  std::array<pollfd, 2> waited = {{{changes_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}}};
  for (;;) {
    if (poll(waited.data(), waited.size(), -1) < 0 && errno != EINTR) return;
    if (waited[1].revents != 0) return;
    while (read(changes_.get(), events.data(), events.size()) > 0) {
    }
    std::map<std::string, std::string> notes = ReadNotes(job_directory_);
    if (notes.empty()) continue;
    const std::lock_guard<std::mutex> lock(mutex_);
    last_ = std::move(notes);
  }
}

}  // namespace holdfast
