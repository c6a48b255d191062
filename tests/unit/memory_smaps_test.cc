// smaps made from maps and from flags that were read before.
#include <gtest/gtest.h>

#include <string>

#include "memory/smaps_cache.h"

namespace holdfast {
namespace {

Mapping Line(const std::string& line) {
  return ParseMaps(line).value().at(0);
}
MappingDetail Known(const std::string& line, std::vector<std::string> flags) {
  MappingDetail detail;
  detail.mapping = Line(line);
  detail.flags = std::move(flags);
  return detail;
}

const std::string kHeap = "1000-3000 rw-p 00000000 00:00 0          [heap]";
const std::string kLibrary = "5000-6000 r-xp 00001000 08:01 7          /usr/lib/a b.so (deleted)";
const std::string kStack = "8000-9000 rw-p 00000000 00:00 0          [stack]";

TEST(ComposeSmaps, KeepsTheFlagsOfUnchangedMappings) {
  const ComposedSmaps composed = ComposeSmaps(
      {Known(kHeap, {"rd", "wr", "hg"}), Known(kLibrary, {"rd", "ex"})}, {Line(kHeap), Line(kLibrary)});
  EXPECT_EQ(composed.guessed, 0U);
  EXPECT_EQ(composed.text, kHeap + "\nVmFlags: rd wr hg \n" + kLibrary + "\nVmFlags: rd ex \n");
}

TEST(ComposeSmaps, IsSmaps) {
  const ComposedSmaps composed =
      ComposeSmaps({Known(kHeap, {"rd"})}, {Line(kHeap), Line(kLibrary), Line(kStack)});
  const Result<std::vector<MappingDetail>> read = ParseSmaps(composed.text);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), composed.details.size());
  for (size_t i = 0; i < read->size(); ++i) {
    EXPECT_EQ(read->at(i).mapping.line, composed.details[i].mapping.line);
    EXPECT_EQ(read->at(i).flags, composed.details[i].flags);
  }
}

TEST(ComposeSmaps, GuessesWhatIsNewOrChanged) {
  const std::string grown = "1000-4000 rw-p 00000000 00:00 0          [heap]";
  const ComposedSmaps composed =
      ComposeSmaps({Known(kHeap, {"rd", "wr", "lo", "hg"})}, {Line(grown), Line(kLibrary)});
  EXPECT_EQ(composed.guessed, 2U);
  EXPECT_FALSE(composed.details[0].Has("lo"));
  EXPECT_TRUE(composed.details[0].Has("rd") && composed.details[0].Has("wr") &&
              !composed.details[0].Has("ex"));
  EXPECT_TRUE(composed.details[1].Has("ex") && !composed.details[1].Has("wr"));
}

TEST(ComposeSmaps, ANewStackGrowsDown) {
  EXPECT_TRUE(ComposeSmaps({}, {Line(kStack)}).details[0].Has("gd"));
  EXPECT_FALSE(ComposeSmaps({}, {Line(kHeap)}).details[0].Has("gd"));
}

TEST(ComposeSmaps, MappingsThatAreGoneAreLeftOut) {
  const ComposedSmaps composed = ComposeSmaps(
      {Known(kHeap, {"rd"}), Known(kLibrary, {"rd"}), Known(kStack, {"rd", "gd"})}, {Line(kStack)});
  EXPECT_EQ(composed.guessed, 0U);
  ASSERT_EQ(composed.details.size(), 1U);
  EXPECT_EQ(composed.text, kStack + "\nVmFlags: rd gd \n");
  EXPECT_EQ(ComposeSmaps({Known(kHeap, {"rd"})}, {}).text, "");
}

TEST(ComposeSmaps, AnotherMappingInTheSamePlaceIsNotTheOneKnown) {
  const std::string other = "1000-3000 rw-p 00000000 08:01 9          /tmp/x";
  EXPECT_EQ(ComposeSmaps({Known(kHeap, {"rd", "hg"})}, {Line(other)}).guessed, 1U);
}

TEST(LockedBytes, AddsUpTheLockedMappings) {
  EXPECT_EQ(LockedBytes({Known(kHeap, {"rd", "lo"}), Known(kLibrary, {"rd"}), Known(kStack, {"lo"})}),
            0x3000U);
  EXPECT_EQ(LockedBytes({}), 0U);
}

