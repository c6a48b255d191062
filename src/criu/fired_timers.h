// Timers that fired while the job stood still, or just before, and of which it has not heard yet.
//
// The kernel arms an interval timer anew only when its signal is delivered, or the descriptor read: until
// then it shows "0 left". CRIU 4.1 gives that back as it is, which means "disarmed", and forgets a timerfd's
// unread expirations: after a restart such a timer would never fire again, and who waits for it would wait
// for ever. So in the image it is due at once.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// core-PID.img: setitimer(2).
Result<std::string> KeepFiredTimers(std::string_view core_image, const std::string& name);
// files.img: timerfd_create(2).
Result<std::string> KeepFiredTimerDescriptors(std::string_view files_image);

}  // namespace holdfast
