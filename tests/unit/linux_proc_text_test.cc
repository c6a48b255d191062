// The parsers of /proc, on texts that the kernel may give and on texts that it never should.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {
namespace {

TEST(ParseMaps, ReadsEveryField) {
  const Result<std::vector<Mapping>> mappings =
      ParseMaps("7f12a000-7f12b000 rw-s 0000f000 fd:1a 1234                       /usr/lib/x.so\n");
  ASSERT_TRUE(mappings) << mappings.error().message;
  ASSERT_EQ(mappings->size(), 1U);
  const Mapping& mapping = mappings->front();
  EXPECT_EQ(mapping.start, 0x7f12a000U);
  EXPECT_EQ(mapping.end, 0x7f12b000U);
  EXPECT_EQ(mapping.bytes(), 0x1000U);
  EXPECT_TRUE(mapping.readable && mapping.writable && mapping.shared && !mapping.executable);
  EXPECT_EQ(mapping.offset, 0xf000U);
  EXPECT_EQ(mapping.device_major, 0xfdU);
  EXPECT_EQ(mapping.device_minor, 0x1aU);
  EXPECT_EQ(mapping.inode, 1234U);
  EXPECT_EQ(mapping.name, "/usr/lib/x.so");
  EXPECT_EQ(mapping.line, "7f12a000-7f12b000 rw-s 0000f000 fd:1a 1234                       /usr/lib/x.so");
}

TEST(ParseMaps, KeepsNamesAsTheKernelWritesThem) {
  const std::string head = "1000-2000 r-xp 00000000 08:01 7    ";
  for (const std::string name :
       {"/tmp/a b", "/tmp/a  two blanks", "/tmp/ (deleted)", "/memfd:x (y) (deleted)", "/tmp/line\\012end",
        "/tmp/1000-2000 rw-p", "[stack]", "[anon: Mem:with) (]", "/tmp/\xff\xfe", "/"}) {
    const Result<std::vector<Mapping>> mappings = ParseMaps(head + name + "\n");
    ASSERT_TRUE(mappings) << name;
    EXPECT_EQ(mappings->at(0).name, name);
  }
}

TEST(ParseMaps, AnonymousMappingsHaveNoName) {
  for (const char* line : {"1000-2000 ---p 00000000 00:00 0", "1000-2000 ---p 00000000 00:00 0 ",
                           "1000-2000 ---p 00000000 00:00 0      "}) {
    const Result<std::vector<Mapping>> mappings = ParseMaps(line);
    ASSERT_TRUE(mappings) << line;
    EXPECT_EQ(mappings->at(0).name, "");
    EXPECT_EQ(mappings->at(0).inode, 0U);
  }
}

TEST(ParseMaps, TakesTheGreatestNumbersThereAre) {
  const Result<std::vector<Mapping>> mappings = ParseMaps(
      "ffffffffff600000-ffffffffffffffff --xp ffffffffffffffff ffffffff:ffffffff 18446744073709551615");
  ASSERT_TRUE(mappings) << mappings.error().message;
  EXPECT_EQ(mappings->at(0).end, UINT64_MAX);
  EXPECT_EQ(mappings->at(0).offset, UINT64_MAX);
  EXPECT_EQ(mappings->at(0).inode, UINT64_MAX);
  EXPECT_EQ(mappings->at(0).device_minor, UINT32_MAX);
}

TEST(ParseMaps, RefusesWhatMakesNoSense) {
  for (const char* text : {
           "\n",
           "garbage\n",
           "1000-2000 rw-p 00000000 08:01 7 /x\n\n1000-2000 rw-p 00000000 08:01 7 /x\n",  // an empty line
                                                                                          // between
           "10000000000000000-20000000000000000 rw-p 00000000 00:00 0\n",                 // more than 64 bits
           "1000-2000 rw-p 00000000 00:00 18446744073709551616\n",
           "1000-2000 rw-p 00000000 100000000:00 0\n",
           "2000-1000 rw-p 00000000 00:00 0\n",  // ends before it starts
           "1000-1000 rw-p 00000000 00:00 0\n",
           "-2000 rw-p 00000000 00:00 0\n",
           "1000- rw-p 00000000 00:00 0\n",
           "0x1000-0x2000 rw-p 00000000 00:00 0\n",
           "1000-2000 rwxz 00000000 00:00 0\n",
           "1000-2000 rw 00000000 00:00 0\n",
           "1000-2000 rw-p  00:00 0\n",
           "1000-2000 rw-p 00000000 0000 0\n",
           "1000-2000 rw-p 00000000 00:00 -1\n",
           "1000-2000 rw-p 00000000 00:00 0x7\n",
           "1000 2000 rw-p 00000000 00:00 0\n",
       }) {
    const Result<std::vector<Mapping>> mappings = ParseMaps(text);
    EXPECT_FALSE(mappings) << text;
  }
}

TEST(ParseMaps, ALineThatIsCutOffBeforeItsInodeIsRefused) {
  const std::string line = "7f12a000-7f12b000 rw-p 00001000 08:01 1234      /usr/lib/x.so";
  const size_t inode = line.find("1234");
  for (size_t length = 1; length <= line.size(); ++length) {
    EXPECT_EQ(ParseMaps(line.substr(0, length)).has_value(), length > inode) << line.substr(0, length);
  }
}

TEST(ParseMaps, NothingIsNoMapping) {
  EXPECT_TRUE(ParseMaps("")->empty());
}

TEST(ParseSmaps, AddsFlagsAndFiguresToTheirMapping) {
  const Result<std::vector<MappingDetail>> details = ParseSmaps(
      "1000-3000 rw-p 00000000 00:00 0 \n"
      "Size:                  8 kB\n"
      "Rss:                   4 kB\n"
      "AnonHugePages:      2048 kB\n"
      "THPeligible:           1\n"
      "ProtectionKey:         0\n"
      "VmFlags: rd wr mr mw me ac sd hg \n"
      "ab000-ac000 r--p 00000000 08:01 7    /tmp/Rss: 9 kB\n"
      "Rss:                   0 kB\n"
      "SomethingNew:          what ever\n"
      "VmFlags: rd\n");
  ASSERT_TRUE(details) << details.error().message;
  ASSERT_EQ(details->size(), 2U);
  EXPECT_EQ(details->at(0).resident_bytes, 4096U);
  EXPECT_EQ(details->at(0).anonymous_huge_bytes, 2048U * 1024);
  EXPECT_EQ(details->at(0).flags.size(), 8U);
  EXPECT_TRUE(details->at(0).Has("hg"));
  EXPECT_FALSE(details->at(0).Has("h"));
  EXPECT_EQ(details->at(1).mapping.name, "/tmp/Rss: 9 kB");
  EXPECT_EQ(details->at(1).resident_bytes, 0U);
  EXPECT_EQ(details->at(1).flags, (std::vector<std::string>{"rd"}));
}

TEST(ParseSmaps, RefusesWhatMakesNoSense) {
  const std::string mapping = "1000-3000 rw-p 00000000 00:00 0\n";
  for (const std::string& text :
       {std::string("Rss: 4 kB\n"), mapping + "no colon\n", mapping + "\n", mapping + "Rss: x kB\n",
        mapping + "Rss: 4 MB\n", mapping + "Rss: 4\n", mapping + "Rss: -4 kB\n",
        mapping + "Rss: 18446744073709551615 kB\n", mapping + "AnonHugePages: 99999999999999999999 kB\n",
        mapping + "3000-1000 rw-p 00000000 00:00 0\n"}) {
    EXPECT_FALSE(ParseSmaps(text)) << text;
  }
}

// Fields of stat after the name; the 22nd is the start time.
std::string StatAfterName(const std::string& state = "S", const std::string& flags = "4194560") {
  return ") " + state + " 1 12 13 34816 -1 " + flags + " 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 20\n";
}
const std::string kStatus =
    "Name:\tx\nUmask:\t0022\nTracerPid:\t77\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t100\t100\t100\n"
    "NSpid:\t12\t1\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\nVmLck:\t       4 "
    "kB\nSeccomp:\t2\n";

TEST(ParseStatus, ReadsEveryField) {
  const Result<ProcessStatus> status = ParseStatus("12 (a name" + StatAfterName(), kStatus);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->pid, 12);
  EXPECT_EQ(status->name, "a name");
  EXPECT_EQ(status->state, 'S');
  EXPECT_EQ(status->parent, 1);
  EXPECT_EQ(status->group, 12);
  EXPECT_EQ(status->session, 13);
  EXPECT_FALSE(status->kernel_thread);
  EXPECT_FALSE(status->exiting);
  EXPECT_EQ(status->start_ticks, 987654U);
  EXPECT_EQ(status->user_ticks, 5U + 7U);
  EXPECT_EQ(status->uid, 1000U);
  EXPECT_EQ(status->effective_uid, 1001U);
  EXPECT_EQ(status->gid, 100U);
  EXPECT_EQ(status->resident_bytes, 1024U * 1024);
  EXPECT_EQ(status->anonymous_bytes, 512U * 1024);
  EXPECT_EQ(status->peak_resident_bytes, 2048U * 1024);
  EXPECT_EQ(status->locked_bytes, 4096U);
  EXPECT_EQ(status->seccomp_mode, 2);
  EXPECT_EQ(status->tracer, 77);
  EXPECT_EQ(status->namespace_pids, (std::vector<pid_t>{12, 1}));
}