TEST(CorrectByTwin, AgreementChangesNothing) {
  bool differs = false;
  const std::vector<MappingDetail> told = {Known(kHeap, {"rd", "wr", "hg"})};
  const std::vector<MappingDetail> corrected =
      CorrectByTwin(told, {Known(kHeap, {"rd", "wr", "hg", "sd"})}, &differs);
  EXPECT_FALSE(differs);
  EXPECT_EQ(corrected.at(0).flags, told[0].flags);
}

TEST(CorrectByTwin, TakesAdviceFromTheTwin) {
  bool differs = false;
  const std::vector<MappingDetail> corrected =
      CorrectByTwin({Known(kHeap, {"rd", "wr", "hg"})}, {Known(kHeap, {"rd", "wr", "nh"})}, &differs);
  EXPECT_TRUE(differs);
  EXPECT_TRUE(corrected.at(0).Has("nh"));
  EXPECT_FALSE(corrected.at(0).Has("hg"));
  EXPECT_TRUE(corrected.at(0).Has("wr"));
}

TEST(CorrectByTwin, WhatATwinLacksIsNotInherited) {
  bool differs = false;
  const std::vector<MappingDetail> corrected = CorrectByTwin(
      {Known(kHeap, {"rd"}), Known(kLibrary, {"rd", "dc"})}, {Known(kLibrary, {"rd"})}, &differs);
  EXPECT_TRUE(differs);
  EXPECT_TRUE(corrected.at(0).Has("dc"));
  EXPECT_FALSE(corrected.at(1).Has("dc")) << "the twin has it, so it was inherited";
}

TEST(CorrectByTwin, LocksAreAsTold) {
  bool differs = false;
  const std::vector<MappingDetail> corrected =
      CorrectByTwin({Known(kHeap, {"rd", "lo"})}, {Known(kHeap, {"rd"})}, &differs);
  EXPECT_FALSE(differs);
  EXPECT_TRUE(corrected.at(0).Has("lo"));
}

TEST(CorrectByTwin, MappingsThatTheTwinHasMergedOrSplitAreFound) {
  const std::string first = "1000-2000 rw-p 00000000 00:00 0";
  const std::string second = "2000-3000 rw-p 00000000 00:00 0";
  const std::string both = "1000-3000 rw-p 00000000 00:00 0";
  bool differs = false;
  for (const MappingDetail& detail :
       CorrectByTwin({Known(first, {"rd"}), Known(second, {"rd"})}, {Known(both, {"rd", "hg"})}, &differs)) {
    EXPECT_TRUE(detail.Has("hg"));
    EXPECT_FALSE(detail.Has("dc"));
  }
  differs = false;
  EXPECT_TRUE(CorrectByTwin({Known(both, {"rd"})}, {Known(first, {"rd", "hg"}), Known(second, {"rd", "hg"})},
                            &differs)
                  .at(0)
                  .Has("hg"));
}

TEST(CorrectByLater, TakesOverWhatChangedAndDoubtsWhatDecidesContent) {
  const std::vector<MappingDetail> told = {Known(kHeap, {"rd", "wr"}), Known(kStack, {"rd", "gd"})};
  bool differs = false;
  bool doubtful = false;
  CorrectByLater(told, {Known(kHeap, {"rd", "wr"}), Known(kStack, {"rd", "gd"})}, &differs, &doubtful);
  EXPECT_FALSE(differs || doubtful);
  const std::vector<MappingDetail> corrected = CorrectByLater(
      told, {Known(kHeap, {"rd", "wr", "hg"}), Known(kStack, {"rd", "gd"})}, &differs, &doubtful);
  EXPECT_TRUE(corrected[0].Has("hg"));
  EXPECT_TRUE(differs);
  EXPECT_FALSE(doubtful);
  CorrectByLater(told, {Known(kHeap, {"rd", "wr", "wf"})}, &differs, &doubtful);
  EXPECT_TRUE(doubtful);
}

TEST(CorrectByLater, KeepsWhatIsNotThereAnyMore) {
  const std::string grown = "1000-4000 rw-p 00000000 00:00 0          [heap]";
  bool differs = false;
  bool doubtful = false;
  const std::vector<MappingDetail> corrected = CorrectByLater(
      {Known(kHeap, {"rd", "nh"})}, {Known(grown, {"rd", "wf"}), Known(kStack, {"rd"})}, &differs, &doubtful);
  EXPECT_TRUE(corrected[0].Has("nh"));
  EXPECT_FALSE(differs || doubtful);
}

}  // namespace
}  // namespace holdfast
