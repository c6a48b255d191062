#include "oci/container.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/fd.h"
#include "linux/mounts.h"
#include "linux/proc.h"
#include "linux/subprocess.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kConfigBytesMax = 16u << 20;
constexpr const char* kStateFile = "state.json";

// Each directory that has containers, and those that have such directories in them.
std::vector<std::string> KnownRoots() {
  std::vector<std::string> roots = {kDefaultRuncRoot};
  for (const char* parent : {"/run/docker/runtime-runc", "/run/containerd/runc"}) {
    std::error_code error;
    for (fs::directory_iterator entry(parent, error), end; !error && entry != end; entry.increment(error)) {
      roots.push_back(entry->path().string());
    }
  }
  std::sort(roots.begin() + 1, roots.end());
  return roots;
}

Result<std::string> FindRoot(const std::string& id) {
  std::vector<std::string> found;
  for (const std::string& root : KnownRoots()) {
    if (HasContainer(id, root)) found.push_back(root);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    std::error_code ignored;
    if (fs::exists("/run/crun/" + id, ignored)) {
      return Fail(ErrorKind::kUnsupported, fmt::format("container {} is run by crun", id))
          .WithHint("only runc's containers can be checkpointed so far");
    }
    return Fail(ErrorKind::kNotFound, fmt::format("runc has no container {}", id))
        .WithHint(
            "`runc list` names them; --runc-root says where runc keeps its state: containerd's is "
            "/run/containerd/runc/NAMESPACE");
  }
  std::string places;
  for (const std::string& root : found) places += (places.empty() ? "" : ", ") + root;
  return Fail(ErrorKind::kExists, fmt::format("there are several containers {}: in {}", id, places))
      .WithHint("name one of them: --runc-root " + found.front());
}

// What a program writes, and how it ended.
Result<std::string> OutputOf(const std::vector<std::string>& arguments) {
  const Fd output(memfd_create("output", MFD_CLOEXEC));
  if (!output.valid()) return FailErrno("memfd_create");
  SpawnOptions options;
  options.arguments = arguments;
  options.output = output.get();
  Subprocess child = TRY(Subprocess::Spawn(options));
  const int status = TRY(child.Wait());
  std::string text(kConfigBytesMax, '\0');
  const ssize_t got = pread(output.get(), text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  if (status == 0) return text;
  while (text.ends_with('\n')) text.pop_back();
  return Fail(ErrorKind::kNotFound,
              fmt::format("{} {}: {}", arguments.front(), DescribeWaitStatus(status), text));
}

Result<Container> Parse(const std::string& text, Container container) {
  std::string status;
  try {
    const Json state = Json::parse(text);
    status = state.at("status").get<std::string>();
    container.bundle = state.at("bundle").get<std::string>();
    container.rootfs = state.value("rootfs", std::string());
    container.init_pid = state.at("pid").get<pid_t>();
  } catch (const Json::exception& error) {
    return Fail(ErrorKind::kUnsupported, fmt::format("what {} says of container {} makes no sense: {}",
                                                     container.runtime, container.id, error.what()));
  }
  if (status == "running" && container.init_pid > 0) return container;
  if (status == "paused") {
    return Fail(ErrorKind::kUnsupported, fmt::format("container {} is paused", container.id))
        .WithHint(fmt::format("runc --root {} resume {}", container.root, container.id));
  }
  return Fail(ErrorKind::kNotFound, fmt::format("container {} does not run: it is {}", container.id, status));
}

}  // namespace

Result<void> ValidateContainerId(const std::string& id) {
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '+' || c == '-' || c == '.';
  });
  if (!id.empty() && plain && id != "." && id != ".." && !id.starts_with('-')) return {};
  return Fail(ErrorKind::kUsage, fmt::format("'{}' is no container ID", id))
      .WithHint("letters, digits, '_', '+', '-' and '.'");
}

bool HasContainer(const std::string& id, const std::string& root) {
  std::error_code ignored;
  return fs::exists(fs::path(root) / id / kStateFile, ignored);
}

Result<std::string> FindRunc() {
  if (const char* chosen = std::getenv("HOLDFAST_RUNC"); chosen != nullptr && *chosen != 0) {
    if (access(chosen, X_OK) != 0) return FailErrno(fmt::format("$HOLDFAST_RUNC names {}", chosen));
    return std::string(chosen);
  }
  const char* path = std::getenv("PATH");
  std::istringstream directories(std::string(path == nullptr ? "" : path) +
                                 ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string candidate = directory + "/runc";
    if (directory.starts_with('/') && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Fail(ErrorKind::kUnsupported, "runc is not installed")
      .WithHint("install the package runc, or name its binary in HOLDFAST_RUNC");
}

Result<Container> FindContainer(const std::string& id, const std::string& root) {
  TRY(ValidateContainerId(id));
  Container container;
  container.id = id;
  container.root = root.empty() ? TRY(FindRoot(id)) : root;
  if (!HasContainer(id, container.root)) {
    return Fail(ErrorKind::kNotFound, fmt::format("runc has no container {} in {}", id, container.root))
        .WithHint(fmt::format("runc --root {} list", container.root));
  }
  container.runtime = TRY(FindRunc());
  const std::string text = TRY(OutputOf({container.runtime, "--root", container.root, "state", id}));
  return Parse(text, std::move(container));
}

Result<Bundle> ReadBundle(const std::string& path) {
  std::error_code error;
  Bundle bundle;
  bundle.path = fs::canonical(path, error).string();
  if (error) return Fail(ErrorKind::kNotFound, fmt::format("there is no bundle {}", path));
  Result<std::string> config = ReadFile(bundle.path + "/config.json");
  if (!config) return std::move(config).error().Within("the bundle " + path);
  bundle.config = *std::move(config);
  std::string root;
  try {
    root = Json::parse(bundle.config).at("root").at("path").get<std::string>();
  } catch (const Json::exception& problem) {
    return Fail(ErrorKind::kUsage, fmt::format("{}/config.json makes no sense: {}", path, problem.what()));
  }
  bundle.rootfs = fs::canonical(fs::path(bundle.path) / root, error).string();
  if (error || !fs::is_directory(bundle.rootfs, error)) {
    return Fail(ErrorKind::kNotFound, fmt::format("the bundle {} has no root file system {}", path, root));
  }
  return bundle;
}

Result<ContainerMounts> MountsOfContainer(pid_t init_pid) {
  ContainerMounts found;
  for (const Mount& mount : TRY(ReadMounts(init_pid))) {
    if (mount.point != "/") {
      found.others.push_back(mount.point);
      continue;
    }
    if (mount.type != "overlay") continue;
    std::istringstream options(mount.file_system_options);
    constexpr std::string_view kUpper = "upperdir=";
    for (std::string option; std::getline(options, option, ',');) {
      if (option.starts_with(kUpper)) found.upper_directory = option.substr(kUpper.size());
    }
  }
  std::sort(found.others.begin(), found.others.end());
  found.others.erase(std::unique(found.others.begin(), found.others.end()), found.others.end());
  return found;
}

}  // namespace holdfast
