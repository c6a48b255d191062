#include "criu/fired_timers.h"

#include "criu/image_file.h"
#include "criu_images.pb.h"

namespace holdfast {
namespace {

// An interval without a value is only seen of a timer that has fired: disarming one clears its interval
// (kernel/time/itimer.c, do_setitimer).
void MakeDue(criu_image::IntervalTimer& timer) {
  const bool periodic = timer.interval_s() != 0 || timer.interval_us() != 0;
  if (periodic && timer.value_s() == 0 && timer.value_us() == 0) timer.set_value_us(1);
}

}  // namespace

Result<std::string> KeepFiredTimers(std::string_view core_image, const std::string& name) {
  ImageRecords records = TRY(ImageRecords::Parse(core_image, name));
  criu_image::Core core;
  TRY(records.Get(0, core));
  if (!core.has_task() || !core.task().has_timers()) return std::string(core_image);  // a thread's
  criu_image::TaskTimers& timers = *core.mutable_task()->mutable_timers();
  for (criu_image::IntervalTimer* timer :
       {timers.mutable_real(), timers.mutable_prof(), timers.mutable_virtual_()}) {
    MakeDue(*timer);
  }
  records.Set(0, core);
  return records.Bytes();
}

Result<std::string> KeepFiredTimerDescriptors(std::string_view files_image) {
  ImageRecords records = TRY(ImageRecords::Parse(files_image, "files.img"));
  for (size_t i = 0; i < records.size(); ++i) {
    criu_image::File file;
    TRY(records.Get(i, file));
    if (!file.has_timer()) continue;
    criu_image::TimerDescriptor& timer = *file.mutable_timer();
    if (timer.ticks() == 0 || timer.value_s() != 0 || timer.value_ns() != 0) continue;
    timer.set_value_ns(1);
    records.Set(i, file);
  }
  return records.Bytes();
}

}  // namespace holdfast
