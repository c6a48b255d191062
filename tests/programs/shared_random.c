// Three processes share an object. Each owns every third page, changes its pages in all ways there are
// (through two mappings, by the kernel, through a descriptor, by children, by holes), and knows what must be
// in them. shared_random DIR anonymous|memfd [MEGABYTES]
#include <sys/prctl.h>

#include "subject.h"

enum { kProcesses = 3, kTailPages = 64, kOperations = 12 };

static int object = -1;  // of a memfd
static size_t pages;
static char* first;         // always mapped, all of it
static char* second;        // comes and goes; NULL
static uint64_t* expected;  // of each page: what it was filled from, 0: zeros
static size_t number;       // which of the processes this is
static size_t tail_pages;   // behind the others; the first process's
static uint64_t tail_expected[kTailPages];
static uint64_t chance;

static uint64_t Below(uint64_t limit) {
  chance = SubjectMix(chance + 0x9e3779b97f4a7c15ull);
  return chance % limit;
}

static size_t Bytes(void) {
  return pages * kPageBytes;
}

static void MapSecond(void) {
  void* place = object < 0 ? mremap(first, 0, Bytes(), MREMAP_MAYMOVE)
                           : mmap(NULL, Bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, object, 0);
  SUBJECT_CHECK(place != MAP_FAILED);
  second = place;
}

static size_t OwnPage(void) {
  return Below(pages / kProcesses) * kProcesses + number;
}

static int IsRight(const char* page, uint64_t seed) {
  static const char zeros[kPageBytes];
  return seed ? !SubjectWrongPages(page, kPageBytes, seed) : !memcmp(page, zeros, kPageBytes);
}

static void Verify(void) {
  for (size_t page = number; page < pages; page += kProcesses) {
    if (!IsRight(first + page * kPageBytes, expected[page]))
      SubjectFail("process %zu: page %zu is wrong", number, page);
    if (second && page % 7 == 0 && !IsRight(second + page * kPageBytes, expected[page])) {
      SubjectFail("process %zu: page %zu is wrong in the second mapping", number, page);
    }
  }
  for (size_t page = 0; page < tail_pages; ++page) {
    char content[kPageBytes];
    SUBJECT_CHECK(pread(object, content, kPageBytes, (off_t)(Bytes() + page * kPageBytes)) == kPageBytes);
    if (!IsRight(content, tail_expected[page])) SubjectFail("page %zu behind the others is wrong", page);
  }
}

// By the kernel, out of a pipe.
static void ReadInto(char* page, const char* content) {
  int ends[2];
  SUBJECT_CHECK(pipe(ends) == 0);
  SUBJECT_CHECK(write(ends[1], content, kPageBytes) == kPageBytes);
  SUBJECT_CHECK(read(ends[0], page, kPageBytes) == kPageBytes);
  close(ends[0]);
  close(ends[1]);
}

static void WriteByChild(char* page, uint64_t seed) {
  pid_t child = fork();
  SUBJECT_CHECK(child >= 0);
  if (child == 0) {
    SubjectFill(page, kPageBytes, seed);
    _exit(0);
  }
  int status = 0;
  pid_t waited;
  while ((waited = waitpid(child, &status, 0)) < 0 && errno == EINTR) {
  }
  SUBJECT_CHECK(waited == child && status == 0);
}

static void MakeHole(size_t page) {
  if (object >= 0 && Below(2)) {
    SUBJECT_CHECK(fallocate(object, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(page * kPageBytes),
                            kPageBytes) == 0);
  } else {
    SUBJECT_CHECK(madvise(first + page * kPageBytes, kPageBytes, MADV_REMOVE) == 0);
  }
  if (Below(2)) (void)*(volatile char*)(first + page * kPageBytes);
  expected[page] = 0;
}

