// SPDX-License-Identifier: BSD-2-Clause
// The service's figures for Prometheus. Reasons, ids and states have the names they have in JSON.
#pragma once

#include <string>

#include "control/service/service.h"

namespace moat {

// In the text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(Service& service);

}  // namespace moat
