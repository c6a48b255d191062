// SPDX-License-Identifier: MIT
// Parts of a stopped task's memory that its children do not inherit (MADV_DONTFORK), for as long as this
// lives: a fork() then copies that much less of the page tables.
#pragma once

#include <cstdint>

#include "criu_plugin/protocol.h"
#include "criu_plugin/remote_call.h"

namespace holdfast {

class LeftOut {
 public:
  // Each of `ranges` begins inside of a mapping, behind its first page; they are sorted, and none is in more
  // than one mapping. What cannot be left out is not. `ranges` and `task` must outlive this.
  LeftOut(RemoteCall& task, const TwinRange* ranges, uint64_t count);
  LeftOut(const LeftOut&) = delete;
  LeftOut& operator=(const LeftOut&) = delete;
  // Puts back what was left out. The mappings are then as they were: the kernel joins what it had cut.
  ~LeftOut();

 private:
  // Which were the task's own choice before: those are left alone.
  void FindOurs();

  RemoteCall& task_;
  const TwinRange* ranges_;
  uint64_t count_;
  bool ours_[kTwinRangesMax] = {};
};

}  // namespace holdfast
