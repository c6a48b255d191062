// What makes two blocks of one lineage the same: equal hash and length (docs/store-format.md, "Segments").
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "store/hash.h"
#include "store/manifest.h"

namespace holdfast {

struct BlockKey {
  Hash128 hash{};
  uint32_t raw_bytes = 0;
  bool operator==(const BlockKey&) const = default;
};

inline BlockKey KeyOf(const BlockRef& block) {
  return {block.hash, block.raw_bytes};
}

struct BlockKeyHash {
  size_t operator()(const BlockKey& key) const {
    size_t value = 0;
    std::memcpy(&value, key.hash.data() + 4, sizeof(value));  // the first bytes may have chosen a shard
    return value;
  }
};

}  // namespace holdfast
