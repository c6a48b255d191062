// SPDX-License-Identifier: MIT
// The plugin's end of the conversation with the engine.
#pragma once

#include "criu_plugin/protocol.h"

namespace holdfast {

// Connects to the socket named in the environment, once. False when there is none: CRIU then behaves as
// stock.
bool ChannelConnect();
bool ChannelConnected();
// Sends a request, with a descriptor when `descriptor` >= 0, and waits for the reply. `received` gets a
// descriptor that came along, or -1. A dead engine answers kAbort.
PluginReply ChannelAsk(const PluginRequest& request, int descriptor = -1, int* received = nullptr);

}  // namespace holdfast
