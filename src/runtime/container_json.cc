#include "runtime/container_json.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/fd.h"

namespace holdfast {

namespace {

using Json = nlohmann::json;

// Follows a document's nesting; returning false from a call ends the reading. The names are nlohmann's.
class Reader {
 public:
  virtual ~Reader() = default;

  bool null() { return true; }
  bool boolean(bool /*value*/) { return true; }
  bool number_integer(Json::number_integer_t /*value*/) { return true; }
  bool number_unsigned(Json::number_unsigned_t /*value*/) { return true; }
  bool number_float(Json::number_float_t /*value*/, const std::string& /*text*/) { return true; }
  bool binary(Json::binary_t& /*value*/) { return true; }
  bool string(std::string& value) {
    OnString(value);
    return !found_;
  }
  bool start_object(size_t /*elements*/) { return Enter(); }
  bool start_array(size_t /*elements*/) { return Enter(); }
  bool end_object() { return Leave(); }
  bool end_array() { return Leave(); }
  bool key(std::string& name) {
    if (depth_ <= kKeys) keys_[depth_ - 1] = std::move(name);
    return true;
  }
  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) {
    error_position_ = position;
    return false;
  }

  // Whether all of it is JSON that had to be read.
  Result<void> Read(std::string_view text) {
    const bool complete = Json::sax_parse(text.begin(), text.end(), this);
    if (complete || found_) return {};
    return Fail(ErrorKind::kCorrupt, "no JSON from byte " + std::to_string(error_position_) + " on");
  }
  bool found() const { return found_; }

 protected:
  virtual void OnString(std::string& value) = 0;
  virtual void OnLeave() {}
  // Of the object that is read now, or of one around it: 0 is the outermost.
  const std::string& Key(size_t level) const { return keys_[level]; }
  size_t depth() const { return depth_; }
  void SetFound() { found_ = true; }

 private:
  bool Enter() {
    ++depth_;
    if (depth_ <= kKeys) keys_[depth_ - 1].clear();
    return true;
  }
  bool Leave() {
    OnLeave();
    --depth_;
    return !found_;
  }

  static constexpr size_t kKeys = 3;
  std::array<std::string, kKeys> keys_;
  size_t depth_ = 0;
  size_t error_position_ = 0;
  bool found_ = false;
};

class AnnotationReader : public Reader {
 public:
  Annotations annotations;

 private:
  bool Inside() const { return depth() == 2 && Key(0) == "annotations"; }
  void OnString(std::string& value) override {
    if (Inside() && !Key(1).empty()) annotations[Key(1)] = std::move(value);
  }
  void OnLeave() override {
    if (Inside()) SetFound();
  }
};

class BundleReader : public Reader {
 public:
  std::string bundle;

 private:
  void OnString(std::string& value) override {
    constexpr std::string_view kLabel = "bundle=";
    if (depth() == 1 && Key(0) == "bundle") {
      bundle = std::move(value);
    } else if (depth() == 3 && Key(0) == "config" && Key(1) == "labels" && value.starts_with(kLabel)) {
      bundle = value.substr(kLabel.size());
    } else {
      return;
    }
    SetFound();
  }
};

Error FailToRead(const std::string& path, const char* why) {
  return Fail(ErrorKind::kIo, "cannot read " + path + ": " + why);
}

}  // namespace

Result<Annotations> ReadAnnotations(std::string_view config_json) {
  AnnotationReader reader;
  TRY(reader.Read(config_json));
  return std::move(reader.annotations);
}

Result<std::string> ReadBundle(std::string_view state_json) {
  BundleReader reader;
  TRY(reader.Read(state_json));
  if (!reader.found() || !reader.bundle.starts_with('/'))
    return Fail(ErrorKind::kNotFound, "no bundle is named");
  return std::move(reader.bundle);
}

Result<std::string> ReadSmallFile(const std::string& path, size_t bytes_max) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) {
    Error error = FailToRead(path, strerror(errno));
    error.error_number = errno;
    return error;
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return FailToRead(path, strerror(errno));
  if (!S_ISREG(status.st_mode)) return FailToRead(path, "it is no regular file");
  if (static_cast<uint64_t>(status.st_size) > bytes_max) {
    return Fail(ErrorKind::kCorrupt, path + " is too large: " + std::to_string(status.st_size) + " bytes");
  }
  std::string content(static_cast<size_t>(status.st_size), '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t bytes = ::read(file.get(), content.data() + size, content.size() - size);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return FailToRead(path, strerror(errno));
    if (bytes == 0) break;
    size += static_cast<size_t>(bytes);
  }
  content.resize(size);
  return content;
}

}  // namespace holdfast
