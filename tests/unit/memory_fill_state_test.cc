// What is missing where after what a job did, told by entries of a journal.
#include "memory/fill_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kParent = 5;
constexpr int kChild = 6;

class FillStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    MissingRanges missing;
    missing.Add({100, 200, 100});
    state_.Add(kParent, stored_, std::move(missing));
    Result<FillJournal> made = FillJournal::Make();
    ASSERT_OK(made);
    journal_.emplace(*std::move(made));
  }
  void Forked() {
    uffd_msg& message = journal_->Next(kParent);
    message.event = UFFD_EVENT_FORK;
    message.arg.fork.ufd = kChild;
    Apply();
  }
  void Moved(uint64_t from, uint64_t to, uint64_t bytes) {
    uffd_msg& message = journal_->Next(kParent);
    message.event = UFFD_EVENT_REMAP;
    message.arg.remap.from = from;
    message.arg.remap.to = to;
    message.arg.remap.len = bytes;
    Apply();
  }
  void Ranged(uint8_t event, uint64_t start, uint64_t end) {
    uffd_msg& message = journal_->Next(kParent);
    message.event = event;
    message.arg.remove.start = start;
    message.arg.remove.end = end;
    Apply();
  }
  void Apply() { state_.Apply(journal_->Keep()); }
  std::vector<MissingRange> Missing(int userfaultfd) const {
    return state_.Find(userfaultfd)->missing.Within(0, 10'000);
  }

  AddressSpace stored_;
  FillState state_;
  std::optional<FillJournal> journal_;
};

TEST_F(FillStateTest, DiscardedAndUnmappedIsNotMissing) {
  Ranged(UFFD_EVENT_REMOVE, 120, 130);
  Ranged(UFFD_EVENT_UNMAP, 190, 300);
  EXPECT_THAT(Missing(kParent), ElementsAre(MissingRange{100, 120, 100}, MissingRange{130, 190, 130}));
}

TEST_F(FillStateTest, MovedIsMissingWhereItIsNow) {
  Moved(150, 1000, 20);
  EXPECT_THAT(Missing(kParent), ElementsAre(MissingRange{100, 150, 100}, MissingRange{170, 200, 170},
                                            MissingRange{1000, 1020, 150}));
}

TEST_F(FillStateTest, AChildMissesWhatItsParentMisses) {
  Ranged(UFFD_EVENT_REMOVE, 100, 150);
  Forked();
  Ranged(UFFD_EVENT_REMOVE, 150, 200);
  EXPECT_THAT(Missing(kChild), ElementsAre(MissingRange{150, 200, 150}));
  EXPECT_THAT(Missing(kParent), IsEmpty());
}

// Nobody can tell whether the mappings were copied before or after.
TEST_F(FillStateTest, AForkBesideAMoveMayHaveBothPlaces) {
  Moved(150, 1000, 20);
  Ranged(UFFD_EVENT_UNMAP, 100, 110);
  Forked();
  EXPECT_THAT(Missing(kChild), ElementsAre(MissingRange{100, 110, 100}, MissingRange{110, 170, 110},
                                           MissingRange{170, 200, 170}, MissingRange{1000, 1020, 150}));
}

TEST_F(FillStateTest, AForkAfterAMoveHasTheNewPlaceOnly) {
  Moved(100, 1000, 100);
  state_.Apply(journal_->Mark(kParent, kFillSettled));
  Forked();
  EXPECT_THAT(Missing(kChild), ElementsAre(MissingRange{1000, 1100, 100}));
}

// What is told of a place after a move from it is that the place is left.
TEST_F(FillStateTest, APlaceThatWasLeftMayBeTakenBeforeThatIsTold) {
  Moved(100, 1000, 50);                // by one thread, whose unmapping comes last
  Moved(150, 100, 50);                 // by another
  Ranged(UFFD_EVENT_UNMAP, 100, 150);  // of the first
  Ranged(UFFD_EVENT_UNMAP, 150, 200);  // of the second
  EXPECT_THAT(Missing(kParent), ElementsAre(MissingRange{100, 150, 150}, MissingRange{1000, 1050, 100}));
  Ranged(UFFD_EVENT_UNMAP, 100, 150);  // and now it is
  EXPECT_THAT(Missing(kParent), ElementsAre(MissingRange{1000, 1050, 100}));
}

TEST_F(FillStateTest, AMoveMayBeToldAfterOneToThePlaceThatItLeft) {
  Moved(150, 100, 50);
  Moved(100, 1000, 50);
  EXPECT_THAT(Missing(kParent), ElementsAre(MissingRange{100, 150, 150}, MissingRange{1000, 1050, 100}));
}

TEST_F(FillStateTest, AnUnmappingMayBeToldAfterAMoveToItsPlace) {
  Moved(150, 100, 50);
  Ranged(UFFD_EVENT_UNMAP, 100, 150);
  EXPECT_THAT(Missing(kParent), ElementsAre(MissingRange{100, 150, 150}));
}

TEST_F(FillStateTest, EndedIsForgotten) {
  state_.Apply(journal_->Mark(kParent, kFillEnded));
  EXPECT_EQ(state_.Find(kParent), nullptr);
}

TEST(FillJournal, SharesWhatTheKernelWroteLast) {
  Result<FillJournal> journal = FillJournal::Make();
  ASSERT_OK(journal);
  journal->Mark(kParent, kFillDropped, 1, 2);
  journal->Next(kChild).event = UFFD_EVENT_UNMAP;  // killed before Keep
  journal->Reload();
  ASSERT_EQ(journal->size(), 2u);
  EXPECT_EQ((*journal)[1].userfaultfd, kChild);
  EXPECT_EQ((*journal)[1].message.event, UFFD_EVENT_UNMAP);
}

TEST(FillJournal, ForgetsAFaultThatWasReadLast) {
  Result<FillJournal> journal = FillJournal::Make();
  ASSERT_OK(journal);
  journal->Mark(kParent, kFillSettled);
  journal->Next(kParent).event = UFFD_EVENT_PAGEFAULT;
  journal->Reload();
  EXPECT_EQ(journal->size(), 1u);
}

TEST(FillJournal, SaysWhenItWasFull) {
  Result<FillJournal> journal = FillJournal::Make();
  ASSERT_OK(journal);
  for (int i = 0; i < (1 << 20); ++i) journal->Mark(kParent, kFillSettled);
  EXPECT_FALSE(journal->overflowed());
  journal->Mark(kParent, kFillSettled);
  EXPECT_TRUE(journal->overflowed());
}

}  // namespace
}  // namespace holdfast
