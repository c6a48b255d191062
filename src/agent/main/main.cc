#include "agent/agent_command_line.h"

int main(int argc, char** argv) {
  return holdfast::RunAgent(argc, argv);
}
