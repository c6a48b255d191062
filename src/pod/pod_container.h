// What is done for a container of a pod that asked for checkpoints, when its engine creates, starts, stops
// and deletes it (docs/decisions/0020-restarts-of-pods.md).
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/process_identity.h"
#include "pod/identity.h"
#include "store/store.h"

namespace holdfast {

struct PodContainer {
  PodIdentity identity;
  std::string pod_uid;
  std::string name;  // in the pod
  std::string id;
  std::string runtime;  // runc's path
  std::string root;     // `runc --root`
};

// Annotations of its snapshots: the identity's path, and the uid of the pod that it was taken in.
inline constexpr const char* kIdentityAnnotation = "identity";
inline constexpr const char* kPodAnnotation = "pod-uid";

struct CreateRequest {
  PodContainer container;
  std::string bundle;
  std::string pid_file;  // empty: none is wanted
  bool systemd_cgroup = false;
  std::array<int, 3> streams{};
  ProcessIdentity creator;               // the process that makes the container cold, if it comes to that
  std::chrono::milliseconds patience{};  // for the identity to become free
  std::chrono::milliseconds deadline{};  // for all of it
};

// Takes the identity. Where a snapshot was published for it by another pod, makes the container of that: it
// stands still until StartPodContainer. From then on the snapshot is nobody's newest any more: each is gone
// on with once. The sentence says with which. Any error: nothing is left of the container, which is to be
// created cold; it holds the identity all the same, unless the error is kBusy.
Result<std::string> CreatePodContainer(Store& store, const CreateRequest& request);

struct StopRequestOfPod {
  PodContainer container;
  std::vector<std::string> files;  // directories in it that the snapshot is to have
  std::chrono::milliseconds deadline{};
};

// Takes a snapshot, kills the container (exit status 137), publishes the snapshot and gives the identity
// back. Any error: the container runs on, and still holds the identity if it did.
Result<std::string> StopPodContainer(Store& store, const StopRequestOfPod& request);

// Lets a container go on that CreatePodContainer has made.
Result<std::string> StartPodContainer(const PodContainer& container);

// Gives the identity back, when the container holds it and has ended; with the snapshot that it was made of,
// if it was never started. `force`: it is killed first.
Result<std::string> DeletePodContainer(Store& store, const PodContainer& container, bool force);

}  // namespace holdfast
