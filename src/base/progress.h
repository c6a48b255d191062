// How the engine tells a front door what it is doing; the front door draws bars or prints lines.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

class Progress {
 public:
  virtual ~Progress() = default;
  // A new phase ("pre-flight", "freeze", "drain", "commit", "restore", ...). `total` in bytes, 0 when
  // unknown.
  virtual void Phase(std::string_view name, uint64_t total) = 0;
  // Bytes done in this phase so far. May be called from several threads.
  virtual void Advance(uint64_t done) = 0;
  // Something worth telling that is no error ("put back log.txt: truncated 12 KiB").
  virtual void Note(std::string_view text) = 0;
  // The user wants out (Ctrl-C): long work asks now and then, at points where it can undo what it did, and
  // fails with kInterrupted. Any thread may ask.
  virtual bool Cancelled() const { return false; }
};

}  // namespace holdfast
