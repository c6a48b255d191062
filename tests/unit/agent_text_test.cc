// Putting text of ours into a file of somebody else's, and taking it out again.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "agent/marked_text.h"
#include "agent/text_file.h"
#include "agent/toml_text.h"
#include "runtime_test_support.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(MarkedText, OutAgainByteForByte) {
  for (const std::string& file :
       {std::string(), std::string("a = 1"), std::string("a = 1\n"), std::string("a\r\n\n\n"),
        std::string("\0\xff", 2), std::string("# comment")}) {
    const std::string with = AddMarked(file, "[x]\ny = 1\n", {});
    EXPECT_NE(with, file);
    const MarkedText taken = TakeMarked(with);
    EXPECT_TRUE(taken.found);
    EXPECT_FALSE(taken.made.file);
    EXPECT_EQ(taken.rest, file);
    EXPECT_EQ(TakeMarked(with + "[later]\n").rest, file + "[later]\n") << "what came after it stays";
  }
  EXPECT_FALSE(TakeMarked("nothing of ours").found);
  const MarkedText made = TakeMarked(AddMarked("", "x\n", {.file = true, .directory = true}));
  EXPECT_TRUE(made.made.file && made.made.directory);
}

TEST(MarkedText, HalfAMarkIsNone) {
  const std::string with = AddMarked("a\n", "b\n", {});
  const std::string cut = with.substr(0, with.size() - 2);
  EXPECT_FALSE(TakeMarked(cut).found);
  EXPECT_EQ(TakeMarked(cut).rest, cut);
}

TEST(TopLevel, VersionAndImports) {
  const std::string text =
      "# imports = ['no']\nversion = 3 # three\nroot = \"/x # y\"\n"
      "imports = [ # of several lines\n  \"/etc/a/*.toml\",\n  'b.toml', ] # end\n"
      "disabled_plugins = [\"a\", 'b']\ntext = \"\"\"\nversion = 9\n\"\"\"\n[imports]\nversion = 4\n";
  const Result<TopLevel> top = ScanTopLevel(text);
  ASSERT_TRUE(top) << top.error().message;
  EXPECT_EQ(top->version, 3);
  EXPECT_THAT(top->imports, ElementsAre("/etc/a/*.toml", "b.toml"));
  const std::string array = text.substr(top->imports_begin, top->imports_end - top->imports_begin);
  EXPECT_EQ(array.front(), '[');
  EXPECT_EQ(array.back(), ']');
}

TEST(TopLevel, NothingThere) {
  for (const char* text : {"", "\n\n", "# only a comment", "  \t\r\n"}) {
    const Result<TopLevel> top = ScanTopLevel(text);
    ASSERT_TRUE(top);
    EXPECT_FALSE(top->has_content);
    EXPECT_EQ(top->version, 0);
  }
  EXPECT_TRUE(ScanTopLevel("[a]\nversion = 2\n")->has_content);
}

TEST(TopLevel, WhatIsNoTomlIsRefused) {
  for (const char* text : {"version", "version = x", "imports = [\"a\"", "imports = [1]", "= 3",
                           "a = \"open\nb = 1\n", "\xff"}) {
    EXPECT_FALSE(ScanTopLevel(text)) << text;
  }
}

TEST(Dump, TablesByName) {
  const TomlTables tables = ReadDump(
      "version = 2\ntime=\"2026\" level=warning msg=\"x\"\n[plugins]\n\n  [plugins.\"a.b\".c]\n    k = "
      "\"v\"\n"
      "  [plugins.'a.b'.d]\n    list = [\"x\", \"y\"]\n");
  EXPECT_THAT(
      tables,
      ElementsAre(Pair(IsEmpty(), ElementsAre(Pair("version", "2"))), Pair(ElementsAre("plugins"), IsEmpty()),
                  Pair(ElementsAre("plugins", "a.b", "c"), ElementsAre(Pair("k", "\"v\""))),
                  Pair(ElementsAre("plugins", "a.b", "d"), ElementsAre(Pair("list", "[\"x\", \"y\"]")))));
}

TEST(TextFile, ModeAndLinkStay) {
  const ScratchDirectory scratch;
  const std::string file = scratch.Write("real", "old", 0640);
  const std::filesystem::path link = scratch.path() / "link";
  std::filesystem::create_symlink("real", link);
  ASSERT_TRUE(WriteTextFile(link, "new"));
  EXPECT_EQ(scratch.Read("real"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640);
}

TEST(TextFile, AbsentIsNoError) {
  const ScratchDirectory scratch;
  EXPECT_EQ(*ReadTextFile(scratch.path() / "none"), std::nullopt);
  EXPECT_EQ(**ReadTextFile(scratch.Write("empty", "")), "");
  EXPECT_FALSE(ReadTextFile(scratch.path()));
}

}  // namespace
}  // namespace holdfast
