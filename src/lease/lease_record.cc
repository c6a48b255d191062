#include <nlohmann/json.hpp>

#include "lease/lease.h"

namespace holdfast {
namespace {

constexpr int kFormat = 1;

}  // namespace

std::string LeaseRecord::ToJson() const {
  return nlohmann::json{
      {"format", kFormat},
      {"state", state == State::kHeld ? "held" : "free"},
      {"holder", holder},
      {"node", node},
      {"token", token},
      {"beat", beat},
      {"time_to_live_ms", time_to_live.count()},
      {"snapshot", snapshot},
      {"changed_ms", changed_ms},
  }
      .dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<LeaseRecord> LeaseRecord::FromJson(std::string_view text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    if (json.at("format") != kFormat)
      return Fail(ErrorKind::kCorrupt, "a lease of another version of Holdfast");
    const std::string state = json.at("state");
    if (state != "held" && state != "free")
      return Fail(ErrorKind::kCorrupt, "a lease that is neither held nor free");
    LeaseRecord record;
    record.state = state == "held" ? State::kHeld : State::kFree;
    json.at("holder").get_to(record.holder);
    json.at("node").get_to(record.node);
    json.at("token").get_to(record.token);
    json.at("beat").get_to(record.beat);
    record.time_to_live = std::chrono::milliseconds(json.at("time_to_live_ms").get<int64_t>());
    json.at("snapshot").get_to(record.snapshot);
    json.at("changed_ms").get_to(record.changed_ms);
    if (record.time_to_live.count() < 0)
      return Fail(ErrorKind::kCorrupt, "a lease with a negative time to live");
    return record;
  } catch (const nlohmann::json::exception& error) {
    return Fail(ErrorKind::kCorrupt, std::string("not a lease: ") + error.what());
  }
}

}  // namespace holdfast
