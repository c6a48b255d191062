// holdfast-agent: Holdfast on a node of a cluster. So far it installs the runtime handler; see --help.
#pragma once

namespace holdfast {

// 0: done, or nothing to do. 1: failed; 2: `status` found no handler; 64: the command line makes no sense.
int RunAgent(int argc, char** argv);

}  // namespace holdfast
