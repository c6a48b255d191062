// CRIU's image files as bytes: two magic words, then records of a 32-bit length and a protobuf message.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// criu/include/magic.h of CRIU 4.1.
inline constexpr uint32_t kCriuCommonMagic = 0x54564319;
inline constexpr uint32_t kCriuServiceMagic = 0x55105940;
inline constexpr uint32_t kCriuPagemapMagic = 0x56084025;

class ImageRecords {
 public:
  // Refuses lengths beyond the end. `name` is for messages.
  static Result<ImageRecords> Parse(std::string_view bytes, const std::string& name);
  static ImageRecords Make(uint32_t magic, uint32_t magic2);

  size_t size() const { return records_.size(); }
  Result<void> Get(size_t index, google::protobuf::MessageLite& message) const;
  void Set(size_t index, const google::protobuf::MessageLite& message);
  void Add(const google::protobuf::MessageLite& message);
  std::string Bytes() const;

 private:
  std::string name_;
  std::string magic_;  // the first eight bytes
  std::vector<std::string> records_;
};

}  // namespace holdfast
