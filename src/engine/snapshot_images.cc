#include "engine/snapshot_images.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/limits.h"
#include "base/page.h"
#include "criu/fired_timers.h"
#include "criu/unsent_data.h"
#include "engine/scratch_directory.h"
#include "memory/extent_reader.h"
#include "store/file_io.h"

namespace holdfast {
namespace {

// Where runc says what a container's descriptors 0, 1 and 2 were (libcontainer/container_linux.go of 1.1).
constexpr const char* kRuncDescriptors = "descriptors.json";

// The number between `prefix` and ".img"; -1 when the name is not of that kind.
int64_t NumberInName(const std::string& name, std::string_view prefix) {
  if (!name.starts_with(prefix) || !name.ends_with(".img")) return -1;
  int64_t number = -1;
  const char* end = name.data() + name.size() - 4;
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, number);
  return error == std::errc{} && rest == end ? number : -1;
}

Result<std::vector<std::byte>> ReadImage(const Manifest& manifest, const BlockReader& blocks,
                                         const std::string& name) {
  for (const ImageFile& image : manifest.images) {
    if (image.name == name) return blocks.ReadBlob(image.content);
  }
  return Fail(ErrorKind::kCorrupt, fmt::format("the snapshot lacks CRIU's image {}", name));
}

std::string_view AsText(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Result<std::vector<ImageFile>> StoreImages(const std::string& directory, PendingSnapshot& pending,
                                           const std::map<pid_t, std::vector<MappingDetail>>& corrected) {
  std::vector<ImageFile> images;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".img") || name == kRuncDescriptors) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    std::string bytes = TRY(ReadWholeFile(directory + "/" + name));
    const int64_t pid = NumberInName(name, "mm-");
    const auto correction = corrected.find(static_cast<pid_t>(pid));
    if (correction != corrected.end()) bytes = TRY(CorrectMappingFlags(bytes, correction->second));
    if (NumberInName(name, "core-") >= 0) bytes = TRY(KeepFiredTimers(bytes, name));
    if (name.starts_with("tcp-stream-")) bytes = TRY(KeepUnsentData(bytes, name));
    if (name == kFilesImage) bytes = TRY(KeepFiredTimerDescriptors(bytes));
    const Blob content = TRY(pending.AppendBlob(std::as_bytes(std::span(bytes))));
    images.push_back({name, content});
  }
  return images;
}

Result<std::vector<ProcessTreeEntry>> ReadProcessTree(const Manifest& manifest, const BlockReader& blocks) {
  return ParseProcessTree(AsText(TRY(ReadImage(manifest, blocks, "pstree.img"))));
}

Result<std::string> ReadFilesImage(const Manifest& manifest, const BlockReader& blocks) {
  return std::string(AsText(TRY(ReadImage(manifest, blocks, kFilesImage))));
}

namespace {

const AddressSpace* SpaceOf(const Manifest& manifest, pid_t pid) {
  for (const AddressSpace& space : manifest.address_spaces) {
    if (space.pid == pid) return &space;
  }
  return nullptr;
}

void AddPages(std::set<uint64_t>& pages, uint64_t from, uint64_t bytes) {
  for (uint64_t page = from / kPageBytes * kPageBytes; page < from + bytes; page += kPageBytes)
    pages.insert(page);
}

// The kernel writes into a task's rseq area when it registers it, so the area's content must be there before
// that.
Result<std::set<uint64_t>> KernelTouchedPages(const Manifest& manifest, const BlockReader& blocks,
                                              const ProcessTreeEntry& process) {
  std::set<uint64_t> pages;
  for (const int32_t thread : process.threads) {
    const std::string name = fmt::format("core-{}.img", thread);
    const ThreadAddresses addresses = TRY(ParseThread(AsText(TRY(ReadImage(manifest, blocks, name))), name));
    AddPages(pages, addresses.stack_pointer, 1);
    if (addresses.rseq != 0) AddPages(pages, addresses.rseq, std::max<uint64_t>(addresses.rseq_bytes, 1));
  }
  return pages;
}

// Pages that parent and child had in common: the same stored block at the same address. CRIU gives them back
// as one page where its own rules allow; filled from outside, each would get its own.
void AddSharedPages(const AddressSpace& parent, const AddressSpace& child, std::set<uint64_t>& parent_pages,
                    std::set<uint64_t>& child_pages) {
  auto other = parent.extents.begin();
  for (const Extent& extent : child.extents) {
    while (other != parent.extents.end() && other->address < extent.address) ++other;
    if (other == parent.extents.end()) break;
    if (other->address != extent.address || other->block != extent.block ||
        other->first_page != extent.first_page || extent.block == kZeroBlock) {
      continue;
    }
    const uint64_t bytes = std::min(other->pages, extent.pages) * kPageBytes;
    AddPages(parent_pages, extent.address, bytes);
    AddPages(child_pages, extent.address, bytes);
  }
}

// Appends pages of an address space to a pages image and names them in a pagemap.
class PagesImage {
 public:
  static Result<PagesImage> Create(const std::string& path) {
    Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd.valid()) return FailErrno("cannot create " + path);
    return PagesImage(path, std::move(fd));
  }

