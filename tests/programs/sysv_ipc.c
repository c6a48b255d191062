// System V shared memory, semaphores and messages, in an IPC namespace of its own ("own"), as stock CRIU
// needs it, or in the one that there is.
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  if (!strcmp(SubjectArgument(argc, argv, 2, "own"), "own") && unshare(CLONE_NEWIPC) != 0) {
    SubjectSkip("an IPC namespace cannot be made");
  }
  const size_t bytes = 1 << 20;
  int memory_id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
  int semaphore_id = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600), queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
  SUBJECT_CHECK(memory_id >= 0 && semaphore_id >= 0 && queue >= 0);
  char* memory = shmat(memory_id, NULL, 0);
  SUBJECT_CHECK(memory != (void*)-1);
  shmctl(memory_id, IPC_RMID, NULL);  // gone from the system with the last user
  SubjectFill(memory, bytes, 13);
  SUBJECT_CHECK(semctl(semaphore_id, 1, SETVAL, 5) == 0);
  struct {
    long type;
    uint64_t value;
  } message = {7, 0};
  for (message.value = 0; message.value < 4; ++message.value) {
    SUBJECT_CHECK(msgsnd(queue, &message, sizeof message.value, 0) == 0);
  }
  SubjectReady();
  for (uint64_t turn = 0;; ++turn) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 13) == 0);
    SUBJECT_CHECK(semctl(semaphore_id, 1, GETVAL) == 5);
    SUBJECT_CHECK(msgrcv(queue, &message, sizeof message.value, 7, IPC_NOWAIT) == sizeof message.value);
    SUBJECT_CHECK(message.value == turn);
    message.value = turn + 4;
    SUBJECT_CHECK(msgsnd(queue, &message, sizeof message.value, 0) == 0);
    if (subject_rounds_max && subject_round + 1 == subject_rounds_max) {
      semctl(semaphore_id, 0, IPC_RMID);
      msgctl(queue, IPC_RMID, NULL);
    }
    SubjectRound();
  }
}
