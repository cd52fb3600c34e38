// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "control/service/service.h"

namespace moat {

[[nodiscard]] inline std::unexpected<Refusal> refuse(Refusal::Kind kind, std::string message,
                                                     std::string remedy = {}) {
  return std::unexpected(Refusal{kind, std::move(message), std::move(remedy), {}});
}

}  // namespace moat
