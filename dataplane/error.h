// SPDX-License-Identifier: BSD-2-Clause
// Why something could not be done, and what to do about it.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <expected>
#include <string>
#include <system_error>
#include <utility>

namespace moat {

struct Error {
  std::string message;  // what was being done, on what, and the cause: "open /x: Permission denied"
  std::string remedy;   // what the reader can do, or empty
};

// "Permission denied". `error`: an errno, as it is or negated.
[[nodiscard]] inline std::string errno_words(int error) {
  return std::generic_category().message(std::abs(error));
}

// "open /x: Permission denied", of what was being done, on what, and an errno.
[[nodiscard]] inline std::unexpected<Error> failed(const std::string& what, int error = errno,
                                                   std::string remedy = {}) {
  return std::unexpected(Error{what + ": " + errno_words(error), std::move(remedy)});
}

// "MESSAGE (REMEDY)"
[[nodiscard]] inline std::string format_error(const Error& error) {
  return error.remedy.empty() ? error.message : error.message + " (" + error.remedy + ")";
}

template <typename T = void>
using Result = std::expected<T, Error>;

}  // namespace moat
