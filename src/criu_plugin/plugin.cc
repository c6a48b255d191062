// SPDX-License-Identifier: MIT
// The CRIU plugin: tells the engine where a dump or a restart stands, and does for it what only the tracer
// can do.
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <vector>

#include "criu_plugin/channel.h"
#include "criu_plugin/criu_abi.h"
#include "criu_plugin/protocol.h"
#include "criu_plugin/remote_call.h"
#include "criu_plugin/rseq_section.h"
#include "criu_plugin/stop_tree.h"
#include "criu_plugin/threads.h"
#include "criu_plugin/twin.h"

namespace holdfast {
namespace {

// Of the tasks seen so far; parents come before their children.
Subreapers reapers;
// Whether an orphan in the job would find a parent in the job: it has the init of a pid namespace, which
// cannot be told not to take orphans, or it could not be asked.
bool orphans_are_collected = false;
// All whose state is in the images.
std::vector<pid_t> dumped;

PluginRequest Request(PluginRequestKind kind, pid_t pid) {
  PluginRequest request{};
  request.kind = kind;
  request.pid = pid;
  return request;
}

// Asks with a pidfd of `pid` along.
PluginReply AskAbout(const PluginRequest& request, pid_t pid, int* received = nullptr) {
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const PluginReply reply = ChannelAsk(request, pidfd, received);
  if (pidfd >= 0) close(pidfd);
  return reply;
}

// As many as there are in the file, which is closed. None, where something is amiss: the twin is then whole.
uint64_t ReadRanges(int fd, uint64_t count, TwinRange* ranges) {
  if (fd < 0) return 0;
  const uint64_t bytes = count * sizeof(TwinRange);
  const bool ok = count <= kTwinRangesMax && pread(fd, ranges, bytes, 0) == static_cast<ssize_t>(bytes);
  close(fd);
  return ok ? count : 0;
}

int ResultOf(PluginReplyKind reply) {
  return reply == PluginReplyKind::kAbort ? -ECANCELED : -ENOTSUP;  // -ENOTSUP: CRIU goes on
}

// Called for each task before CRIU stops it, the root first.
int OnPause(int pid) {
  static bool stopped = false;
  if (!ChannelConnected() || stopped || getenv(kCgroupFreezerVariable) != nullptr) return -ENOTSUP;
  stopped = true;
  StopTree(pid);
  return -ENOTSUP;
}

int OnCheckpoint(int pid) {
  if (!ChannelConnected()) return -ENOTSUP;
  dumped.push_back(pid);
  AbortRseqSections(pid);
  PluginRequest stopped = Request(PluginRequestKind::kTask, pid);
  stopped.result = static_cast<int64_t>(FindRseqArea(pid));
  int ranges = -1;
  const PluginReply wanted = AskAbout(stopped, pid, &ranges);
  static TwinRange left_out[kTwinRangesMax];
  const uint64_t left_out_count = ReadRanges(ranges, wanted.arguments[0], left_out);
  if (wanted.kind != PluginReplyKind::kMakeTwin) return ResultOf(wanted.kind);
  orphans_are_collected = orphans_are_collected || IsNamespaceInit(pid) || !reapers.Examine(pid);
  PluginRequest made = Request(PluginRequestKind::kTwinMade, pid);
  made.placement = orphans_are_collected ? TwinPlacement::kChildOfTask : TwinPlacement::kOrphan;
  pid_t twin = 0;
  made.error = MakeTwin(pid, made.placement, reapers, left_out, left_out_count, &twin);
  if (made.error != 0) return ResultOf(ChannelAsk(made).kind);
  const PluginReplyKind reply = AskAbout(made, twin).kind;
  if (reply == PluginReplyKind::kAbort) kill(twin, SIGKILL);
  return ResultOf(reply);
}

using TaskAction = void (*)(pid_t);

// Depth first over `pid` and all below it.
void ForEachInTree(pid_t pid, TaskAction action) {
  ForEachChild(pid, [action](pid_t child) { ForEachInTree(child, action); });
  action(pid);
}

void DieWithTracer(pid_t thread) {
  ptrace(PTRACE_SETOPTIONS, thread, nullptr,
         reinterpret_cast<void*>(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
}

// The call that the reply asks for, in a stopped task; what came of it.
PluginRequest MakeCall(pid_t task, const PluginReply& reply) {
  RemoteCall call(task);
  long result = -call.error();
  if (result == 0) {
    result = call.Call(reply.number, reply.arguments[0], reply.arguments[1], reply.arguments[2]);
  }
  PluginRequest called = Request(PluginRequestKind::kCalled, task);
  called.result = result;
  return called;
}

// From here until CRIU lets it go, no task of the tree outlives its tracer: with its memory half filled it
// must not run.
int OnRestored(int pid) {
  static pid_t root = 0;
  if (!ChannelConnected()) return -ENOTSUP;
  if (root == 0) {
    root = pid;
    ForEachInTree(root, [](pid_t task) { ForEachThread(task, DieWithTracer); });
  }
  PluginReply reply = AskAbout(Request(PluginRequestKind::kRestored, pid), pid);
  while (reply.kind == PluginReplyKind::kCall) reply = ChannelAsk(MakeCall(pid, reply));
  if (reply.kind == PluginReplyKind::kAbort) {
    // CRIU only logs what this hook returns: the tree has to be ended here.
    ForEachInTree(root, [](pid_t task) { kill(task, SIGKILL); });
    return -ECANCELED;
  }
  return -ENOTSUP;
}

// Started by the engine, CRIU must not go on without it: it would leave out the memory that nobody else
// captures.
int Start(int) {
  return getenv(kPluginSocketVariable) == nullptr || ChannelConnect() ? 0 : -1;
}

// CRIU 4.1 ends its plugins when the images are complete, and lets the tree go after that (cr-dump.c,
// cr_dump_finish): a signal that is sent here is in no image, and is the first thing that a process meets.
void Finish(int stage, int result) {
  if (stage != kStageDump || result != 0 || getenv(kLeaveStoppedVariable) == nullptr) return;
  for (const pid_t pid : dumped) kill(pid, SIGSTOP);
}

}  // namespace
}  // namespace holdfast

extern "C" {
extern CriuPluginDescription CR_PLUGIN_DESC;
__attribute__((visibility("default"))) CriuPluginDescription CR_PLUGIN_DESC = {
    .name = "holdfast",
    .init = holdfast::Start,
    .exit = holdfast::Finish,
    .version = kPluginVersion,
    .hook_count = kHookCount,
    .hooks = {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
              reinterpret_cast<void*>(holdfast::OnRestored), reinterpret_cast<void*>(holdfast::OnPause),
              reinterpret_cast<void*>(holdfast::OnCheckpoint)},
};
}