static void ChangeTail(uint64_t seed) {
  if (object < 0 || number != 0) return;
  const size_t wanted = Below(kTailPages + 1);
  SUBJECT_CHECK(ftruncate(object, (off_t)(Bytes() + wanted * kPageBytes)) == 0);
  for (size_t page = tail_pages; page < wanted; ++page) tail_expected[page] = 0;
  tail_pages = wanted;
  if (wanted == 0) return;
  char content[kPageBytes] = {0};
  SubjectFill(content, kPageBytes, seed);
  const size_t page = Below(wanted);
  SUBJECT_CHECK(pwrite(object, content, kPageBytes, (off_t)(Bytes() + page * kPageBytes)) == kPageBytes);
  tail_expected[page] = seed;
}

static void Change(void) {
  const size_t page = OwnPage();
  char* place = (second && Below(2) ? second : first) + page * kPageBytes;
  const uint64_t seed = Below(UINT64_MAX - 1) + 1;
  char content[kPageBytes] = {0};
  SubjectFill(content, kPageBytes, seed);
  switch (Below(kOperations)) {
    case 0:
      MakeHole(page);
      return;
    case 1:
      if (Below(8)) return;
      if (second) {
        SUBJECT_CHECK(munmap(second, Bytes()) == 0);
        second = NULL;
      } else {
        MapSecond();
      }
      return;
    case 2:
      if (!second || Below(8)) return;
      second = mremap(second, Bytes(), Bytes(), MREMAP_MAYMOVE | MREMAP_FIXED,
                      mmap(NULL, Bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      SUBJECT_CHECK(second != MAP_FAILED);
      return;
    case 3:
      SUBJECT_CHECK(madvise(first, Bytes(), MADV_DONTNEED) == 0);
      return;
    case 4:
      ChangeTail(seed);
      return;
    case 5:
      if (object < 0) return;
      SUBJECT_CHECK(pwrite(object, content, kPageBytes, (off_t)(page * kPageBytes)) == kPageBytes);
      break;
    case 6:
      ReadInto(place, content);
      break;
    case 7:
      if (Below(16)) return;
      WriteByChild(place, seed);
      break;
    default:
      SubjectFill(place, kPageBytes, seed);
  }
  expected[page] = seed;
}

static void Work(void) {
  for (;;) {
    for (int i = 0; i < 100; ++i) Change();
    Verify();
    if (number == 0) {
      int status = 0;
      const pid_t ended = waitpid(-1, &status, WNOHANG);
      if (ended > 0 && WIFEXITED(status)) _exit(WEXITSTATUS(status));  // it has said why
      if (ended != 0) SubjectFail("process %d ended with status %#x", (int)ended, status);
      SubjectRound();
    }
    SubjectSleepMs(5);
  }
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  pages = (strtoul(SubjectArgument(argc, argv, 3, "16"), NULL, 10) << 20) / kPageBytes;
  if (!strcmp(SubjectArgument(argc, argv, 2, "anonymous"), "memfd")) {
    object = memfd_create("shared-random", MFD_CLOEXEC);
    SUBJECT_CHECK(object >= 0 && ftruncate(object, (off_t)Bytes()) == 0);
  }
  first =
      mmap(NULL, Bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | (object < 0 ? MAP_ANONYMOUS : 0), object, 0);
  SUBJECT_CHECK(first != MAP_FAILED);
  expected = SubjectMap(pages * sizeof *expected, MAP_PRIVATE);
  for (size_t i = 1; i < kProcesses && number == 0; ++i) {
    const pid_t child = fork();
    SUBJECT_CHECK(child >= 0);
    if (child == 0) number = i;
  }
  if (number != 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  chance = number + 1;
  for (size_t page = number; page < pages; page += kProcesses) {
    expected[page] = page % 5 ? SubjectMix(page + 1) : 0;
    if (expected[page]) SubjectFill(first + page * kPageBytes, kPageBytes, expected[page]);
  }
  if (number == 0) SubjectReady();
  Work();
}
