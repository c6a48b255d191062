// What a job writes about itself, from text to annotations.
#include "job/job_notes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

using Notes = std::map<std::string, std::string>;

TEST(ParseNotes, TakesPairsAndText) {
  EXPECT_EQ(ParseNotes("epoch=12 loss=0.31\n"), (Notes{{"epoch", "12"}, {"loss", "0.31"}}));
  EXPECT_EQ(ParseNotes("epoch=12\nall is well"), (Notes{{"epoch", "12"}, {"note", "all is well"}}));
  EXPECT_EQ(ParseNotes("stage=warm up, slowly"), (Notes{{"stage", "warm up, slowly"}}));
  EXPECT_EQ(ParseNotes("a=b=c"), (Notes{{"a", "b=c"}}));
  EXPECT_EQ(ParseNotes(""), Notes());
  EXPECT_EQ(ParseNotes("\n \n\t\r\n"), Notes());
}

TEST(ParseNotes, LaterLinesWinAndEmptyValuesTakeBack) {
  EXPECT_EQ(ParseNotes("epoch=1\nepoch=2 loss=3\nloss=\n"), (Notes{{"epoch", "2"}}));
}

TEST(ParseNotes, BelievesNothing) {
  EXPECT_EQ(ParseNotes("=x"), (Notes{{"note", "=x"}}));
  EXPECT_EQ(ParseNotes("k\x01y=1"), (Notes{{"note", "k y=1"}}));
  EXPECT_EQ(ParseNotes("a=\xff\xc3\xa9\xe2\x82"), (Notes{{"a", "?\xc3\xa9??"}}));
  const Notes cut = ParseNotes("a=" + std::string(999, 'x') + "\xc3\xa9");
  EXPECT_EQ(cut.at("a"), std::string(999, 'x'));
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "key" + std::to_string(i) + "=1\n";
  EXPECT_EQ(ParseNotes(many).size(), 64U);
  EXPECT_EQ(ParseNotes(std::string(101, 'k') + "=1").count("note"), 1U);
}

TEST(ReadNotes, ReadsTheEndOfALongFile) {
  const TemporaryDirectory directory;
  EXPECT_EQ(ReadNotes(directory.path()), Notes());
  std::string text = "first=1\n";
  for (int i = 0; i < 20'000; ++i) text += "epoch=" + std::to_string(i) + "\n";
  WriteWholeFile(NoteFile(directory.path()), text);
  EXPECT_EQ(ReadNotes(directory.path()), (Notes{{"epoch", "19999"}}));
  ASSERT_OK(ClearNotes(directory.path()));
  EXPECT_EQ(ReadNotes(directory.path()), Notes());
}

TEST(ReadNotes, IsNotHeldUpByWhatIsNoFile) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo(NoteFile(directory.path()).c_str(), 0600), 0);
  EXPECT_EQ(ReadNotes(directory.path()), Notes());
  std::filesystem::remove(NoteFile(directory.path()));
  std::filesystem::create_symlink("/etc/passwd", NoteFile(directory.path()));
  EXPECT_EQ(ReadNotes(directory.path()), Notes());
  EXPECT_FALSE(ClearNotes(directory.path()));
}

}  // namespace
}  // namespace holdfast
