// What CRIU finds out about the kernel takes it some 80 ms, which it saves by a file in /run, if that is a
// tmpfs: the file must not outlive the kernel. Where /run is a disk (containers, minimal systems) we name
// another tmpfs.
#pragma once

#include <string>

namespace holdfast {

// A directory on a tmpfs that only we can write to; empty where CRIU needs none, or none is to be had.
std::string KerndatDirectory();

}  // namespace holdfast
