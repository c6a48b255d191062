#include "job/checkpoint_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace holdfast {

namespace {

constexpr size_t kOutputBytesMax = 1024 * 1024;

// In the child: only async-signal-safe calls.
[[noreturn]] void Become(char* const* arguments, int output, const SignalFence& fence) {
  ::setpgid(0, 0);
  static constexpr std::array<char, 4> kFirstToGo = {'1', '0', '0', '0'};
  const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  // Without it a checkpoint is only less polite, so nobody minds.
  if (score >= 0 && ::write(score, kFirstToGo.data(), kFirstToGo.size()) < 0) errno = 0;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(output, 1) < 0) ::_exit(126);
  fence.RestoreInChild();
  ::execv(arguments[0], arguments);
  ::_exit(127);
}

CheckpointProcess::Outcome DescribeSnapshot(const nlohmann::json& json) {
  const auto freeze_ms = json.at("freeze_ms").get<double>();
  const auto drain_ms = json.at("drain_ms").get<double>();
  CheckpointProcess::Outcome outcome;
  outcome.ok = true;
  outcome.line = fmt::format("{}: freeze {}, drain {}, {} stored", json.at("snapshot").get<std::string>(),
                             FormatMilliseconds(freeze_ms), FormatMilliseconds(drain_ms),
                             FormatBytes(json.at("bytes_stored").get<uint64_t>()));
  outcome.freeze_s = freeze_ms / 1000;
  outcome.drain_s = drain_ms / 1000;
  outcome.total_s = json.at("total_ms").get<double>() / 1000;
  outcome.waited_s = json.at("waited_ms").get<double>() / 1000;
  return outcome;
}

std::string DescribeError(const nlohmann::json& error) {
  std::string text = error.at("message").get<std::string>();
  const std::string hint = error.value("hint", "");
  return hint.empty() ? text : text + "\n  hint: " + hint;
}

}  // namespace

Result<CheckpointProcess> CheckpointProcess::Start(const std::vector<std::string>& command,
                                                   const SignalFence& fence) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  CheckpointProcess process;
  process.output_ = Fd(ends[0]);
  const Fd write_end(ends[1]);
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  process.pid_ = ::fork();
  if (process.pid_ < 0) return FailErrno("cannot start a checkpoint");
  if (process.pid_ == 0) Become(arguments.data(), write_end.get(), fence);
  ::fcntl(process.output_.get(), F_SETFL, O_NONBLOCK);
  return process;
}

void CheckpointProcess::ReadOutput() {
  std::array<char, 16 * 1024> buffer{};
  for (;;) {
    const ssize_t bytes = ::read(output_.get(), buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) return;
    if (bytes <= 0) {
      output_.Reset();
      return;
    }
    if (text_.size() < kOutputBytesMax) text_.append(buffer.data(), static_cast<size_t>(bytes));
  }
}

CheckpointProcess::Outcome CheckpointProcess::Finish(int wait_status) {
  if (output_.valid()) ReadOutput();
  output_.Reset();
  try {
    const nlohmann::json json = nlohmann::json::parse(text_);
    if (json.contains("error")) return {.line = "checkpoint failed: " + DescribeError(json.at("error"))};
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) return DescribeSnapshot(json);
  } catch (const nlohmann::json::exception&) {
    // It died before it could say anything.
  }
  const std::string how = WIFSIGNALED(wait_status) ? fmt::format("signal {}", WTERMSIG(wait_status))
                                                   : fmt::format("status {}", WEXITSTATUS(wait_status));
  return {.line = "checkpoint failed: it ended with " + how};
}

void CheckpointProcess::Abort() const {
  ::kill(pid_, SIGINT);
}

}  // namespace holdfast
