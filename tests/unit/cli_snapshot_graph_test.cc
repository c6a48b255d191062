// Which snapshot comes from which, as it is drawn.
#include "cli/snapshot_graph.h"

#include <gtest/gtest.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

SnapshotSummary Snapshot(const std::string& id, const std::string& parent, bool present = false) {
  SnapshotSummary summary;
  summary.id = ParseSnapshotId(id).value();
  if (!parent.empty()) summary.parent = ParseSnapshotId(parent).value();
  summary.present = present;
  return summary;
}

std::vector<std::string> Draw(const std::vector<SnapshotSummary>& snapshots) {
  std::vector<std::string> lines;
  for (const GraphLine& line : DrawGraph(snapshots, "a"))
    lines.push_back(line.rails + line.snapshot.id.ToString());
  return lines;
}

using Lines = std::vector<std::string>;

TEST(DrawGraph, ALineIsNotIndented) {
  EXPECT_EQ(Draw({Snapshot("a@1", ""), Snapshot("a@2", "a@1"), Snapshot("a@3", "a@2", true)}),
            (Lines{"* a@1", "* a@2", "* a@3"}));
}

TEST(DrawGraph, ThePresentKeepsTheEdge) {
  EXPECT_EQ(Draw({Snapshot("a@1", ""), Snapshot("a@2", "a@1", true), Snapshot("a@3", "a@1"),
                  Snapshot("a@4", "a@3")}),
            (Lines{"* a@1", "|-* a@3", "| * a@4", "* a@2"}));
}

TEST(DrawGraph, ClonesAreBranches) {
  EXPECT_EQ(Draw({Snapshot("a@1", ""), Snapshot("a@2", "a@1", true), Snapshot("b@1", "a@1"),
                  Snapshot("b@2", "b@1"), Snapshot("c@1", "b@1")}),
            (Lines{"* a@1", "|-* b@1", "| |-* c@1", "| * b@2", "* a@2"}));
}

TEST(DrawGraph, AClonesOwnLineIsStraight) {
  const std::vector<SnapshotSummary> snapshots = {Snapshot("b@1", "", true), Snapshot("a@1", "b@1"),
                                                  Snapshot("a@2", "a@1", true), Snapshot("b@2", "b@1")};
  EXPECT_EQ(Draw(snapshots), (Lines{"* b@1", "|-* b@2", "* a@1", "* a@2"}));
}

TEST(DrawGraph, WhoseParentIsGoneBeginsALine) {
  EXPECT_EQ(Draw({Snapshot("a@3", "a@2"), Snapshot("a@5", "a@2", true)}), (Lines{"* a@3", "* a@5"}));
  EXPECT_EQ(Draw({}), Lines());
}

TEST(RelatedSnapshots, AreThoseOfAllBranches) {
  const TemporaryDirectory directory;
  Store store = Store::Open(directory.path() / "store").value();
  const auto commit = [&store](const std::string& lineage, std::optional<SnapshotId> parent) {
    const std::unique_ptr<PendingSnapshot> pending = store.Begin(lineage).value();
    Manifest manifest = AppendSample(*pending, 4).value();
    manifest.parent = std::move(parent);
    ASSERT_OK(pending->Commit(manifest, {}));
  };
  commit("a", std::nullopt);
  commit("b", SnapshotId{"a", 1});
  commit("c", SnapshotId{"b", 1});
  commit("stranger", std::nullopt);
  for (const char* lineage : {"a", "b", "c"}) {
    EXPECT_EQ(RelatedSnapshots(store, lineage).value().size(), 3U) << lineage;
  }
  EXPECT_EQ(RelatedSnapshots(store, "stranger").value().size(), 1U);
  EXPECT_FALSE(RelatedSnapshots(store, "nobody"));
}

}  // namespace
}  // namespace holdfast
