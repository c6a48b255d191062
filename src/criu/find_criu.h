// Where CRIU is, and our own libraries that go into it.
#pragma once

#include <string>

#include "base/result.h"

namespace holdfast {

// Plugin and interposer in one.
inline constexpr const char* kPluginLibrary = "holdfast.so";

struct CriuInstallation {
  std::string path;
  std::string version;           // "4.1.1"
  std::string plugin_directory;  // holds kPluginLibrary and nothing else: CRIU loads every library in it
};

struct CriuBinary {
  std::string path;
  std::string version;
};

// CRIU >= 4.1: $HOLDFAST_CRIU, then lib/holdfast/bin/criu beside our own prefix,
// /usr/local/lib/holdfast/bin/criu, criu in PATH. What $HOLDFAST_CRIU names is taken whatever its version.
// kUnsupported when there is none.
Result<CriuBinary> FindCriuBinary();

// The directory of holdfast.so: $HOLDFAST_LIBDIR/criu-plugin, lib/holdfast/criu-plugin beside our own prefix,
// or in the build tree.
Result<std::string> FindPluginDirectory();

// Both.
Result<CriuInstallation> FindCriu();

}  // namespace holdfast
