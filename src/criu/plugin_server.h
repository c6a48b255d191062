// The engine's end of the conversation with our plugin inside CRIU (criu_plugin/protocol.h).
#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "criu_plugin/protocol.h"

namespace holdfast {

struct PluginMessage {
  PluginRequest request{};
  Fd pidfd;       // of the process it is about, when one came along
  pid_t pid = 0;  // that process in our pid namespace; 0: none
};

class PluginServer {
 public:
  // Listens on a socket in `directory` (private to us).
  static Result<PluginServer> Listen(const std::string& directory);
  PluginServer(PluginServer&&) noexcept = default;
  PluginServer& operator=(PluginServer&&) noexcept = default;
  ~PluginServer();

  const std::string& path() const { return path_; }
  // The next request, or nothing when `criu` (a pidfd) ended first. kCriu when neither happens in time.
  Result<std::optional<PluginMessage>> Next(const Fd& criu, int milliseconds_max);
  Result<void> Reply(PluginReplyKind kind, int descriptor = -1, uint64_t argument = 0);
  // In the place of a reply to kRestored: has the restored task make a system call. Returns what the kernel
  // returned, -errno for an error; after that the plugin waits for a reply again.
  Result<int64_t> Call(const Fd& criu, uint32_t number, const std::array<uint64_t, 3>& arguments);
  // The plugin takes it for an abort.
  void HangUp() { connection_.Reset(); }

 private:
  PluginServer() = default;
  Result<void> Send(PluginReply reply, int descriptor);
  Result<void> Accept();
  Result<std::optional<PluginMessage>> Receive();

  std::string path_;
  Fd listener_;
  Fd connection_;
};

}  // namespace holdfast