TEST(ParseStatus, ANameMayHoldWhatLooksLikeTheRest) {
  for (const std::string name : {")", "(", "a) R 1 2 3 (b", ") Z 1 1 1", "a\nb", "", " ", "((()))", "\xff"}) {
    const Result<ProcessStatus> status = ParseStatus("12 (" + name + StatAfterName(), kStatus);
    ASSERT_TRUE(status) << name;
    EXPECT_EQ(status->name, name);
    EXPECT_EQ(status->state, 'S');
    EXPECT_EQ(status->start_ticks, 987654U);
  }
}

TEST(ParseStatus, TellsZombiesAndKernelThreads) {
  EXPECT_TRUE(ParseStatus("12 (a" + StatAfterName("R", "4194564"), kStatus)->exiting);
  EXPECT_TRUE(ParseStatus("12 (a" + StatAfterName("Z"), kStatus)->zombie());
  EXPECT_TRUE(ParseStatus("12 (a" + StatAfterName("X"), kStatus)->zombie());
  EXPECT_TRUE(ParseStatus("12 (a" + StatAfterName("I", "2129984"), kStatus)->kernel_thread);
}

TEST(ParseStatus, WithoutNamespacePidsThePidStands) {
  EXPECT_EQ(ParseStatus("12 (a" + StatAfterName(), "Uid:\t0\t0\t0\t0\n")->namespace_pids,
            std::vector<pid_t>{12});
}

