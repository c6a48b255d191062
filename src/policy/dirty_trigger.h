// `--every-dirty 2G`: a snapshot after so many bytes were written since the last one.
#pragma once

#include <cstdint>

#include "policy/trigger_source.h"

namespace holdfast {

class DirtyTrigger : public TriggerSource {
 public:
  explicit DirtyTrigger(uint64_t bytes) : bytes_(bytes) {}

  // The last try to have the writes tracked has shown that it cannot be done.
  bool gave_up() const { return gave_up_; }

  std::optional<Due> Next(const Outlook& outlook) override;
  void CheckpointEnded(const CheckpointReport& report) override;
  std::string TakeRemark() override;

 private:
  std::optional<Due> WhenCounted(const Unsaved& unsaved, Moment now);
  std::optional<Due> WhenNotCounted(const Unsaved& unsaved, Moment now);

  uint64_t bytes_;
  std::optional<CheckpointReport> newest_;
  bool just_taken_ = false;  // newest_, and nobody has looked since
  std::optional<Moment> uncounted_since_;
  bool gave_up_ = false;
  std::string remark_;
};

}  // namespace holdfast
