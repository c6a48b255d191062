#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace holdfast {

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInternal:
      return "internal";
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kNotFound:
      return "not-found";
    case ErrorKind::kExists:
      return "exists";
    case ErrorKind::kPermission:
      return "permission";
    case ErrorKind::kUnsupported:
      return "unsupported";
    case ErrorKind::kBusy:
      return "busy";
    case ErrorKind::kNoSpace:
      return "no-space";
    case ErrorKind::kCorrupt:
      return "corrupt";
    case ErrorKind::kCriu:
      return "criu";
    case ErrorKind::kIo:
      return "io";
    case ErrorKind::kInterrupted:
      return "interrupted";
  }
  return "internal";
}

namespace {

ErrorKind KindOfErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ESRCH:
      return ErrorKind::kNotFound;
    case EEXIST:
      return ErrorKind::kExists;
    case EPERM:
    case EACCES:
      return ErrorKind::kPermission;
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::kNoSpace;
    case EBUSY:
      return ErrorKind::kBusy;
    default:
      return ErrorKind::kIo;
  }
}

}  // namespace

Error FailErrno(int error_number, std::string what) {
  Error error;
  error.kind = KindOfErrno(error_number);
  error.message = std::move(what) + ": " + std::generic_category().message(error_number);
  error.error_number = error_number;
  return error;
}

Error FailErrno(std::string what) {
  return FailErrno(errno, std::move(what));
}

}  // namespace holdfast
