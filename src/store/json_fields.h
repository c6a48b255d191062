// Reading and writing the JSON of manifests: every field is required and of one type; the first thing that is
// wrong is kept and the rest comes out empty, so that a reader is a list of fields with one check at its end.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

using Json = nlohmann::json;

// Byte strings: see "Byte strings in JSON" in docs/store-format.md.
Json EncodeText(std::string_view bytes);
Json EncodeTexts(const std::vector<std::string>& texts);
Json EncodeTexts(const std::map<std::string, std::string>& texts);
bool DecodeText(const Json& value, std::string& out);

// The text of a JSON value.
std::string PrintJson(const Json& value);
// kCorrupt when it is not JSON; `where` is for the message.
Result<Json> ParseJson(std::string_view text, const std::string& where);

class JsonFields {
 public:
  // `problem` collects the first problem, of this reader and of those made from it.
  JsonFields(const Json& object, std::string where, std::string& problem);

  void Get(const char* key, bool& out);
  void Get(const char* key, double& out);
  void Get(const char* key, int32_t& out);
  void Get(const char* key, uint32_t& out);
  void Get(const char* key, int64_t& out);
  void Get(const char* key, uint64_t& out);
  void Get(const char* key, std::string& out);
  void Get(const char* key, std::vector<std::string>& out);
  void Get(const char* key, std::vector<int32_t>& out);
  void Get(const char* key, std::map<std::string, std::string>& out);
  // For what earlier versions did not write.
  bool Has(const char* key) const { return object_.is_object() && object_.contains(key); }
  // Null gives an empty string.
  void GetOrNull(const char* key, std::string& out);
  // An object, or an array of at most `count_max` values; an empty one when there is none.
  const Json& Object(const char* key);
  const Json& Array(const char* key, uint64_t count_max);

  bool ok() const { return problem_.empty(); }
  void Wrong(const char* key, std::string_view what);

 private:
  const Json* Find(const char* key);
  template <typename T>
  void GetInteger(const char* key, T& out);

  const Json& object_;
  std::string where_;
  std::string& problem_;
};

}  // namespace holdfast