TEST(ParseStatus, RefusesWhatMakesNoSense) {
  const std::string stat = "12 (a" + StatAfterName();
  for (const std::string& wrong :
       {std::string(), std::string("12"), std::string("12 (a"), std::string("12 )a( S 1 2 3"),
        "99999999999 (a" + StatAfterName(), "x (a" + StatAfterName(), "12 (a" + StatAfterName("SS"),
        std::string("12 (a) S 1 12 13 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0\n"),  // ends before the start time
        std::string("12 (a) S 1 12 13 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 18446744073709551616\n")}) {
    EXPECT_FALSE(ParseStatus(wrong, kStatus)) << wrong;
  }
  for (const char* wrong :
       {"", "Name:\tx\n", "Uid:\tx\n", "Uid:\t-1\t0\n", "Uid:\t0\t0\nno colon\n",
        "Uid:\t0\t0\nVmRSS:\t99999999999999999999 kB\n", "Uid:\t0\t0\nVmRSS:\t18446744073709551615 kB\n",
        "Uid:\t0\t0\nNSpid:\t1\tx\n", "Uid:\t0\t0\nTracerPid:\t\n"}) {
    EXPECT_FALSE(ParseStatus(stat, wrong)) << wrong;
  }
}

// Real texts with a few bytes changed, and cut off: refused or read, and nothing worse.
TEST(ProcParsers, SurviveChangedTexts) {
  const char* given = ::getenv("HOLDFAST_TEST_SEED");
  const uint64_t seed = given != nullptr ? ::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("HOLDFAST_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string maps = ReadFile("/proc/self/maps").value();
  const std::string smaps = ReadFile("/proc/self/smaps").value().substr(0, 8000);
  const std::string stat = ReadFile("/proc/self/stat").value();
  const std::string status = ReadFile("/proc/self/status").value();
  const auto change = [&](std::string text) {
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    if (random() % 2 == 0) text.resize(random() % text.size());
    return text;
  };
  size_t parsed = 0;
  for (int round = 0; round < 200; ++round) {
    if (const auto mappings = ParseMaps(change(maps)); mappings && !mappings->empty()) ++parsed;
    if (const auto details = ParseSmaps(change(smaps)); details && !details->empty()) ++parsed;
    if (ParseStatus(change(stat), change(status))) ++parsed;
  }
  EXPECT_LE(parsed, 600U);
}

TEST(TakeLine, TakesLinesWithAndWithoutANewlineAtTheEnd) {
  std::string_view text = "a\n\nb";
  EXPECT_EQ(TakeLine(text), "a");
  EXPECT_EQ(TakeLine(text), "");
  EXPECT_EQ(TakeLine(text), "b");
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(TakeLine(text), "");
}

TEST(TakeWord, SkipsBlanksAndTabs) {
  std::string_view text = " \t a b\tc  ";
  EXPECT_EQ(TakeWord(text), "a");
  EXPECT_EQ(TakeWord(text), "b");
  EXPECT_EQ(TakeWord(text), "c");
  EXPECT_EQ(TakeWord(text), "");
}

TEST(SplitAtNul, KeepsEmptyStringsAndALastOneWithoutNul) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(SplitAtNul(""), Strings{});
  EXPECT_EQ(SplitAtNul(std::string_view("a\0\0b\0", 5)), (Strings{"a", "", "b"}));
  EXPECT_EQ(SplitAtNul(std::string_view("a\0b", 3)), (Strings{"a", "b"}));
}

TEST(ParseNumber, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(ParseNumber<int>("-12"), -12);
  EXPECT_EQ(ParseNumber<uint32_t>("100002", 8), 0100002U);
  for (const char* text : {"", " 1", "1 ", "1x", "+1", "4294967296"}) {
    EXPECT_FALSE(ParseNumber<uint32_t>(text)) << text;
  }
}

}  // namespace
}  // namespace holdfast
