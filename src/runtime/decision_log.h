// What was decided about containers that asked for checkpoints, and why: DIRECTORY/decisions.log, a JSON
// object per line.
//
//   {"time":"2026-11-26T10:00:00.123Z","verb":"kill","id":"4f1c","verdict":"takes","did":"passed
//   through","namespace":"ml",
//    "pod":"train-0","container":"main","pod_uid":"...","runtime":"/usr/sbin/runc"}
//
// At most two files of kDecisionLogBytesMax. Nobody is waited for: what cannot be written at once is not
// written.
#pragma once

#include <string>
#include <string_view>

#include "runtime/decisions.h"

namespace holdfast {

// A line with its end. `time_ms` since 1970.
std::string FormatDecision(std::string_view verb, std::string_view id, const Decision& decision,
                           std::string_view runtime, int64_t time_ms);
// The same when it could not be decided: what the container's files have in them that is no JSON, or more
// than allowed.
std::string FormatUnread(std::string_view verb, std::string_view id, const Error& why,
                         std::string_view runtime, int64_t time_ms);

// Appends a line; the directory is made, its parent too. False when it could not.
bool AppendToLog(const std::string& directory, std::string_view line);

}  // namespace holdfast
