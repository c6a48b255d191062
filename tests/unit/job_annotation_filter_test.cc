// --where: which snapshots, by their annotations.
#include "job/annotation_filter.h"

#include <gtest/gtest.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

bool Accepts(const std::string& condition, const std::map<std::string, std::string>& annotations) {
  return AnnotationFilter::Parse(condition).value().Accepts(annotations);
}

TEST(AnnotationFilter, ComparesNumbersAsNumbers) {
  EXPECT_TRUE(Accepts("epoch=12", {{"epoch", "12"}}));
  EXPECT_TRUE(Accepts("epoch=12", {{"epoch", "12.0"}}));
  EXPECT_TRUE(Accepts("epoch<12", {{"epoch", "9"}}));
  EXPECT_FALSE(Accepts("epoch<9", {{"epoch", "12"}}));
  EXPECT_TRUE(Accepts("loss<=0.31", {{"loss", "3.1e-1"}}));
  EXPECT_TRUE(Accepts("loss>=0.31", {{"loss", "0.31"}}));
  EXPECT_FALSE(Accepts("loss>0.31", {{"loss", "0.31"}}));
  EXPECT_TRUE(Accepts("epoch!=12", {{"epoch", "13"}}));
}

TEST(AnnotationFilter, ComparesTextForEqualityAlone) {
  EXPECT_TRUE(Accepts("stage=warm up", {{"stage", "warm up"}}));
  EXPECT_TRUE(Accepts("stage!=warm up", {{"stage", "cool down"}}));
  EXPECT_FALSE(Accepts("stage<zzz", {{"stage", "warm up"}}));
  EXPECT_TRUE(Accepts("stage=", {{"stage", ""}}));
  EXPECT_TRUE(Accepts("path=a=b", {{"path", "a=b"}}));
}

TEST(AnnotationFilter, WhatIsNotThereIsOnlyUnequal) {
  EXPECT_FALSE(Accepts("epoch=12", {}));
  EXPECT_FALSE(Accepts("epoch<12", {}));
  EXPECT_TRUE(Accepts("epoch!=12", {}));
}

TEST(AnnotationFilter, RefusesWhatIsNoCondition) {
  for (const char* text : {"", "epoch", "=12", "epoch==12", "epoch=!12x", "epoch<>12", "!epoch"}) {
    const Result<AnnotationFilter> filter = AnnotationFilter::Parse(text);
    ASSERT_FALSE(filter) << text;
    EXPECT_EQ(filter.error().kind, ErrorKind::kUsage);
  }
}

TEST(FindNewest, TellsWhatThereIs) {
  const TemporaryDirectory directory;
  Store store = Store::Open(directory.path() / "store").value();
  for (const char* epoch : {"1", "2", "2"}) {
    const std::unique_ptr<PendingSnapshot> pending = store.Begin("job").value();
    ASSERT_OK(pending->Commit(AppendSample(*pending, 4).value(), {{"epoch", epoch}}));
  }
  EXPECT_EQ(FindNewest(store, "job", {"epoch=2"}).value().version, 3U);
  EXPECT_EQ(FindNewest(store, "job", {"epoch<2", "epoch>0"}).value().version, 1U);
  const Result<SnapshotId> none = FindNewest(store, "job", {"epoch=7"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kNotFound);
  EXPECT_NE(none.error().hint.find("epoch"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
