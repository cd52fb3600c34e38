// SPDX-License-Identifier: BSD-2-Clause
// A struct as a file of JSON, by its list of members: see json_codec.h. Only for this folder's
// sources.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/types.h>

#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "control/os/atomic_file.h"
#include "control/os/file_io.h"
#include "control/policy/json_codec.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

inline constexpr mode_t folder_mode = 0750;  // of the history

// Nothing: there is no such file.
inline Result<std::optional<std::string>> read_whole_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) return failed("open " + path);
  auto bytes = read_to_end(fd.get(), std::numeric_limits<std::uint32_t>::max());
  if (!bytes) return failed("read " + path, bytes.error());
  return std::move(*bytes);
}

template <typename T>
Result<std::optional<T>> read_json_file(const std::string& path) {
  const auto bytes = read_whole_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  if (!*bytes) return std::nullopt;
  auto value = view::read_text<T>(**bytes);
  if (!value) return std::unexpected(Error{fmt::format("{}: {}", path, value.error()), ""});
  return std::move(*value);
}

// Atomically. Bytes that are no UTF-8 become U+FFFD.
template <typename T>
Result<> write_json_file(const std::string& path, const T& value, Durability durability) {
  return write_file(path, view::text_of(value) + "\n", 0640, durability);
}

}  // namespace moat
