// What `holdfast attach` and the supervisor of a --tty job say to each other over
// STORE/jobs/NAME/attach.sock. The job's output comes back as it is; what goes to the job is framed: one byte
// kind, two bytes length (big-endian), the payload.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "job/terminal.h"

namespace holdfast {

inline constexpr size_t kAttachPayloadBytesMax = 4096;

struct AttachFrame {
  enum class Kind : char { kKeys = 'k', kWindow = 'w' };
  Kind kind = Kind::kKeys;
  std::string payload;
};

std::string FormatKeys(std::string_view keys);  // any number of bytes; several frames when there are many
std::string FormatWindow(WindowSize size);
WindowSize ParseWindow(std::string_view payload);  // the default size when it is no window

// Takes the first whole frame off `inbox`; none yet: nullopt. kCorrupt: not our protocol.
Result<std::optional<AttachFrame>> TakeFrame(std::string& inbox);

// Both work for directories whose path is longer than a socket's may be.
Result<Fd> ListenForAttach(const std::filesystem::path& job_directory);
Result<Fd> ConnectToAttach(const std::filesystem::path& job_directory);

}  // namespace holdfast
