// What a TCP connection of the job had accepted from it and not sent yet.
//
// CRIU 4.1 sends it at the restart as soon as it has the socket (soccr/soccr.c, libsoccr_restore_queue), when
// the other end may not be there yet, as on loopback: that is answered with a reset, and the connection is
// lost. So in the image it counts as sent and not acknowledged: once the connection runs, TCP sends it again.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// tcp-stream-ID.img.
Result<std::string> KeepUnsentData(std::string_view image, const std::string& name);

}  // namespace holdfast
