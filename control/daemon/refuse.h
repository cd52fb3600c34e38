// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/service/service.h"
#include "control/text/nearest.h"

namespace moat {

[[nodiscard]] inline std::unexpected<Refusal> refuse(Refusal::Kind kind, std::string message,
                                                     std::string remedy = {}) {
  return std::unexpected(Refusal{kind, std::move(message), std::move(remedy), {}});
}

// That no `what` ("database") has that name; names the nearest of `known`, or the command `list`
// that lists them.
[[nodiscard]] inline std::unexpected<Refusal> refuse_unknown(
    std::string_view what, std::string_view name, const std::vector<std::string_view>& known,
    std::string_view list) {
  const auto near = nearest(name, known);
  return refuse(
      Refusal::Kind::not_found, fmt::format("there is no {} \"{}\"", what, name),
      near.empty() ? fmt::format("see `{}`", list) : fmt::format("did you mean {}?", near));
}

}  // namespace moat