  Result<void> Add(uint64_t address, std::span<const std::byte> pages) {
    const auto count = static_cast<uint32_t>(pages.size() / kPageBytes);
    if (!entries_.empty() && entries_.back().address + entries_.back().pages * kPageBytes == address) {
      entries_.back().pages += count;
    } else {
      entries_.push_back({address, count});
    }
    TRY(WriteAll(fd_.get(), offset_, pages, path_));
    offset_ += pages.size();
    return {};
  }

  std::vector<PagemapImage::Entry>& entries() { return entries_; }

 private:
  PagesImage(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  Fd fd_;
  uint64_t offset_ = 0;
  std::vector<PagemapImage::Entry> entries_;
};

// Of zeros too.
Result<std::span<const std::byte>> ReadAll(ExtentReader& reader, const Extent& extent,
                                           std::vector<std::byte>& zeros) {
  if (extent.block != kZeroBlock) return reader.Read(extent);
  zeros.assign(extent.pages * kPageBytes, std::byte{0});
  return std::span<const std::byte>(zeros);
}

// pagemap-PID.img and pages-N.img of one task: what CRIU itself stored (the vdso), and `pages` from our
// index.
Result<void> WriteTaskPages(const std::string& directory, const Manifest& manifest, const BlockReader& blocks,
                            pid_t pid, const std::set<uint64_t>& pages) {
  const std::string name = fmt::format("pagemap-{}.img", pid);
  PagemapImage pagemap = TRY(ParsePagemap(AsText(TRY(ReadImage(manifest, blocks, name))), name));
  const std::string pages_name = fmt::format("pages-{}.img", pagemap.pages_id);
  const std::vector<std::byte> from_criu = TRY(ReadImage(manifest, blocks, pages_name));

  // Address -> where its bytes are; CRIU wants them in order.
  std::map<uint64_t, std::vector<std::byte>> stretches;
  size_t offset = 0;
  for (const PagemapImage::Entry& entry : pagemap.entries) {
    const size_t bytes = entry.pages * kPageBytes;
    if (bytes > from_criu.size() - offset) return Fail(ErrorKind::kCorrupt, pages_name + " is cut off");
    stretches[entry.address].assign(from_criu.begin() + static_cast<ptrdiff_t>(offset),
                                    from_criu.begin() + static_cast<ptrdiff_t>(offset + bytes));
    offset += bytes;
  }
  PagesImage image = TRY(PagesImage::Create(directory + "/" + pages_name));
  ExtentReader reader(manifest, blocks);
  std::vector<std::byte> zeros;
  const AddressSpace* space = SpaceOf(manifest, pid);
  if (space == nullptr) return Fail(ErrorKind::kCorrupt, fmt::format("process {} has no memory", pid));
  auto next_stretch = stretches.begin();
  const auto write_stretches_before = [&](uint64_t address) -> Result<void> {
    for (; next_stretch != stretches.end() && next_stretch->first < address; ++next_stretch) {
      TRY(image.Add(next_stretch->first, next_stretch->second));
    }
    return {};
  };
  for (const Extent& extent : space->extents) {
    auto page = pages.lower_bound(extent.address);
    const uint64_t end = extent.address + extent.pages * kPageBytes;
    if (page == pages.end() || *page >= end) continue;
    TRY(write_stretches_before(extent.address));
    const std::span<const std::byte> content = TRY(ReadAll(reader, extent, zeros));
    for (; page != pages.end() && *page < end; ++page) {
      TRY(image.Add(*page, content.subspan(*page - extent.address, kPageBytes)));
    }
  }
  TRY(write_stretches_before(~0ull));
  pagemap.entries = std::move(image.entries());
  return WriteWholeFile(directory + "/" + name, SerializePagemap(pagemap));
}

// Where anonymous shared memory is mapped. What is not in there is no anonymous memory, or nobody's.
Result<std::vector<SharedMemoryPlace>> FindSharedPlaces(const Manifest& manifest, const BlockReader& blocks,
                                                        const std::vector<ProcessTreeEntry>& tree) {
  std::map<uint64_t, SharedMemoryPlace> places;
  for (const ProcessTreeEntry& process : tree) {
    if (SpaceOf(manifest, process.pid) == nullptr) continue;  // a zombie
    const std::vector<std::byte> image =
        TRY(ReadImage(manifest, blocks, fmt::format("mm-{}.img", process.pid)));
    for (const SharedPlace& place : TRY(ParseSharedPlaces(AsText(image)))) {
      places.try_emplace(place.object, SharedMemoryPlace{process.pid, place.address, nullptr});
    }
  }
  std::vector<SharedMemoryPlace> of_objects;
  for (const SharedObject& object : manifest.shared_objects) {
    const auto place = places.find(object.id);
    if (place == places.end()) continue;
    of_objects.push_back(place->second);
    of_objects.back().object = &object;
  }
  return of_objects;
}

Result<void> WriteSharedObject(const std::string& directory, const Manifest& manifest,
                               const BlockReader& blocks, const SharedObject& object) {
  const std::string name = fmt::format("pagemap-shmem-{}.img", object.id);
  const Result<std::vector<std::byte>> stored = ReadImage(manifest, blocks, name);
  if (!stored) return {};  // an object that only a dead process would have mapped
  PagemapImage pagemap = TRY(ParsePagemap(AsText(*stored), name));
  PagesImage image = TRY(PagesImage::Create(fmt::format("{}/pages-{}.img", directory, pagemap.pages_id)));
  ExtentReader reader(manifest, blocks);
  std::vector<std::byte> zeros;
  for (const Extent& extent : object.extents) {
    TRY(image.Add(extent.address, TRY(ReadAll(reader, extent, zeros))));
  }
  pagemap.entries = std::move(image.entries());
  return WriteWholeFile(directory + "/" + name, SerializePagemap(pagemap));
}

}  // namespace

