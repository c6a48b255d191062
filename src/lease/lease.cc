#include "lease/lease.h"

#include <fmt/format.h>

#include "base/clock.h"

namespace holdfast {
namespace {

struct Found {
  uint64_t version;
  LeaseRecord record;
};

Result<Found> Find(const VersionedRecord& record) {
  const VersionedRecord::Version version = TRY(record.Read());
  if (version.number == 0) return Found{0, {}};
  Result<LeaseRecord> found = LeaseRecord::FromJson(version.content);
  if (found) return Found{version.number, std::move(*found)};
  return std::move(found)
      .error()
      .Within(record.directory().string())
      .WithHint("remove that directory when nothing of this identity runs anywhere");
}

}  // namespace

bool LeaseWatch::IsExpired(const LeaseRecord& record, Clock::time_point now) {
  if (record.state != LeaseRecord::State::kHeld) return false;
  if (!seen_ || seen_->token != record.token || seen_->beat != record.beat) {
    seen_ = Seen{record.token, record.beat, now};
  }
  return now - seen_->since >= record.time_to_live + record.time_to_live / 4;
}

Result<Lease> Lease::Take(const VersionedRecord& record, const Wanted& wanted, LeaseWatch& watch,
                          const std::function<bool(const LeaseRecord&)>& is_gone) {
  const Found found = TRY(Find(record));
  const bool held = found.record.state == LeaseRecord::State::kHeld;
  const bool own = found.record.holder == wanted.holder;
  if (held && !own && !watch.IsExpired(found.record, LeaseWatch::Clock::now()) &&
      !(is_gone && is_gone(found.record))) {
    return Fail(ErrorKind::kBusy,
                fmt::format("held by {} on node {}", found.record.holder, found.record.node));
  }
  LeaseRecord next = found.record;
  next.state = LeaseRecord::State::kHeld;
  next.holder = wanted.holder;
  next.node = wanted.node;
  next.time_to_live = wanted.time_to_live;
  ++next.token;
  next.beat = 0;
  next.changed_ms = WallClockMs();
  const uint64_t version = TRY(record.Write(found.version, next.ToJson()));
  return Lease(record, version, std::move(next));
}

Result<void> Lease::Renew() {
  return Write([](LeaseRecord& record) { ++record.beat; });
}

Result<void> Lease::Publish(std::string snapshot) {
  return Write([&](LeaseRecord& record) {
    ++record.beat;
    record.snapshot = snapshot;
  });
}

Result<void> Lease::GiveBack() {
  Result<void> written = Write([](LeaseRecord& record) { record.state = LeaseRecord::State::kFree; });
  // Taken by another: after this, or because it was lost before. It is not held either way.
  if (!written && written.error().kind == ErrorKind::kBusy) return {};
  return written;
}

Result<void> Lease::Write(const std::function<void(LeaseRecord&)>& change) {
  constexpr int kTriesMax = 20;  // two who use one lease get in each other's way now and then
  for (int tries = 1;; ++tries) {
    LeaseRecord next = current_;
    change(next);
    next.changed_ms = WallClockMs();
    const Result<uint64_t> version = record_.Write(version_, next.ToJson());
    if (version) {
      version_ = *version;
      current_ = std::move(next);
      return {};
    }
    if (version.error().kind == ErrorKind::kInternal || tries == kTriesMax) return version.error();
    // Not written, or written without our knowing it: it is ours as long as the token is.
    const Found found = TRY(Find(record_));
    const bool written = found.record == next;
    if (!written &&
        (found.record.token != current_.token || found.record.state != LeaseRecord::State::kHeld)) {
      return Fail(ErrorKind::kBusy, fmt::format("{} was taken by {} on node {}", record_.directory().string(),
                                                found.record.holder, found.record.node));
    }
    version_ = found.version;
    current_ = found.record;
    if (written) return {};
  }
}

}  // namespace holdfast
