// Who may run an identity now: one holder at a time, whatever happens to machines, networks and clocks.
//
// An identity is something that must not run twice, such as "replica 0 of this deployment". Its lease is a
// record in the store, which is all that the machines need to have in common. A holder renews it; a successor
// that finds it held waits until it is given back, or has not been renewed for as long as it promises to be,
// by the successor's own clock: clocks of different machines are never compared. Who takes a lease gets a
// token that is higher than all before it; whoever had it before finds out at its next renewal, and cannot
// publish a snapshot any more. A lease does not stop a program: its holder does, when it finds that it has
// lost it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "lease/versioned_record.h"

namespace holdfast {

struct LeaseRecord {
  enum class State { kHeld, kFree };

  State state = State::kFree;
  std::string holder;  // a name that no other container has at any time, such as pod uid/container
  std::string node;    // where it runs
  uint64_t token = 0;  // of the holder; each new holder's is higher
  uint64_t beat = 0;   // counts renewals
  std::chrono::milliseconds time_to_live{};  // it is renewed more often than this
  std::string snapshot;                      // the newest that was published for the identity; may be empty
  int64_t changed_ms = 0;                    // wall clock of who wrote it, for people only

  bool operator==(const LeaseRecord&) const = default;
  std::string ToJson() const;
  // kCorrupt: not a record that ToJson() makes.
  static Result<LeaseRecord> FromJson(std::string_view text);
};

// Tells whether a holder has stopped renewing, from what one watcher sees.
class LeaseWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // To be told again and again what is there. True: it has been held without a renewal for its time to live
  // and a quarter, counted from when this watch first saw it so.
  bool IsExpired(const LeaseRecord& record, Clock::time_point now);

 private:
  struct Seen {
    uint64_t token;
    uint64_t beat;
    Clock::time_point since;
  };
  std::optional<Seen> seen_;
};

// Held from Take() on until it is given back or lost. A copy of it, in another process, may be used as well:
// what one has written is not undone by the other. Not thread-safe.
class Lease {
 public:
  struct Wanted {
    std::string holder;
    std::string node;
    std::chrono::milliseconds time_to_live{30'000};
  };

  // One try. Takes it when it is free, when `watch` says that its holder is gone, when `is_gone` does (which
  // knows the containers of this machine; may be empty), or when it is held in this very name: by an attempt
  // that was cut short. kBusy: held by another, whom the message names; try again, with the same watch.
  static Result<Lease> Take(const VersionedRecord& record, const Wanted& wanted, LeaseWatch& watch,
                            const std::function<bool(const LeaseRecord&)>& is_gone = {});

  // Both fail with kBusy when somebody else has taken the lease: it is lost then for good. Any other error
  // leaves it unknown; try again.
  Result<void> Renew();
  // `snapshot` is the newest of the identity from now on.
  Result<void> Publish(std::string snapshot);
  // Gives it back, at once, for a successor to take; nothing to do if it is lost.
  Result<void> GiveBack();

  const LeaseRecord& record() const { return current_; }
  uint64_t token() const { return current_.token; }

 private:
  Lease(VersionedRecord record, uint64_t version, LeaseRecord current)
      : record_(std::move(record)), version_(version), current_(std::move(current)) {}
  Result<void> Write(const std::function<void(LeaseRecord&)>& change);
  VersionedRecord record_;
  uint64_t version_;
  LeaseRecord current_;
};

}  // namespace holdfast
