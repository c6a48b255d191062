#include "store/json_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

namespace holdfast {
namespace {

// Decodes one UTF-8 sequence at the front of `text`: its length, 0 when it is none.
size_t Utf8SequenceBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  size_t length = 0;
  unsigned char second_min = 0x80;
  unsigned char second_max = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) second_min = 0xa0;
    if (first == 0xed) second_max = 0x9f;  // surrogates
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) second_min = 0x90;
    if (first == 0xf4) second_max = 0x8f;
  }
  if (length == 0 || text.size() < length || byte(1) < second_min || byte(1) > second_max) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8SequenceBytes(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

Json EncodeText(std::string_view bytes) {
  if (!bytes.starts_with('\0') && IsUtf8(bytes)) return Json(bytes);
  std::string escaped(1, '\0');
  for (const char character : bytes) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x80) {
      escaped.push_back(character);
    } else {
      escaped.push_back(static_cast<char>(0xc0 | (byte >> 6)));
      escaped.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
    }
  }
  return Json(std::move(escaped));
}

Json EncodeTexts(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) array.push_back(EncodeText(text));
  return array;
}

// An array of pairs: a key may be any bytes as well.
Json EncodeTexts(const std::map<std::string, std::string>& texts) {
  Json array = Json::array();
  for (const auto& [key, value] : texts) array.push_back(Json::array({EncodeText(key), EncodeText(value)}));
  return array;
}

bool DecodeText(const Json& value, std::string& out) {
  if (!value.is_string()) return false;
  std::string_view text = value.get_ref<const std::string&>();
  if (!text.starts_with('\0')) {
    out = text;
    return true;
  }
  text.remove_prefix(1);
  out.clear();
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x80) {
      out.push_back(text[0]);
      text.remove_prefix(1);
      continue;
    }
    if ((first != 0xc2 && first != 0xc3) || text.size() < 2) return false;  // beyond U+00FF
    out.push_back(static_cast<char>(((first & 0x03) << 6) | (static_cast<unsigned char>(text[1]) & 0x3f)));
    text.remove_prefix(2);
  }
  return true;
}

std::string PrintJson(const Json& value) {
  // All strings come from EncodeText; what does not is replaced rather than thrown about.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Json> ParseJson(std::string_view text, const std::string& where) {
  Json value = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Fail(ErrorKind::kCorrupt, where + " is not JSON");
  return value;
}

JsonFields::JsonFields(const Json& object, std::string where, std::string& problem)
    : object_(object), where_(std::move(where)), problem_(problem) {
  if (!object.is_object() && problem_.empty()) problem_ = where_ + " is not an object";
}

void JsonFields::Wrong(const char* key, std::string_view what) {
  if (problem_.empty()) problem_ = fmt::format("{}: '{}' {}", where_, key, what);
}

const Json* JsonFields::Find(const char* key) {
  if (!problem_.empty()) return nullptr;
  const auto found = object_.find(key);
  if (found == object_.end()) {
    Wrong(key, "is missing");
    return nullptr;
  }
  return &*found;
}

template <typename T>
void JsonFields::GetInteger(const char* key, T& out) {
  const Json* value = Find(key);
  if (value == nullptr) return;
  if (value->is_number_unsigned()) {
    const auto number = value->get<uint64_t>();
    if (number <= static_cast<uint64_t>(std::numeric_limits<T>::max())) {
      out = static_cast<T>(number);
      return;
    }
  } else if (value->is_number_integer() && std::numeric_limits<T>::is_signed) {
    const auto number = value->get<int64_t>();
    // NOLINTNEXTLINE(misc-redundant-expression): of a 64-bit T
    if (number >= static_cast<int64_t>(std::numeric_limits<T>::min()) && number < 0) {
      out = static_cast<T>(number);
      return;
    }
  }
  Wrong(key, "is not an integer of its range");
}

void JsonFields::Get(const char* key, int32_t& out) {
  GetInteger(key, out);
}
void JsonFields::Get(const char* key, uint32_t& out) {
  GetInteger(key, out);
}
void JsonFields::Get(const char* key, int64_t& out) {
  GetInteger(key, out);
}
void JsonFields::Get(const char* key, uint64_t& out) {
  GetInteger(key, out);
}

void JsonFields::Get(const char* key, bool& out) {
  const Json* value = Find(key);
  if (value == nullptr) return;
  if (!value->is_boolean()) return Wrong(key, "is not true or false");
  out = value->get<bool>();
}

void JsonFields::Get(const char* key, double& out) {
  const Json* value = Find(key);
  if (value == nullptr) return;
  if (!value->is_number()) return Wrong(key, "is not a number");
  out = value->get<double>();
}

void JsonFields::Get(const char* key, std::string& out) {
  const Json* value = Find(key);
  if (value != nullptr && !DecodeText(*value, out)) Wrong(key, "is not a string");
}

void JsonFields::GetOrNull(const char* key, std::string& out) {
  const Json* value = Find(key);
  if (value != nullptr && !value->is_null()) Get(key, out);
}

const Json& JsonFields::Object(const char* key) {
  static const Json kEmpty = Json::object();
  const Json* value = Find(key);
  if (value == nullptr) return kEmpty;
  if (value->is_object()) return *value;
  Wrong(key, "is not an object");
  return kEmpty;
}

const Json& JsonFields::Array(const char* key, uint64_t count_max) {
  static const Json kEmpty = Json::array();
  const Json* value = Find(key);
  if (value == nullptr) return kEmpty;
  if (value->is_array() && value->size() <= count_max) return *value;
  Wrong(key, value->is_array() ? "has too many values" : "is not an array");
  return kEmpty;
}

void JsonFields::Get(const char* key, std::vector<std::string>& out) {
  const Json& array = Array(key, std::numeric_limits<uint64_t>::max());
  out.resize(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    if (!DecodeText(array[i], out[i])) return Wrong(key, "holds something that is not a string");
  }
}

void JsonFields::Get(const char* key, std::vector<int32_t>& out) {
  for (const Json& value : Array(key, std::numeric_limits<uint64_t>::max())) {
    if (!value.is_number_integer()) return Wrong(key, "holds something that is not an integer");
    const auto number = value.get<int64_t>();
    if (number < std::numeric_limits<int32_t>::min() || number > std::numeric_limits<int32_t>::max()) {
      return Wrong(key, "holds an integer beyond its range");
    }
    out.push_back(static_cast<int32_t>(number));
  }
}

void JsonFields::Get(const char* key, std::map<std::string, std::string>& out) {
  for (const Json& pair : Array(key, std::numeric_limits<uint64_t>::max())) {
    std::string name;
    std::string value;
    if (!pair.is_array() || pair.size() != 2 || !DecodeText(pair[0], name) || !DecodeText(pair[1], value)) {
      return Wrong(key, "holds something that is not a pair of strings");
    }
    out[std::move(name)] = std::move(value);
  }
}

}  // namespace holdfast
