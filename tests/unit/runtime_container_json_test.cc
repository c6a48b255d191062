#include "runtime/container_json.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(ReadAnnotations, OnlyTheOutermostOnes) {
  const Result<Annotations> found = ReadAnnotations(
      R"({"ociVersion":"1.0.2","linux":{"annotations":{"a":"inner"}},"x":[{"annotations":{"a":"b"}}],)"
      R"("annotations":{"a":"1","b":"two \" \u00e9","n":{"a":"deeper"},"list":["a"],"number":3,"z":"last"},"root":{}})");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(*found, ElementsAre(Pair("a", "1"), Pair("b", "two \" é"), Pair("z", "last")));
}

TEST(ReadAnnotations, NoneIsNoError) {
  for (const char* text :
       {"{}", "[]", "3", R"({"annotations":null})", R"({"annotations":{}})", R"({"annotations":["a"]})"}) {
    const Result<Annotations> found = ReadAnnotations(text);
    ASSERT_TRUE(found) << text;
    EXPECT_THAT(*found, IsEmpty()) << text;
  }
}

TEST(ReadAnnotations, WhatComesAfterThemIsNotLookedAt) {
  const Result<Annotations> found = ReadAnnotations(R"({"annotations":{"a":"1"},"root" GARBAGE)");
  ASSERT_TRUE(found);
  EXPECT_THAT(*found, ElementsAre(Pair("a", "1")));
}

TEST(ReadAnnotations, GarbageIsRefused) {
  const std::string deep(100'000, '[');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("\0\0", 2), std::string(R"({"annotations":{"a":"1)"),
        std::string(R"({"annotations":{"a" "1"}})"), std::string("{\"a\":\"\xff\xfe\"}"), deep}) {
    const Result<Annotations> found = ReadAnnotations(text);
    ASSERT_FALSE(found) << text.substr(0, 50);
    EXPECT_EQ(found.error().kind, ErrorKind::kCorrupt);
  }
}

TEST(ReadAnnotations, CutAnywhereItIsRefusedOrComplete) {
  const std::string whole =
      R"({"process":{"args":["sh"],"env":[]},"annotations":{"k":"v","l":"w"},"mounts":[{"a":{}}]})";
  const size_t complete = whole.find("},\"mounts") + 1;
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Result<Annotations> found = ReadAnnotations(whole.substr(0, bytes));
    EXPECT_EQ(static_cast<bool>(found), bytes >= complete) << bytes;
    EXPECT_EQ(found ? found->size() : 2, 2);
  }
}

TEST(ReadBundle, RuncAndCrun) {
  EXPECT_EQ(
      *ReadBundle(R"({"id":"x","config":{"rootfs":"/r","labels":["a=b","bundle=/run/b","c=d"]},"intel":"")"),
      "/run/b");
  EXPECT_EQ(*ReadBundle(R"({ "pid": 1, "rootfs": "/r", "bundle": "/b u", "created": "" })"), "/b u");
}

TEST(ReadBundle, NeitherIsSaid) {
  EXPECT_EQ(ReadBundle("{}").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadBundle(R"({"bundle":"relative"})").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadBundle(R"({"labels":["bundle=/b"],"config":{"x":{"labels":["bundle=/b"]}}})").error().kind,
            ErrorKind::kNotFound);
  EXPECT_EQ(ReadBundle("{").error().kind, ErrorKind::kCorrupt);
}

class SmallFile : public testing::Test {
 protected:
  SmallFile() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-small-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~SmallFile() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(SmallFile, UpToTheLimit) {
  const std::string path = directory_ / "file";
  std::ofstream(path) << "12345";
  EXPECT_EQ(*ReadSmallFile(path, 5), "12345");
  EXPECT_EQ(ReadSmallFile(path, 4).error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(ReadSmallFile(directory_ / "none", 5).error().error_number, ENOENT);
}

TEST_F(SmallFile, NothingThatMakesOneWait) {
  const std::string path = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ReadSmallFile(path, 100).error().kind, ErrorKind::kIo);
  EXPECT_EQ(ReadSmallFile(directory_, 100).error().kind, ErrorKind::kIo);
}

}  // namespace
}  // namespace holdfast
