#include "criu/unsent_data.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "criu/image_file.h"
#include "criu_images.pb.h"

namespace holdfast {

// The content of the queues lies behind the one record.
Result<std::string> KeepUnsentData(std::string_view image, const std::string& name) {
  constexpr size_t kMagicBytes = 8;
  uint32_t length = 0;
  if (image.size() < kMagicBytes + sizeof length) {
    return Fail(ErrorKind::kCorrupt, fmt::format("CRIU image {} is too short", name));
  }
  std::memcpy(&length, image.data() + kMagicBytes, sizeof length);
  const size_t end = kMagicBytes + sizeof length + size_t{length};
  if (end > image.size()) return Fail(ErrorKind::kCorrupt, fmt::format("CRIU image {} is cut off", name));
  ImageRecords records = TRY(ImageRecords::Parse(image.substr(0, end), name));
  criu_image::TcpStream stream;
  TRY(records.Get(0, stream));
  if (stream.unsent_bytes() == 0) return std::string(image);
  stream.set_unsent_bytes(0);
  records.Set(0, stream);
  return records.Bytes() + std::string(image.substr(end));
}

}  // namespace holdfast
