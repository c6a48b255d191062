// What the administrator of a node may say: /etc/holdfast/runtime.conf, lines of `KEY = VALUE`.
//
//   runc = /usr/local/sbin/runc         the runtime to wrap, when it is not the runc or crun of PATH
//   log = /run/holdfast/runtime         the directory of decisions.log
//   store = /mnt/holdfast               where snapshots go, shared by the nodes; without it none are taken
//   holdfast = /usr/bin/holdfast        when it is not beside holdfast-runtime
//   wait = 100                          seconds that a pod's container waits for its predecessor's last
//   snapshot deadline = 90                       seconds that the last snapshot of a container may take
//
// Whatever cannot be read or understood leaves the default in force: a container never fails for it.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

struct RuntimeSettings {
  std::string runc;  // an absolute path, else empty
  std::string log = "/run/holdfast/runtime";
  std::string store;     // an absolute path, else empty
  std::string holdfast;  // an absolute path, else empty
  // The CRI gives a runtime two minutes for each of both (kubelet: runtimeRequestTimeout).
  int wait_seconds = 100;
  int deadline_seconds = 90;
};

RuntimeSettings ParseSettings(std::string_view text);

// The file is $HOLDFAST_RUNTIME_CONF when that is set, and $HOLDFAST_RUNC goes before what it says.
RuntimeSettings LoadSettings();

}  // namespace holdfast
