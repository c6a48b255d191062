// A directory of our own below the store's scratch/, gone when we are done with it.
#pragma once

#include <string>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

class ScratchDirectory {
 public:
  static Result<ScratchDirectory> Make(const Store& store, const std::string& purpose);
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Whole files of modest size.
Result<std::string> ReadWholeFile(const std::string& path);
Result<void> WriteWholeFile(const std::string& path, std::string_view bytes);

}  // namespace holdfast
