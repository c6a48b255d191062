#include "job/filling.h"

#include <unistd.h>

#include <chrono>
#include <thread>

namespace holdfast {

std::filesystem::path FillRecordOf(const std::filesystem::path& job_directory) {
  return job_directory / "filling";
}

void RemoveFillRecord(const std::filesystem::path& job_directory) {
  ::unlink(FillRecordOf(job_directory).c_str());
}

Result<void> WaitUntilFilled(const std::filesystem::path& job_directory, const std::string& name,
                             Progress* progress) {
  bool told = false;
  for (;;) {
    const FillProgress filling = ReadFillProgress(FillRecordOf(job_directory));
    if (filling.stage == FillStage::kLost) {
      return Fail(ErrorKind::kCorrupt, "'" + name + "' cannot be checkpointed: " + filling.reason +
                                           " before all of its memory was back")
          .WithHint("kill it, and 'holdfast resume " + name + "' starts it again from its snapshot");
    }
    if (filling.stage != FillStage::kFilling) return {};
    if (progress != nullptr) {
      if (progress->Cancelled()) return Fail(ErrorKind::kInterrupted, "interrupted");
      if (!told) progress->Phase("memory is coming back", 0);
    }
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace holdfast
