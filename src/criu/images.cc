#include "criu/images.h"

#include <sys/mman.h>

#include <array>
#include <map>

#include "criu/image_file.h"
#include "criu_images.pb.h"

namespace holdfast {

Result<PagemapImage> ParsePagemap(std::string_view bytes, const std::string& name) {
  const ImageRecords records = TRY(ImageRecords::Parse(bytes, name));
  criu_image::PagemapHead head;
  TRY(records.Get(0, head));
  PagemapImage pagemap;
  pagemap.pages_id = head.pages_id();
  for (size_t i = 1; i < records.size(); ++i) {
    criu_image::PagemapEntry entry;
    TRY(records.Get(i, entry));
    pagemap.entries.push_back({entry.address(), entry.pages()});
  }
  return pagemap;
}

std::string SerializePagemap(const PagemapImage& pagemap) {
  ImageRecords records = ImageRecords::Make(kCriuCommonMagic, kCriuPagemapMagic);
  criu_image::PagemapHead head;
  head.set_pages_id(pagemap.pages_id);
  records.Add(head);
  for (const PagemapImage::Entry& entry : pagemap.entries) {
    criu_image::PagemapEntry record;
    record.set_address(entry.address);
    record.set_pages(entry.pages);
    record.set_flags(kPagemapPresent);
    records.Add(record);
  }
  return records.Bytes();
}

Result<ThreadAddresses> ParseThread(std::string_view core_image, const std::string& name) {
  const ImageRecords records = TRY(ImageRecords::Parse(core_image, name));
  criu_image::Core core;
  TRY(records.Get(0, core));
  ThreadAddresses addresses;
  addresses.stack_pointer = core.x86().registers().sp();
  addresses.rseq = core.thread().rseq().address();
  addresses.rseq_bytes = core.thread().rseq().bytes();
  return addresses;
}

Result<double> ParseFreezeMs(std::string_view stats_image) {
  const ImageRecords records = TRY(ImageRecords::Parse(stats_image, "stats-dump"));
  criu_image::Statistics statistics;
  TRY(records.Get(0, statistics));
  return (statistics.dump().freezing_us() + statistics.dump().frozen_us()) / 1000.0;
}

Result<std::vector<ProcessTreeEntry>> ParseProcessTree(std::string_view image) {
  const ImageRecords records = TRY(ImageRecords::Parse(image, "pstree.img"));
  std::vector<ProcessTreeEntry> tree;
  for (size_t i = 0; i < records.size(); ++i) {
    criu_image::Process process;
    TRY(records.Get(i, process));
    ProcessTreeEntry entry;
    entry.pid = static_cast<int32_t>(process.pid());
    entry.parent = static_cast<int32_t>(process.parent());
    entry.group = static_cast<int32_t>(process.group());
    entry.session = static_cast<int32_t>(process.session());
    for (const uint32_t thread : process.threads()) entry.threads.push_back(static_cast<int32_t>(thread));
    // The first one has the process's id. Of a zombie CRIU 4.1 writes whatever was in its memory there
    // (criu/seize.c, collect_threads), and skips it when it restores (criu/pstree.c, read_one_pstree_item).
    if (!entry.threads.empty()) entry.threads.front() = entry.pid;
    tree.push_back(std::move(entry));
  }
  return tree;
}

namespace {

// The flags that CRIU 4.1 derives from VmFlags (criu/proc_parse.c, __parse_vmflags).
struct FlagRule {
  std::string_view word;
  uint32_t map_flag;
  int advice;  // -1: none
};
constexpr std::array<FlagRule, 11> kFlagRules = {{{"gd", MAP_GROWSDOWN, -1},
                                                  {"lo", MAP_LOCKED, -1},
                                                  {"nr", MAP_NORESERVE, -1},
                                                  {"ht", MAP_HUGETLB, -1},
                                                  {"sr", 0, MADV_SEQUENTIAL},
                                                  {"rr", 0, MADV_RANDOM},
                                                  {"dc", 0, MADV_DONTFORK},
                                                  {"dd", 0, MADV_DONTDUMP},
                                                  {"mg", 0, MADV_MERGEABLE},
                                                  {"hg", 0, MADV_HUGEPAGE},
                                                  {"nh", 0, MADV_NOHUGEPAGE}}};

void Correct(criu_image::Vma& vma, const MappingDetail& detail) {
  uint32_t flags = vma.flags();
  uint64_t advice = 0;
  for (const FlagRule& rule : kFlagRules) {
    const bool set = detail.Has(rule.word);
    if (rule.map_flag != 0) flags = set ? flags | rule.map_flag : flags & ~rule.map_flag;
    if (rule.advice >= 0 && set) advice |= 1ull << rule.advice;
  }
  vma.set_flags(flags);
  if (advice != 0 || vma.has_madvice()) vma.set_madvice(advice);
}

}  // namespace

Result<std::vector<SharedPlace>> ParseSharedPlaces(std::string_view mm_image) {
  // criu/include/image.h: VMA_ANON_SHARED, VMA_AREA_SYSVIPC.
  constexpr uint32_t kAnonymousShared = 1 << 8;
  constexpr uint32_t kSysV = 1 << 10;
  const ImageRecords records = TRY(ImageRecords::Parse(mm_image, "mm image"));
  criu_image::Memory memory;
  TRY(records.Get(0, memory));
  std::vector<SharedPlace> places;
  for (const criu_image::Vma& vma : memory.vmas()) {
    if ((vma.status() & kAnonymousShared) == 0 || (vma.status() & kSysV) != 0) continue;
    places.push_back({vma.start(), vma.shared_id()});
  }
  return places;
}

Result<std::string> CorrectMappingFlags(std::string_view mm_image,
                                        const std::vector<MappingDetail>& mappings) {
  ImageRecords records = TRY(ImageRecords::Parse(mm_image, "mm image"));
  criu_image::Memory memory;
  TRY(records.Get(0, memory));
  std::map<uint64_t, const MappingDetail*> by_start;
  for (const MappingDetail& detail : mappings) by_start[detail.mapping.start] = &detail;
  for (criu_image::Vma& vma : *memory.mutable_vmas()) {
    // CRIU may have merged or cut at its end (stack guard); the start is what names a mapping.
    auto found = by_start.upper_bound(vma.start());
    if (found == by_start.begin()) continue;
    --found;
    if (vma.start() < found->second->mapping.end) Correct(vma, *found->second);
  }
  records.Set(0, memory);
  return records.Bytes();
}

}  // namespace holdfast
