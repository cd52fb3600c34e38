// SPDX-License-Identifier: BSD-2-Clause
// Where the providers' lists are, so that nobody types a URL.
#pragma once

#include <span>
#include <string_view>

#include "control/agent/list_format.h"

namespace moat {

struct Preset {
  std::string_view name;
  std::string_view url;  // empty: it changes, and is to be given as `url` or `file`
  ListFormat format;
};

[[nodiscard]] std::span<const Preset> presets();

}  // namespace moat
