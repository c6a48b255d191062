#include "cli/store_location.h"

#include <unistd.h>

#include <cstdlib>
#include <system_error>

namespace holdfast {

namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

}  // namespace

std::string DefaultStoreText() {
  return "/var/lib/holdfast for root, $XDG_STATE_HOME/holdfast or ~/.local/state/holdfast for others";
}

Result<std::filesystem::path> StoreDirectory(const std::string& given) {
  std::filesystem::path path = given.empty() ? Variable("HOLDFAST_STORE") : given;
  if (path.empty() && ::geteuid() == 0) path = "/var/lib/holdfast";
  if (path.empty() && !Variable("XDG_STATE_HOME").empty()) {
    path = std::filesystem::path(Variable("XDG_STATE_HOME")) / "holdfast";
  }
  if (path.empty() && !Variable("HOME").empty()) {
    path = std::filesystem::path(Variable("HOME")) / ".local/state/holdfast";
  }
  if (path.empty()) {
    return Fail(ErrorKind::kUsage, "there is no place for the store: HOME is not set")
        .WithHint("give one with --store");
  }
  // Canonical as far as it exists: jobs know their logs by the kernel's name for them.
  std::error_code error;
  const std::filesystem::path canonical =
      std::filesystem::weakly_canonical(std::filesystem::absolute(path), error);
  if (error) return FailErrno(error.value(), "cannot use " + path.string() + " as a store");
  return canonical;
}

Result<Store> OpenStoreAt(const std::string& given, IfMissing if_missing) {
  const std::filesystem::path directory = TRY(StoreDirectory(given));
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) {
    if (if_missing == IfMissing::kFail) {
      return Fail(ErrorKind::kNotFound, "there is no store at " + directory.string())
          .WithHint(
              "'holdfast run' and 'holdfast checkpoint' make one; --store or HOLDFAST_STORE name another");
    }
    std::filesystem::create_directories(directory.parent_path(), error);
    if (error) return FailErrno(error.value(), "cannot make " + directory.parent_path().string());
  }
  return Store::Open(directory);
}

}  // namespace holdfast
