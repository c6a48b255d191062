#include "cli/command_line.h"

int main(int argc, char** argv) {
  return holdfast::Main(argc, argv);
}
