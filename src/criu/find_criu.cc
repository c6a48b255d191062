#include "criu/find_criu.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <vector>

#include "base/fd.h"
#include "linux/subprocess.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// What `criu --version` says: "4.1.1". Empty when it does not run.
std::string VersionOf(const std::string& path) {
  const Fd output(memfd_create("criu-version", MFD_CLOEXEC));
  SpawnOptions options;
  options.arguments = {path, "--version"};
  options.output = output.get();
  Result<Subprocess> child = Subprocess::Spawn(options);
  if (!child) return {};
  const Result<int> status = child->Wait();
  if (!status || *status != 0) return {};
  std::string text(4096, '\0');
  const ssize_t got = pread(output.get(), text.data(), text.size(), 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  constexpr std::string_view kKey = "Version: ";
  const size_t at = text.find(kKey);
  if (at == std::string::npos) return {};
  return text.substr(at + kKey.size(), text.find_first_of("\n ", at + kKey.size()) - at - kKey.size());
}

bool IsNewEnough(const std::string& version) {
  int major = 0;
  int minor = 0;
  std::istringstream stream(version);
  char dot = '.';
  stream >> major >> dot >> minor;
  return major > 4 || (major == 4 && minor >= 1);
}

// The prefix that our binary is installed below ("/usr/local" of /usr/local/bin/holdfast).
fs::path OwnPrefix() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return self.parent_path().parent_path();
}

std::vector<std::string> CriuCandidates() {
  std::vector<std::string> candidates = {(OwnPrefix() / "lib/holdfast/bin/criu").string(),
                                         "/usr/local/lib/holdfast/bin/criu"};
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');)
    candidates.push_back(directory + "/criu");
  for (const char* system : {"/usr/sbin/criu", "/usr/local/sbin/criu"}) candidates.emplace_back(system);
  return candidates;
}

}  // namespace

Result<CriuBinary> FindCriuBinary() {
  if (const char* chosen = std::getenv("HOLDFAST_CRIU"); chosen != nullptr && *chosen != 0) {
    if (access(chosen, X_OK) != 0) return FailErrno(fmt::format("$HOLDFAST_CRIU names {}", chosen));
    return CriuBinary{chosen, VersionOf(chosen)};
  }
  std::string too_old;
  for (const std::string& candidate : CriuCandidates()) {
    if (access(candidate.c_str(), X_OK) != 0) continue;
    const std::string version = VersionOf(candidate);
    if (IsNewEnough(version)) return CriuBinary{candidate, version};
    if (too_old.empty())
      too_old = fmt::format("{} is version {}", candidate, version.empty() ? "unknown" : version);
  }
  return Fail(ErrorKind::kUnsupported,
              too_old.empty() ? std::string("CRIU is not installed") : "CRIU is too old: " + too_old)
      .WithHint(
          "scripts/install-criu (of a package: /usr/lib/holdfast/install-criu) installs CRIU 4.1 beside the "
          "system's own");
}

Result<std::string> FindPluginDirectory() {
  std::vector<fs::path> candidates;
  if (const char* chosen = std::getenv("HOLDFAST_LIBDIR"); chosen != nullptr && *chosen != 0) {
    candidates.emplace_back(chosen);
  }
  const fs::path prefix = OwnPrefix();
  candidates.push_back(prefix / "lib/holdfast");
  candidates.push_back(prefix.parent_path() / "lib/holdfast");  // build tree: src/cli/holdfast
  for (const fs::path& candidate : candidates) {
    const fs::path directory = candidate / "criu-plugin";
    if (access((directory / kPluginLibrary).c_str(), R_OK) == 0) return directory.string();
  }
  return Fail(ErrorKind::kUnsupported, "Holdfast's CRIU plugin (criu-plugin/holdfast.so) is not installed")
      .WithHint("reinstall Holdfast, or set HOLDFAST_LIBDIR to the directory above criu-plugin");
}

Result<CriuInstallation> FindCriu() {
  const CriuBinary binary = TRY(FindCriuBinary());
  CriuInstallation installation;
  installation.path = binary.path;
  installation.version = binary.version;
  installation.plugin_directory = TRY(FindPluginDirectory());
  return installation;
}

}  // namespace holdfast
