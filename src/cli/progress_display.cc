#include "cli/progress_display.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/units.h"
#include "cli/output.h"
#include "job/signal_fence.h"

namespace holdfast {

namespace {

class QuietProgress : public Progress {
 public:
  void Phase(std::string_view, uint64_t) override {}
  void Advance(uint64_t) override {}
  void Note(std::string_view) override {}
  bool Cancelled() const override { return SignalFence::StopRequested(); }
};

// Not a terminal: a line when a phase begins, nothing while it goes on.
class LineProgress : public QuietProgress {
 public:
  void Phase(std::string_view name, uint64_t total) override {
    PrintNotice(total == 0 ? std::string(name) : fmt::format("{} ({})", name, FormatBytes(total)));
  }
  void Note(std::string_view text) override { PrintNotice(std::string(text)); }
};

// One line that is drawn over and over:  "drain   [########--------]  52%  1.1 GiB of 2.1 GiB  640 MiB/s".
class TerminalProgress : public QuietProgress {
 public:
  ~TerminalProgress() override {
    const std::lock_guard lock(mutex_);
    Wipe();
  }

  void Phase(std::string_view name, uint64_t total) override {
    const std::lock_guard lock(mutex_);
    name_ = name;
    total_ = total;
    done_ = 0;
    watch_ = Stopwatch();
    Draw();
  }

  void Advance(uint64_t done) override {
    done_ = done;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;  // another thread draws
    if (std::chrono::steady_clock::now() - drawn_ > kRedrawAfter) Draw();
  }

  void Note(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    Wipe();
    PrintNotice(std::string(text));
    if (!name_.empty()) Draw();
  }

 private:
  static constexpr auto kRedrawAfter = std::chrono::milliseconds(80);
  static constexpr size_t kBarWidth = 24;

  void Draw() {
    std::string line = fmt::format("{:<10}", name_);
    const uint64_t done = done_;
    if (total_ > 0) {
      const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
      const auto filled = static_cast<size_t>(part * static_cast<double>(kBarWidth));
      line += fmt::format(" [{}{}] {:3.0f}%  {} of {}", std::string(filled, '#'),
                          std::string(kBarWidth - filled, '-'), part * 100, FormatBytes(done),
                          FormatBytes(total_));
    } else if (done > 0) {
      line += " " + FormatBytes(done);
    }
    const double seconds = watch_.ElapsedMs() / 1000;
    if (done > 0 && seconds > 0.2) {
      line += fmt::format("  {}/s", FormatBytes(static_cast<uint64_t>(static_cast<double>(done) / seconds)));
    }
    if (Cancelled()) line += "  (interrupted: undoing)";
    Show("\r\x1b[K" + line);
    drawn_ = std::chrono::steady_clock::now();
  }

  void Wipe() { Show("\r\x1b[K"); }

  static void Show(const std::string& text) {
    if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // the terminal is gone: nobody looks
  }

  std::mutex mutex_;
  std::string name_;
  uint64_t total_ = 0;
  std::atomic<uint64_t> done_ = 0;
  Stopwatch watch_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace

std::unique_ptr<Progress> MakeProgress(bool quiet) {
  if (quiet) return std::make_unique<QuietProgress>();
  if (::isatty(STDERR_FILENO) == 1) return std::make_unique<TerminalProgress>();
  return std::make_unique<LineProgress>();
}

}  // namespace holdfast
