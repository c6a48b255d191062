// How holdfast-runtime, which links nothing of the engine, has `holdfast oci VERB` work for it: the
// descriptors that it gives it, and the one line that it gets back.
#pragma once

#include <array>

namespace holdfast {

// The answer is written there: a word of `answer`, and after a blank what there is to say. None: it failed.
inline constexpr int kAnswerDescriptor = 3;

// Those that the container engine has given to the container. 0 to 2 are /dev/null: what the helper prints is
// nothing for the container's log.
inline constexpr std::array<int, 3> kStreamDescriptors = {4, 5, 6};

// In the directory where runc keeps a container's state: it was restored, and stands still until `start`.
// Goes with the container.
inline constexpr const char* kRestoredMark = "holdfast-restored";

namespace answer {
inline constexpr const char* kDone = "done";       // the verb is done: runc is not needed
inline constexpr const char* kPassOn = "pass-on";  // runc is to do it, and here is why
}  // namespace answer

}  // namespace holdfast
