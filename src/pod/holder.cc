#include "pod/holder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "linux/proc.h"

namespace holdfast {
namespace {

constexpr const char* kUnreadable = "this holder's name says nothing";

// What runc 1.0 to 1.3 write into state.json of the container's first process (libcontainer's BaseState).
// kNotFound: runc does not know the container.
Result<ProcessIdentity> FirstProcess(const Holder& holder) {
  const std::string text = TRY(ReadFile(fmt::format("{}/{}/state.json", holder.root, holder.id)));
  const auto state = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object()) return Fail(ErrorKind::kCorrupt, "runc's state of " + holder.id + " is no JSON");
  ProcessIdentity process;
  process.pid = state.value("init_process_pid", 0);
  process.start_ticks = state.value("init_process_start", uint64_t{0});
  process.boot_id = holder.worker.boot_id;
  return process;
}

// Takes what comes before the separator off the text.
std::string_view Take(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return part;
}

template <typename Number>
bool ToNumber(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string Holder::ToText() const {
  return fmt::format("{}/{}/{} {}.{}.{} {} {}", pod_uid, container, id, worker.pid, worker.start_ticks,
                     worker.boot_id, mount_namespace, root);
}

Result<Holder> Holder::Parse(std::string_view text) {
  Holder holder;
  holder.pod_uid = Take(text, '/');
  holder.container = Take(text, '/');
  holder.id = Take(text, ' ');
  const bool pid = ToNumber(Take(text, '.'), holder.worker.pid);
  const bool ticks = ToNumber(Take(text, '.'), holder.worker.start_ticks);
  holder.worker.boot_id = Take(text, ' ');
  holder.mount_namespace = Take(text, ' ');
  holder.root = text;
  if (!pid || !ticks || holder.id.empty() || holder.worker.boot_id.empty() || !holder.root.starts_with('/')) {
    return Fail(ErrorKind::kCorrupt, kUnreadable);
  }
  return holder;
}

bool Holder::IsSameContainer(const Holder& other) const {
  return pod_uid == other.pod_uid && container == other.container && id == other.id && root == other.root &&
         worker.boot_id == other.worker.boot_id;
}

Result<std::string> MountNamespace() {
  return ReadNamespace(getpid(), "mnt");
}

std::string NodeName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

bool IsGone(const LeaseRecord& record) {
  const Result<Holder> holder = Holder::Parse(record.holder);
  const Result<ProcessIdentity> self = IdentifyProcess(getpid());
  const Result<std::string> here = MountNamespace();
  if (!holder || !self || !here) return false;
  if (holder->worker.boot_id != self->boot_id) return !record.node.empty() && record.node == NodeName();
  if (holder->mount_namespace != *here || IsAlive(holder->worker)) return false;
  const Result<ProcessIdentity> first = FirstProcess(*holder);
  if (!first) return first.error().kind == ErrorKind::kNotFound;
  return first->pid > 0 && first->start_ticks > 0 && !IsAlive(*first);
}

}  // namespace holdfast
