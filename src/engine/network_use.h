// What a job needs of the network that it is in, as its snapshot shows it, and what becomes of it in a clone
// (docs/decisions/0015-networks-of-clones.md).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "linux/ip_address.h"
#include "store/manifest.h"

namespace holdfast {

// The addresses, beside loopback's, that the job's sockets are bound to: a network of its own must have them.
Result<std::vector<IpAddress>> AddressesOf(const Manifest& manifest, const BlockReader& blocks);

// When a job was killed with data that the other end had not taken yet, the kernel goes on delivering it.
// CRIU cannot make the connection again as long ("Cannot assign requested address"), so that is ended.
Result<void> EndLeftConnections(const Manifest& manifest, const BlockReader& blocks);

// CRIU's image of the job's files for a clone: connections whose other end is not of the job are closed in
// it, since they are the original's. The same bytes where there is none.
Result<std::string> WithoutOutsideConnections(std::string files_image);

}  // namespace holdfast
