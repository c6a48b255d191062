// SPDX-License-Identifier: MIT
// The binary interface between CRIU and a plugin, written from the documentation (https://criu.org/Plugins)
// and the behaviour of CRIU 4.1: a shared object exports CR_PLUGIN_DESC; CRIU calls the hooks that it names.
// Hooks return -ENOTSUP to let CRIU ask the next plugin and go on.
#pragma once

#include <cstdint>

extern "C" {

constexpr int kHookResumeDevicesLate = 9;   // int (int pid): restored, stopped, about to run
constexpr int kHookPauseDevices = 10;       // int (int pid): about to be stopped
constexpr int kHookCheckpointDevices = 11;  // int (int pid): the whole tree is stopped, nothing is dumped yet
constexpr int kHookCount = 12;

constexpr int kStageDump = 0;  // of init and exit

constexpr unsigned kPluginVersion = (0u << 16) + (2u << 8) + 0u;

struct CriuPluginDescription {
  const char* name;
  int (*init)(int stage);
  void (*exit)(int stage, int result);
  unsigned version;
  unsigned hook_count;
  void* hooks[kHookCount];
};

static_assert(sizeof(CriuPluginDescription) == 3 * 8 + 2 * 4 + kHookCount * 8);

}  // extern "C"
