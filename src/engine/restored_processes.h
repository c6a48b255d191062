// What `criu restore` makes: a tree that must either run as a whole or not be there at all. CRIU may be
// killed at any moment and leaves the processes that it has made so far where they are, stopped or waiting
// for it, with the pids that the next try will need.
#pragma once

#include <sys/types.h>

#include <set>

#include "base/result.h"

namespace holdfast {

// From its construction on, orphans below the calling process become its children. Destroyed without Keep, it
// kills and collects every descendant that has come since. Requires: the caller starts no other process
// meanwhile.
class RestoredProcesses {
 public:
  static Result<RestoredProcesses> Await();
  RestoredProcesses(RestoredProcesses&& other) noexcept;
  RestoredProcesses& operator=(RestoredProcesses&&) = delete;
  ~RestoredProcesses();

  // All went well: they stay.
  void Keep() { kept_ = true; }

 private:
  RestoredProcesses() = default;
  void KillAll() const;

  std::set<pid_t> before_;
  bool was_subreaper_ = false;
  bool kept_ = false;
};

}  // namespace holdfast
