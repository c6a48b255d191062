// What the administrator of a node may say: /etc/holdfast/runtime.conf, lines of `KEY = VALUE`.
//
//   runc = /usr/local/sbin/runc         the runtime to wrap, when it is not the runc or crun of PATH
//   log = /run/holdfast/runtime         the directory of decisions.log
//
// Whatever cannot be read or understood leaves the default in force: a container never fails for it.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

struct RuntimeSettings {
  std::string runc;  // an absolute path, else empty
  std::string log = "/run/holdfast/runtime";
};

RuntimeSettings ParseSettings(std::string_view text);

// The file is $HOLDFAST_RUNTIME_CONF when that is set, and $HOLDFAST_RUNC goes before what it says.
RuntimeSettings LoadSettings();

}  // namespace holdfast
