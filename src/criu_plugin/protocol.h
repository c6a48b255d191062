// SPDX-License-Identifier: MIT
// What the plugin inside CRIU and the engine say to each other: one request, one reply, over a SOCK_SEQPACKET
// Unix socket whose path is in the environment variable HOLDFAST_SOCKET. Pids are as CRIU sees them; a pidfd
// sent along (SCM_RIGHTS) names the same process in whatever pid namespace the engine lives in.
#pragma once

#include <cstdint>

namespace holdfast {

inline constexpr const char* kPluginSocketVariable = "HOLDFAST_SOCKET";
// A directory for CRIU's kernel feature cache, when /run will not do.
inline constexpr const char* kKerndatVariable = "HOLDFAST_KERNDAT";
// At a restart of a job with files of its own under names that others use: the directory that they are in.
inline constexpr const char* kPrivateFilesVariable = "HOLDFAST_PRIVATE_FILES";
// Set where CRIU has the kernel freeze a cgroup first: all threads stop at once then, and must not be told to
// before.
inline constexpr const char* kCgroupFreezerVariable = "HOLDFAST_CGROUP_FREEZER";
// Set where CRIU makes network namespaces that nobody else brings loopback up in.
inline constexpr const char* kLoopbackVariable = "HOLDFAST_LOOPBACK";
// Set: a tree that was dumped is left standing still, each process by a SIGSTOP.
inline constexpr const char* kLeaveStoppedVariable = "HOLDFAST_LEAVE_STOPPED";

enum class PluginRequestKind : uint32_t {
  // The task stands still, as does all of the tree; pidfd. `result`: the address of its rseq area, or 0.
  // Reply: kMakeTwin, kCopied or kAbort.
  kTask = 1,
  // error 0: pidfd of the twin; else the errno that the clone failed with. Reply: kProceed or kAbort.
  kTwinMade,
  // CRIU wants /proc/PID/smaps. Reply: kProceed with a descriptor, or kUseKernel.
  kSmaps,
  // The task is restored and stopped; pidfd. Reply: kProceed when its memory is filled, or kAbort.
  kRestored,
  // The call that a reply asked for has been made: `result` is what the kernel returned, -errno for an error.
  // The reply is the next one to kRestored.
  kCalled,
};

enum class PluginReplyKind : uint32_t {
  kProceed = 1,
  // Clone the task; then kTwinMade. arguments[0]: how many ranges to leave out; the descriptor that comes
  // along has them.
  kMakeTwin,
  kCopied,     // the engine has copied this task's memory itself
  kUseKernel,  // let the kernel answer
  kAbort,      // fail: at a dump the tree goes on running, at a restart it is killed before it ran
  kCall,       // to kRestored: have the task make this system call; then kCalled
};

// How a twin hangs in the process tree. An orphan is a child of whatever collects the job's orphans, never of
// the job. Where the job itself would collect it (it has the init of a pid namespace), the twin is a child of
// its task with no exit signal, and the engine has the task collect it after the drain.
enum class TwinPlacement : uint32_t { kOrphan = 0, kChildOfTask = 1 };

// A part of the task's memory that the twin is not to have.
struct TwinRange {
  uint64_t start;
  uint64_t end;

  bool operator==(const TwinRange&) const = default;
};
static_assert(sizeof(TwinRange) == 16);
inline constexpr uint64_t kTwinRangesMax = 512;

struct PluginRequest {
  PluginRequestKind kind;
  int32_t pid;
  int32_t error;
  TwinPlacement placement;
  int64_t result;
};
static_assert(sizeof(PluginRequest) == 24);

struct PluginReply {
  PluginReplyKind kind;
  uint32_t number;  // of the system call, and what it is given
  uint64_t arguments[3];
};
static_assert(sizeof(PluginReply) == 32);

}  // namespace holdfast