Result<RebuiltImages> RebuildImages(const std::string& directory, const Manifest& manifest,
                                    const BlockReader& blocks) {
  for (const ImageFile& image : manifest.images) {
    if (image.name.find('/') != std::string::npos || image.name.starts_with('.')) {
      return Fail(ErrorKind::kCorrupt, fmt::format("'{}' is no name of a CRIU image", image.name));
    }
    const std::vector<std::byte> bytes = TRY(blocks.ReadBlob(image.content));
    TRY(WriteWholeFile(directory + "/" + image.name, AsText(bytes)));
  }
  RebuiltImages rebuilt;
  CriuPages& pages = rebuilt.pages;
  const std::vector<ProcessTreeEntry> tree = TRY(ReadProcessTree(manifest, blocks));
  for (const ProcessTreeEntry& process : tree) {
    if (SpaceOf(manifest, process.pid) == nullptr) continue;  // a zombie
    pages.by_task[process.pid] = TRY(KernelTouchedPages(manifest, blocks, process));
  }
  for (const ProcessTreeEntry& process : tree) {
    const AddressSpace* child = SpaceOf(manifest, process.pid);
    const AddressSpace* parent = SpaceOf(manifest, process.parent);
    if (child == nullptr || parent == nullptr) continue;
    AddSharedPages(*parent, *child, pages.by_task[process.parent], pages.by_task[process.pid]);
  }
  for (const auto& [pid, addresses] : pages.by_task) {
    TRY(WriteTaskPages(directory, manifest, blocks, pid, addresses));
  }
  rebuilt.shared = TRY(FindSharedPlaces(manifest, blocks, tree));
  for (const SharedObject& object : manifest.shared_objects) {
    const bool is_filled =
        std::any_of(rebuilt.shared.begin(), rebuilt.shared.end(),
                    [&object](const SharedMemoryPlace& one) { return one.object == &object; });
    if (!is_filled) TRY(WriteSharedObject(directory, manifest, blocks, object));
  }
  return rebuilt;
}

}  // namespace holdfast
