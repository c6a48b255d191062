// The annotations by which a pod or a container asks for checkpoints.
// docs/decisions/0017-oci-runtime-wrapper.md is their documentation.
#pragma once

#include <string_view>

namespace holdfast::annotation {

// A config.json without this text in it is not read any further.
inline constexpr std::string_view kPrefix = "holdfast.dev";

inline constexpr std::string_view kCheckpoint = "holdfast.dev/checkpoint";  // "true": opted in
// Names of a pod's containers, with commas or blanks between; all of them when it is not there.
inline constexpr std::string_view kContainers = "holdfast.dev/containers";

inline constexpr std::string_view kOwnerUid = "holdfast.dev/owner-uid";
inline constexpr std::string_view kTemplateHash = "holdfast.dev/template-hash";
inline constexpr std::string_view kSlot = "holdfast.dev/slot";

// Directories in the container that its snapshots are to have, with commas or blanks between.
inline constexpr std::string_view kFiles = "holdfast.dev/files";

// Of the image, given on by CRI-O (image-spec 1.0, conversion.md). containerd keeps it for itself.
inline constexpr std::string_view kStopSignal = "org.opencontainers.image.stopSignal";

}  // namespace holdfast::annotation
