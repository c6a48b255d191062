// Which processes there are, and who is whose child.
#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <unordered_set>

#include "base/limits.h"
#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The entries of a directory of /proc that are numbers.
Result<std::vector<pid_t>> ReadNumberedEntries(const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (!directory) return FailErrno("cannot list " + path);
  std::vector<pid_t> numbers;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    if (const auto number = ParseNumber<pid_t>(entry->d_name)) numbers.push_back(*number);
  }
  if (errno != 0) return FailErrno("cannot list " + path);
  return numbers;
}

bool KernelListsChildren() {
  static const bool lists = ::access("/proc/thread-self/children", F_OK) == 0;  // CONFIG_PROC_CHILDREN
  return lists;
}

Result<std::vector<pid_t>> ChildrenOfThread(pid_t pid, pid_t thread) {
  const std::string path = ProcPath(pid, "task/" + std::to_string(thread) + "/children");
  const std::string text = TRY(ReadFile(path));
  std::vector<pid_t> children;
  std::string_view rest = text;
  for (std::string_view word = TakeWord(rest); !word.empty(); word = TakeWord(rest)) {
    const auto child = ParseNumber<pid_t>(word);
    if (!child) return Fail(ErrorKind::kInternal, path + " makes no sense");
    children.push_back(*child);
  }
  return children;
}

Result<std::vector<pid_t>> ChildrenByParent(pid_t pid) {
  std::vector<pid_t> children;
  for (const pid_t candidate : TRY(ReadAllProcesses())) {
    const Result<ProcessStatus> status = ReadStatus(candidate);
    if (status && status->parent == pid) children.push_back(candidate);
  }
  return children;
}

}  // namespace

Result<std::vector<pid_t>> ReadThreads(pid_t pid) {
  return ReadNumberedEntries(ProcPath(pid, "task"));
}

Result<std::vector<pid_t>> ReadChildren(pid_t pid) {
  const std::vector<pid_t> threads = TRY(ReadThreads(pid));
  if (!KernelListsChildren()) return ChildrenByParent(pid);
  std::vector<pid_t> children;
  for (const pid_t thread : threads) {
    Result<std::vector<pid_t>> of_thread = ChildrenOfThread(pid, thread);
    if (!of_thread) {
      // A thread that ended meanwhile has handed its children to another one.
      if (of_thread.error().kind == ErrorKind::kNotFound) continue;
      return std::move(of_thread).error();
    }
    children.insert(children.end(), of_thread->begin(), of_thread->end());
  }
  return children;
}

Result<std::vector<pid_t>> ReadTree(pid_t root) {
  std::vector<pid_t> tree{root};
  std::unordered_set<pid_t> seen{root};
  for (size_t next = 0; next < tree.size(); ++next) {
    Result<std::vector<pid_t>> children = ReadChildren(tree[next]);
    if (!children) {
      // A descendant may end while we look; its children are the reaper's then.
      if (next > 0 && children.error().kind == ErrorKind::kNotFound) continue;
      return std::move(children).error();
    }
    for (const pid_t child : *children) {
      if (!seen.insert(child).second) continue;
      if (tree.size() == limits::kProcessesMax) {
        return Fail(ErrorKind::kUnsupported, "the tree of process " + std::to_string(root) +
                                                 " has more than " + std::to_string(limits::kProcessesMax) +
                                                 " processes");
      }
      tree.push_back(child);
    }
  }
  return tree;
}

Result<std::vector<pid_t>> ReadAllProcesses() {
  return ReadNumberedEntries("/proc");
}

}  // namespace holdfast
