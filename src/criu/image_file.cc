#include "criu/image_file.h"

#include <fmt/format.h>

#include <cstring>

namespace holdfast {
namespace {

constexpr size_t kMagicBytes = 8;

void AppendWord(std::string& bytes, uint32_t word) {
  bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
}

}  // namespace

Result<ImageRecords> ImageRecords::Parse(std::string_view bytes, const std::string& name) {
  ImageRecords image;
  image.name_ = name;
  if (bytes.size() < kMagicBytes)
    return Fail(ErrorKind::kCorrupt, fmt::format("CRIU image {} is too short", name));
  image.magic_ = bytes.substr(0, kMagicBytes);
  bytes.remove_prefix(kMagicBytes);
  while (!bytes.empty()) {
    uint32_t length = 0;
    if (bytes.size() < sizeof length)
      return Fail(ErrorKind::kCorrupt, fmt::format("CRIU image {} is cut off", name));
    std::memcpy(&length, bytes.data(), sizeof length);
    bytes.remove_prefix(sizeof length);
    if (length > bytes.size())
      return Fail(ErrorKind::kCorrupt, fmt::format("CRIU image {} is cut off", name));
    image.records_.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return image;
}

ImageRecords ImageRecords::Make(uint32_t magic, uint32_t magic2) {
  ImageRecords image;
  AppendWord(image.magic_, magic);
  AppendWord(image.magic_, magic2);
  return image;
}

Result<void> ImageRecords::Get(size_t index, google::protobuf::MessageLite& message) const {
  if (index >= records_.size() || !message.ParseFromString(records_[index])) {
    return Fail(ErrorKind::kCorrupt, fmt::format("CRIU image {} has no readable record {}", name_, index));
  }
  return {};
}

void ImageRecords::Set(size_t index, const google::protobuf::MessageLite& message) {
  records_.at(index) = message.SerializeAsString();
}

void ImageRecords::Add(const google::protobuf::MessageLite& message) {
  records_.push_back(message.SerializeAsString());
}

std::string ImageRecords::Bytes() const {
  std::string bytes = magic_;
  for (const std::string& record : records_) {
    AppendWord(bytes, static_cast<uint32_t>(record.size()));
    bytes += record;
  }
  return bytes;
}

}  // namespace holdfast
