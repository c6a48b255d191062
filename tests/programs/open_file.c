// A file open for writing that changes in every round: its content, size and offset always fit what memory
// says. open_file DIR grow|rewrite|shrink|rename
#include "subject.h"

enum { kRecord = 512 };
static int fd;
static uint64_t records[8192];  // what each record of the file has to start with
static size_t count;

static void Put(size_t index, uint64_t value) {
  uint64_t record[kRecord / 8];
  for (size_t i = 0; i < kRecord / 8; ++i) record[i] = SubjectMix(value + i);
  SUBJECT_CHECK(pwrite(fd, record, kRecord, (off_t)(index * kRecord)) == kRecord);
  records[index] = value;
}

static void Verify(void) {
  struct stat status;
  SUBJECT_CHECK(fstat(fd, &status) == 0);
  if ((size_t)status.st_size != count * kRecord) {
    SubjectFail("the file has %lld bytes, not %zu", (long long)status.st_size, count * kRecord);
  }
  SUBJECT_CHECK((status.st_mode & 07777) == 0640);
  for (size_t index = 0; index < count; ++index) {
    uint64_t record[kRecord / 8];
    SUBJECT_CHECK(pread(fd, record, kRecord, (off_t)(index * kRecord)) == kRecord);
    for (size_t i = 0; i < kRecord / 8; ++i) {
      if (record[i] != SubjectMix(records[index] + i)) SubjectFail("record %zu is wrong", index);
    }
  }
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const char* kind = SubjectArgument(argc, argv, 2, "rewrite");
  char path[4096], other[4096];
  SubjectPath(path, sizeof path, "data");
  SubjectPath(other, sizeof other, "data.renamed");
  fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  SUBJECT_CHECK(fd >= 0 && fchmod(fd, 0640) == 0);
  for (count = 0; count < 256; ++count) Put(count, count + 1);
  SubjectReady();
  uint64_t value = 1000000;
  for (uint64_t turn = 0;; ++turn) {
    SubjectSleepMs(10);
    Verify();
    if (!strcmp(kind, "grow")) {
      for (int i = 0; i < 8 && count < 8192; ++i) Put(count++, ++value);
    } else if (!strcmp(kind, "rewrite")) {
      for (int i = 0; i < 16; ++i) Put(SubjectMix(turn * 16 + i) % count, ++value);
    } else if (!strcmp(kind, "shrink")) {
      if (turn % 2) {
        for (int i = 0; i < 128; ++i) Put(count++, ++value);
      } else {
        count -= 128;
        SUBJECT_CHECK(ftruncate(fd, (off_t)(count * kRecord)) == 0);
      }
    } else if (!strcmp(kind, "rename")) {
      if (turn % 8 == 0) SUBJECT_CHECK(turn % 16 ? rename(other, path) == 0 : rename(path, other) == 0);
      Put(turn % count, ++value);
    } else {
      SubjectFail("unknown kind %s", kind);
    }
    SUBJECT_CHECK(lseek(fd, 0, SEEK_CUR) == (off_t)turn % 100);
    SUBJECT_CHECK(lseek(fd, (off_t)(turn + 1) % 100, SEEK_SET) >= 0);
    SubjectRound();
  }
}
