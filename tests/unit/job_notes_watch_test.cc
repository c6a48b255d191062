#include "job/notes_watch.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "job/job_notes.h"

namespace holdfast {
namespace {

using Notes = std::map<std::string, std::string>;

class NotesWatchTest : public testing::Test {
 protected:
  NotesWatchTest() : directory_(testing::TempDir() + "holdfast-notes-XXXXXX") {
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
  }
  ~NotesWatchTest() override { std::filesystem::remove_all(directory_); }
  void Empty() const { std::ofstream file(NoteFile(directory_), std::ios::trunc); }
  void Write(const char* text) const { std::ofstream(NoteFile(directory_), std::ios::trunc) << text; }

  std::string directory_;
};

TEST_F(NotesWatchTest, SaysWhatTheFileSays) {
  Write("epoch=1\n");
  NotesWatch watch(directory_);
  EXPECT_EQ(watch.Now(), (Notes{{"epoch", "1"}}));
  Write("epoch=2\n");
  EXPECT_EQ(watch.Now(), (Notes{{"epoch", "2"}}));
}

TEST_F(NotesWatchTest, OfAnEmptyFileWhatItSaidLast) {
  Write("epoch=1\n");
  NotesWatch watch(directory_);
  Empty();
  EXPECT_EQ(watch.Now(), (Notes{{"epoch", "1"}}));
  // The watch must come to see it while it is there.
  const Notes second{{"epoch", "2"}};
  do {
    Write("epoch=2\n");
    Empty();
  } while (watch.Now() != second);
}

TEST_F(NotesWatchTest, WhereNothingWasSaidThereIsNothing) {
  EXPECT_EQ(NotesWatch(directory_).Now(), Notes{});  // no file at all
  Empty();
  EXPECT_EQ(NotesWatch(directory_).Now(), Notes{});
}

}  // namespace
}  // namespace holdfast
