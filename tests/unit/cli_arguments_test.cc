// Arguments, from text to what they mean.
#include "cli/arguments.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "cli/store_location.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

TEST(ParseInterval, TakesDurationsFromATenthOfASecondToAYear) {
  EXPECT_EQ(ParseInterval("").value(), 0);
  EXPECT_EQ(ParseInterval("30s").value(), 30);
  EXPECT_EQ(ParseInterval("100ms").value(), 0.1);
  EXPECT_EQ(ParseInterval("5m").value(), 300);
  EXPECT_EQ(ParseInterval("366d").value(), 366.0 * 86400);
}

TEST(ParseInterval, RefusesTheRestAndNamesTheOption) {
  for (const char* text : {"0", "0s", "99ms", "-1s", "367d", "soon", "1e300", "nan"}) {
    const Result<double> interval = ParseInterval(text);
    ASSERT_FALSE(interval) << text;
    EXPECT_EQ(interval.error().kind, ErrorKind::kUsage) << text;
    EXPECT_NE(interval.error().message.find("--every"), std::string::npos) << interval.error().message;
  }
}

TEST(ParsePairs, SplitsAtTheFirstEqualsSign) {
  using Pairs = std::map<std::string, std::string>;
  EXPECT_EQ(ParsePairs({}).value(), Pairs{});
  EXPECT_EQ(ParsePairs({"a=b", "stage=", "expr=x=y", "k = v"}).value(),
            (Pairs{{"a", "b"}, {"stage", ""}, {"expr", "x=y"}, {"k ", " v"}}));
  EXPECT_EQ(ParsePairs({"a=1", "a=2"}).value(), (Pairs{{"a", "2"}}));
}

TEST(ParsePairs, RefusesWhatIsNoPair) {
  for (const char* word : {"", "=", "=value", "key"}) {
    EXPECT_EQ(ParsePairs({word}).error().kind, ErrorKind::kUsage) << word;
  }
}

class FindSnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
    for (uint64_t seed = 1; seed <= 2; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(FindSnapshotTest, ANameIsItsNewest) {
  EXPECT_EQ(FindSnapshot(*store_, "job")->ToString(), "job@2");
  EXPECT_EQ(FindSnapshot(*store_, "job@1")->ToString(), "job@1");
}

TEST_F(FindSnapshotTest, WhatIsNotThereIsNotFoundAndWhatIsNoNameIsUsage) {
  EXPECT_EQ(FindSnapshot(*store_, "job@7").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(FindSnapshot(*store_, "jobb").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(FindSnapshot(*store_, "job@").error().kind, ErrorKind::kUsage);
  EXPECT_EQ(FindSnapshot(*store_, "../x").error().kind, ErrorKind::kUsage);
}

TEST_F(FindSnapshotTest, ASummaryIsOfThatSnapshot) {
  EXPECT_EQ(FindSummary(*store_, {"job", 1})->annotations.at("note"), "sample 1");
  EXPECT_EQ(FindSummary(*store_, {"job", 9}).error().kind, ErrorKind::kNotFound);
}

class StoreLocation : public ::testing::Test {
 protected:
  ~StoreLocation() override { ::unsetenv("HOLDFAST_STORE"); }
  TemporaryDirectory directory_;
};

TEST_F(StoreLocation, TheOptionComesBeforeTheVariable) {
  ::setenv("HOLDFAST_STORE", (directory_.path() / "variable").c_str(), 1);
  EXPECT_EQ(StoreDirectory("").value(), directory_.path() / "variable");
  EXPECT_EQ(StoreDirectory((directory_.path() / "option").string()).value(), directory_.path() / "option");
}

TEST_F(StoreLocation, IsAbsoluteAndWithoutLinks) {
  std::filesystem::create_directory(directory_.path() / "real");
  std::filesystem::create_directory_symlink("real", directory_.path() / "link");
  EXPECT_EQ(StoreDirectory((directory_.path() / "link/new/../store").string()).value(),
            directory_.path() / "real/store");
  EXPECT_TRUE(StoreDirectory("relative").value().is_absolute());
}

TEST_F(StoreLocation, AMissingStoreIsMadeOnlyForThoseWhoKeepSomething) {
  const std::string path = (directory_.path() / "a/store").string();
  const Result<Store> missing = OpenStoreAt(path, IfMissing::kFail);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "a"));
  ASSERT_OK(OpenStoreAt(path, IfMissing::kMake));
  ASSERT_OK(OpenStoreAt(path, IfMissing::kFail));
}

}  // namespace
}  // namespace holdfast
