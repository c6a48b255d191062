#include "linux/signal_names.h"

#include <charconv>
#include <csignal>
#include <cstring>

namespace holdfast {

Result<int> ParseSignal(const std::string& text) {
  const std::string name = text.starts_with("SIG") ? text.substr(3) : text;
  int number = 0;
  const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool is_number = error == std::errc{} && rest == name.data() + name.size();
  if (is_number && number > 0 && number <= SIGRTMAX) return number;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const char* known = ::sigabbrev_np(signal);
    if (known != nullptr && name == known) return signal;
  }
  return Fail(ErrorKind::kUsage, "'" + text + "' is no signal")
      .WithHint("for example USR1; 'kill -l' lists them");
}

std::string SignalName(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(number);
}

}  // namespace holdfast
