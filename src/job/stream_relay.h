// A container's stdout and stderr are pipes: a file of ours would be none of its mounts', and no further
// checkpoint of it could be taken. Processes of ours copy them into the job's log files.
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "job/job_output.h"
#include "job/job_streams.h"

namespace holdfast {

struct RelayedStreams {
  Fd in;   // a pipe that is at its end
  Fd out;  // the same pipe as `err` when the output is merged
  Fd err;
  std::vector<Fd> relays;  // pidfds
};

// The relays outlive us: they end when nobody has the other ends of their pipes any more. Requires: a single
// thread.
Result<RelayedStreams> RelayStreams(const LogStreams& logs, bool merged_output);

// `output`, which is finished only when the relays have copied all that the container wrote.
std::unique_ptr<JobOutput> AfterRelays(std::unique_ptr<JobOutput> output, std::vector<Fd> relays);

}  // namespace holdfast
