// Both ends of a pseudo terminal: its settings and size stay, and what is typed comes through.
#include <sys/ioctl.h>
#include <termios.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  SUBJECT_CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  struct termios settings, now;
  SUBJECT_CHECK(slave >= 0 && tcgetattr(slave, &settings) == 0);
  cfmakeraw(&settings);
  settings.c_cc[VTIME] = 3;
  SUBJECT_CHECK(tcsetattr(slave, TCSANOW, &settings) == 0);
  struct winsize size = {33, 101, 0, 0}, size_now;
  SUBJECT_CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(tcgetattr(slave, &now) == 0 && now.c_lflag == settings.c_lflag && now.c_cc[VTIME] == 3);
    SUBJECT_CHECK(ioctl(slave, TIOCGWINSZ, &size_now) == 0 && size_now.ws_row == 33 &&
                  size_now.ws_col == 101);
    char text[16] = "", back[16] = "";
    SUBJECT_CHECK(write(master, "typed\n", 6) == 6 && read(slave, text, 6) == 6 &&
                  !memcmp(text, "typed\n", 6));
    SUBJECT_CHECK(write(slave, "shown\n", 6) == 6 && read(master, back, 6) == 6 &&
                  !memcmp(back, "shown\n", 6));
    SubjectRound();
  }
}
