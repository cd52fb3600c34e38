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

struct FileStyle {
  using Json = nlohmann::json;
  static constexpr bool omits = true;
};

// Nothing: there is no such file.
inline Result<std::optional<std::string>> read_whole_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) return std::unexpected(Error{describe_errno("open", path, errno), ""});
  auto bytes = read_to_end(fd.get(), std::numeric_limits<std::uint32_t>::max());
  if (!bytes) return std::unexpected(Error{describe_errno("read", path, bytes.error()), ""});
  return std::move(*bytes);
}

template <typename T>
Result<std::optional<T>> read_json_file(const std::string& path) {
  const auto bytes = read_whole_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  if (!*bytes) return std::nullopt;
  const auto json = nlohmann::json::parse(**bytes, nullptr, false);
  if (!json.is_object()) return std::unexpected(Error{path + ": not a JSON object", ""});
  T value;
  view::Decoder<FileStyle> decoder{json};
  view::members(value, decoder);
  if (!decoder.error.empty())
    return std::unexpected(Error{fmt::format("{}: {}", path, decoder.error), ""});
  return value;
}

// Atomically. Bytes that are no UTF-8 become U+FFFD.
template <typename T>
Result<> write_json_file(const std::string& path, const T& value, Durability durability) {
  view::Encoder<FileStyle> encoder{nlohmann::json::object()};
  view::members(value, encoder);
  const auto text =
      encoder.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (auto written = write_file(path, text, 0640, durability); !written)
    return std::unexpected(written.error());
  return {};
}

}  // namespace moat
