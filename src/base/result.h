// Errors are values. A fallible function returns Result<T>; the error is made once, where it is known, and
// printed once, by the front door.
//
//   Result<Fd> fd = OpenFile(path);          // [[nodiscard]]
//   Fd fd = TRY(OpenFile(path));             // or hand the error up
//   return Fail(ErrorKind::kNotFound, "no job is called 'train'").WithHint("holdfast ps lists the jobs");
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast {

// What went wrong, as far as a caller or a script must tell cases apart. `ExitCode` gives each its documented
// exit status.
enum class ErrorKind {
  kInternal,     // a fault of Holdfast itself
  kUsage,        // the command line or an argument makes no sense
  kNotFound,     // no such job, snapshot, process or file
  kExists,       // the name, the snapshot or the pid is already taken
  kPermission,   // the kernel or the file system said no
  kUnsupported,  // this job or this machine has something that cannot be checkpointed or restored
  kBusy,         // someone else holds the lock
  kNoSpace,      // the store's file system is, or would be, full
  kCorrupt,      // stored data is damaged or of another version
  kCriu,         // CRIU failed; the message has its own words
  kIo,           // any other failing system call
  kInterrupted,  // stopped by a signal
};

std::string_view ErrorKindName(ErrorKind kind);  // "not-found"; the `kind` of --json

struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;   // what was tried, on what, and why it failed; no trailing full stop
  std::string hint;      // what the user can do; may be empty
  int error_number = 0;  // errno, 0 when none

  Error&& WithHint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  // Puts "what: " in front of the message.
  Error&& Within(std::string_view what) && {
    message.insert(0, std::string(what) + ": ");
    return std::move(*this);
  }
};

// Result<T> and Error convert: `return Fail(...)` works in any function that returns a Result.
template <typename T>
using ResultBase = tl::expected<T, Error>;

template <typename T>
class [[nodiscard]] Result : public ResultBase<T> {
 public:
  using ResultBase<T>::ResultBase;
  // NOLINTNEXTLINE(google-explicit-constructor): `return Fail(...)`
  Result(Error error) : ResultBase<T>(tl::unexpect, std::move(error)) {}
};

template <>
class [[nodiscard]] Result<void> : public ResultBase<void> {
 public:
  using ResultBase<void>::ResultBase;
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : ResultBase<void>(tl::unexpect, std::move(error)) {}
  // TRY calls it on an rvalue, for which tl::expected<void> 1.0 has none.
  void value() const {}
};

inline Error Fail(ErrorKind kind, std::string message) {
  return Error{kind, std::move(message), {}, 0};
}

// An error from a failing system call: the kind follows from `error_number`, and strerror's text is appended.
Error FailErrno(int error_number, std::string what);
// The same with the current errno. Call it before anything else can change errno.
Error FailErrno(std::string what);

}  // namespace holdfast

// The value of a Result, or return its error from the enclosing function. The counter lets one TRY stand in
// another.
#define TRY(expression) HOLDFAST_TRY_NAMED(HOLDFAST_TRY_NAME(__COUNTER__), expression)
#define HOLDFAST_TRY_NAME(counter) HOLDFAST_TRY_JOIN(try_result_, counter)
#define HOLDFAST_TRY_JOIN(a, b) a##b
// NOLINTBEGIN(bugprone-macro-parentheses): `name` is a name.
#define HOLDFAST_TRY_NAMED(name, expression)                      \
  __extension__({                                                 \
    auto name = (expression);                                     \
    if (!name) return ::holdfast::Error(std::move(name).error()); \
    std::move(name).value();                                      \
  })
// NOLINTEND(bugprone-macro-parentheses)
