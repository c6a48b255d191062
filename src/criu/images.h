// What Holdfast reads from CRIU's images, and what it corrects in them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "linux/proc.h"

namespace holdfast {

// criu/include/image.h: flags of a pagemap entry.
inline constexpr uint32_t kPagemapPresent = 4;

struct PagemapImage {
  struct Entry {
    uint64_t address = 0;
    uint32_t pages = 0;
  };
  uint32_t pages_id = 0;  // the content is in pages-ID.img, entry after entry
  std::vector<Entry> entries;
};

Result<PagemapImage> ParsePagemap(std::string_view bytes, const std::string& name);
std::string SerializePagemap(const PagemapImage& pagemap);

// core-TID.img: addresses in a thread's memory that the kernel uses while CRIU restores it.
struct ThreadAddresses {
  uint64_t stack_pointer = 0;
  uint64_t rseq = 0;  // 0: none registered
  uint32_t rseq_bytes = 0;
};
Result<ThreadAddresses> ParseThread(std::string_view core_image, const std::string& name);

// stats-dump: freezing and frozen together, in milliseconds.
Result<double> ParseFreezeMs(std::string_view stats_image);

// pstree.img
struct ProcessTreeEntry {
  int32_t pid = 0;
  int32_t parent = 0;
  int32_t group = 0;
  int32_t session = 0;
  std::vector<int32_t> threads;
};
Result<std::vector<ProcessTreeEntry>> ParseProcessTree(std::string_view image);

// mm-PID.img: where a process maps anonymous shared memory.
struct SharedPlace {
  uint64_t address = 0;
  uint64_t object = 0;  // SharedObject::id
};
Result<std::vector<SharedPlace>> ParseSharedPlaces(std::string_view mm_image);

// mm-PID.img with the flags that `mappings` show (madvise, mlock, grows-down, no-reserve). CRIU takes them
// from smaps.
Result<std::string> CorrectMappingFlags(std::string_view mm_image,
                                        const std::vector<MappingDetail>& mappings);

}  // namespace holdfast
