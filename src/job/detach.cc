#include "job/detach.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/fd.h"

namespace holdfast {

namespace {

using Json = nlohmann::json;

constexpr size_t kReportBytesMax = 16 * 1024 * 1024;

std::string FormatStarted(const StartedJob& job) {
  const Json json = {{"name", job.name},
                     {"pid", job.pid},
                     {"supervisor_pid", job.supervisor_pid},
                     {"snapshot", job.snapshot},
                     {"restart_ms", job.restart_ms},
                     {"bytes_restored", job.bytes_restored},
                     {"bytes_to_come", job.bytes_to_come},
                     {"private_network", job.private_network},
                     {"files_put_back", job.files_put_back}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string FormatError(const Error& error) {
  const Json json = {{"error",
                      {{"kind", static_cast<int>(error.kind)},
                       {"message", error.message},
                       {"hint", error.hint},
                       {"errno", error.error_number}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<StartedJob> ParseReport(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.contains("error")) {
      const Json& error = json.at("error");
      return Error{.kind = static_cast<ErrorKind>(error.at("kind").get<int>()),
                   .message = error.at("message").get<std::string>(),
                   .hint = error.at("hint").get<std::string>(),
                   .error_number = error.at("errno").get<int>()};
    }
    StartedJob job;
    job.name = json.at("name").get<std::string>();
    job.pid = json.at("pid").get<pid_t>();
    job.supervisor_pid = json.at("supervisor_pid").get<pid_t>();
    job.snapshot = json.at("snapshot").get<std::string>();
    job.restart_ms = json.at("restart_ms").get<double>();
    job.bytes_restored = json.at("bytes_restored").get<uint64_t>();
    job.bytes_to_come = json.at("bytes_to_come").get<uint64_t>();
    job.private_network = json.at("private_network").get<bool>();
    job.files_put_back = json.at("files_put_back").get<std::vector<std::string>>();
    return job;
  } catch (const Json::exception&) {
    return Fail(ErrorKind::kInternal, "the supervisor in the background died before the job ran")
        .WithHint("the kernel kills it where a cgroup allows less memory than the job has: see `dmesg`");
  }
}

void WriteReport(Fd& pipe, const std::string& report) {
  size_t done = 0;
  while (done < report.size()) {
    const ssize_t written = ::write(pipe.get(), report.data() + done, report.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;  // nobody waits for it any more
    done += static_cast<size_t>(written);
  }
  pipe.Reset();
}

std::string ReadReport(int pipe) {
  std::string report;
  std::array<char, 16 * 1024> buffer{};
  while (report.size() < kReportBytesMax) {
    const ssize_t bytes = ::read(pipe, buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    report.append(buffer.data(), static_cast<size_t>(bytes));
  }
  return report;
}

[[noreturn]] void BeSupervisor(const std::function<Result<int>(const OnStarted&)>& supervise, Fd pipe) {
  bool started = false;
  const Result<int> status = supervise([&](const StartedJob& job) {
    started = true;
    WriteReport(pipe, FormatStarted(job));
  });
  if (!status && !started) WriteReport(pipe, FormatError(status.error()));
  if (!status && started) fmt::print(stderr, "holdfast: {}\n", status.error().message);
  std::fflush(stderr);
  ::_exit(status ? *status : 1);
}

}  // namespace

Result<StartedJob> SuperviseDetached(
    const std::function<Result<int>(const OnStarted& on_started)>& supervise) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t middle = ::fork();
  if (middle < 0) return FailErrno("cannot start a process");
  if (middle == 0) {
    // A session of its own, and no leader of it: no terminal can become its controlling one.
    ::setsid();
    const pid_t supervisor = ::fork();
    if (supervisor != 0) ::_exit(supervisor < 0 ? 1 : 0);
    read_end.Reset();
    BeSupervisor(supervise, std::move(write_end));
  }
  write_end.Reset();
  while (::waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {
  }
  return ParseReport(ReadReport(read_end.get()));
}

}  // namespace holdfast
