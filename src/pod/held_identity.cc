#include "pod/held_identity.h"

#include <fmt/format.h>

#include <thread>

#include "pod/lease_keeper.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{50};

Result<VersionedRecord> RecordOf(const std::filesystem::path& store, const PodIdentity& identity) {
  const std::filesystem::path directory = identity.LeaseDirectory(store);
  std::error_code error;
  std::filesystem::create_directories(directory.parent_path(), error);
  if (error) return FailErrno(error.value(), "cannot make " + directory.parent_path().string());
  return VersionedRecord(directory);
}

Lease::Wanted WantedBy(const Holder& holder) {
  return {.holder = holder.ToText(), .node = NodeName(), .time_to_live = kTimeToLive};
}

bool IsHeldBy(const LeaseRecord& record, const Holder& holder) {
  const Result<Holder> other = Holder::Parse(record.holder);
  return record.state == LeaseRecord::State::kHeld && other && holder.IsSameContainer(*other);
}

// By another command, which must come to its end first: it may be about to publish.
bool IsBeingWorkedFor(const LeaseRecord& record) {
  const Result<Holder> holder = Holder::Parse(record.holder);
  return holder && IsAlive(holder->worker);
}

}  // namespace

Result<Lease> TakeIdentity(const std::filesystem::path& store, const PodIdentity& identity,
                           const Holder& holder, std::chrono::milliseconds patience) {
  const VersionedRecord record = TRY(RecordOf(store, identity));
  const auto until = std::chrono::steady_clock::now() + patience;
  LeaseWatch watch;
  for (;;) {
    Result<Lease> lease = Lease::Take(record, WantedBy(holder), watch, IsGone);
    const bool busy = !lease && lease.error().kind == ErrorKind::kBusy;
    if (!busy || std::chrono::steady_clock::now() >= until) return lease;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Result<Lease> AdoptIdentity(const std::filesystem::path& store, const PodIdentity& identity,
                            const Holder& holder, std::chrono::milliseconds patience) {
  const VersionedRecord record = TRY(RecordOf(store, identity));
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const VersionedRecord::Version version = TRY(record.Read());
    if (version.number == 0) {
      return Fail(ErrorKind::kBusy, "the container does not hold its identity: nobody does");
    }
    const LeaseRecord found = TRY(LeaseRecord::FromJson(version.content));
    const Result<Holder> last = Holder::Parse(found.holder);
    if (last && holder.IsSameContainer(*last) && found.state == LeaseRecord::State::kFree) {
      return Fail(ErrorKind::kBusy, "the container has given its identity back");
    }
    if (!IsHeldBy(found, holder)) {
      return Fail(ErrorKind::kBusy,
                  fmt::format("the container does not hold its identity: the last holder is {} on node {}",
                              found.holder, found.node));
    }
    LeaseWatch watch;
    Result<Lease> lease = Lease::Take(record, WantedBy(holder), watch, [&](const LeaseRecord& now) {
      return IsHeldBy(now, holder) && !IsBeingWorkedFor(now);
    });
    const bool busy = !lease && lease.error().kind == ErrorKind::kBusy;
    if (!busy || std::chrono::steady_clock::now() >= until) return lease;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace holdfast
