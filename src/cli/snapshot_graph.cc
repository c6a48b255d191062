#include "cli/snapshot_graph.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace holdfast {

namespace {

class Graph {
 public:
  Graph(const std::vector<SnapshotSummary>& snapshots, const std::string& lineage) {
    for (const SnapshotSummary& snapshot : snapshots) {
      snapshots_[snapshot.id] = &snapshot;
      if (snapshot.present && snapshot.id.lineage == lineage) present_ = snapshot.id;
    }
    for (const SnapshotSummary& snapshot : snapshots) {
      const bool has_parent = snapshot.parent && snapshots_.contains(*snapshot.parent);
      (has_parent ? children_[*snapshot.parent] : roots_).push_back(snapshot.id);
    }
    // A parent is older than its child, so this ends.
    for (SnapshotId id = present_; snapshots_.contains(id);) {
      trunk_.insert(id);
      const std::optional<SnapshotId>& parent = snapshots_.at(id)->parent;
      if (!parent || trunk_.contains(*parent)) break;
      id = *parent;
    }
  }

  std::vector<GraphLine> Draw() {
    for (const SnapshotId& root : roots_) DrawLine(root, "", "");
    return std::move(lines_);
  }

 private:
  // The child that goes on straight: towards the present, or else the newest of the same job. Clones branch
  // off.
  std::optional<SnapshotId> Straight(const SnapshotId& id, const std::vector<SnapshotId>& children) const {
    std::optional<SnapshotId> straight;
    for (const SnapshotId& child : children) {
      if (trunk_.contains(child)) return child;
      const bool newer = !straight || child.version > straight->version;
      if (child.lineage == id.lineage && newer) straight = child;
    }
    return straight;
  }

  void DrawLine(SnapshotId id, const std::string& first_rails, const std::string& rails) {
    for (bool first = true;; first = false) {
      lines_.push_back({(first ? first_rails : rails) + "* ", *snapshots_.at(id)});
      const auto found = children_.find(id);
      if (found == children_.end()) return;
      const std::optional<SnapshotId> straight = Straight(id, found->second);
      for (const SnapshotId& child : found->second) {
        if (child != straight) DrawLine(child, rails + "|-", rails + "| ");
      }
      if (!straight) return;
      id = *straight;
    }
  }

  std::map<SnapshotId, const SnapshotSummary*> snapshots_;
  std::map<SnapshotId, std::vector<SnapshotId>> children_;
  std::vector<SnapshotId> roots_;
  std::set<SnapshotId> trunk_;
  SnapshotId present_;
  std::vector<GraphLine> lines_;
};

// The lineages that `snapshots` name as their parents' but their own.
std::set<std::string> Neighbours(const std::vector<SnapshotSummary>& snapshots) {
  std::set<std::string> neighbours;
  for (const SnapshotSummary& snapshot : snapshots) {
    if (snapshot.parent) neighbours.insert(snapshot.parent->lineage);
  }
  return neighbours;
}

}  // namespace

Result<std::vector<SnapshotSummary>> RelatedSnapshots(const Store& store, const std::string& lineage) {
  std::map<std::string, std::vector<SnapshotSummary>> all;
  std::map<std::string, std::set<std::string>> neighbours;
  all[lineage] = TRY(store.Snapshots(lineage));
  for (const std::string& name : TRY(store.Lineages())) {
    if (name == lineage) continue;
    Result<std::vector<SnapshotSummary>> snapshots = store.Snapshots(name);
    if (snapshots) all[name] = *std::move(snapshots);  // else it was removed meanwhile
  }
  for (const auto& [name, snapshots] : all) {
    for (const std::string& other : Neighbours(snapshots)) {
      neighbours[name].insert(other);
      neighbours[other].insert(name);
    }
  }
  std::vector<std::string> related = {lineage};
  for (size_t i = 0; i < related.size(); ++i) {
    for (const std::string& other : neighbours[related[i]]) {
      if (std::find(related.begin(), related.end(), other) == related.end()) related.push_back(other);
    }
  }
  std::vector<SnapshotSummary> found;
  for (const std::string& name : related) found.insert(found.end(), all[name].begin(), all[name].end());
  return found;
}

std::vector<GraphLine> DrawGraph(const std::vector<SnapshotSummary>& snapshots, const std::string& lineage) {
  return Graph(snapshots, lineage).Draw();
}

}  // namespace holdfast
