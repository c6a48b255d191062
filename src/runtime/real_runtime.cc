#include "runtime/real_runtime.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/fd.h"
#include "runtime/elf_note.h"

namespace holdfast {

namespace {

// kubeadm and the distributions; what CRI-O and k3s bring along.
constexpr std::array<const char*, 8> kUsualDirectories = {
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",         "/usr/bin",
    "/sbin",           "/bin",           "/usr/libexec/crio", "/var/lib/rancher/k3s/data/current/bin"};
constexpr std::array<const char*, 2> kNames = {"runc", "crun"};

bool CanBeExecuted(const std::string& program) {
  struct stat status {};
  return ::stat(program.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(program.c_str(), X_OK) == 0;
}

std::vector<std::string> AbsoluteDirectories(std::string_view path) {
  std::vector<std::string> directories;
  while (!path.empty()) {
    const size_t colon = path.find(':');
    const std::string_view directory = path.substr(0, colon);
    if (directory.starts_with('/')) directories.emplace_back(directory);
    path.remove_prefix(colon == std::string_view::npos ? path.size() : colon + 1);
  }
  return directories;
}

}  // namespace

std::string FindRealRuntime(const std::string& named, std::string_view path,
                            const std::vector<std::string>& failed) {
  auto will_do = [&](const std::string& program) {
    return std::find(failed.begin(), failed.end(), program) == failed.end() && CanBeExecuted(program) &&
           !IsHoldfastRuntime(program);
  };
  if (!named.empty() && will_do(named)) return named;
  const std::vector<std::string> directories = AbsoluteDirectories(path);
  for (const char* name : kNames) {
    for (const std::string& directory : directories) {
      if (std::string program = directory + "/" + name; will_do(program)) return program;
    }
  }
  for (const char* name : kNames) {
    for (const char* directory : kUsualDirectories) {
      if (std::string program = std::string(directory) + "/" + name; will_do(program)) return program;
    }
  }
  return {};
}

bool IsHoldfastRuntime(const std::string& program) {
  std::array<char, 4096> page{};
  const Fd file(::open(program.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) return false;
  const ssize_t bytes = ::pread(file.get(), page.data(), page.size(), 0);
  if (bytes <= 0) return false;
  const std::string_view start(page.data(), static_cast<size_t>(bytes));
  return start.starts_with(ELFMAG) && start.find(kElfNoteName) != std::string_view::npos;
}

int BecomeRuntime(const std::string& program, char* const* argv) {
  std::vector<char*> arguments;
  arguments.push_back(const_cast<char*>(program.c_str()));
  for (char* const* next = argv[0] != nullptr ? argv + 1 : argv; *next != nullptr; ++next)
    arguments.push_back(*next);
  arguments.push_back(nullptr);
  ::execve(program.c_str(), arguments.data(), environ);
  return errno;
}

}  // namespace holdfast
