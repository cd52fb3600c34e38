// SPDX-License-Identifier: BSD-2-Clause
// The service's figures for Prometheus. Reasons, ids and states have the names they have in JSON.
#pragma once

#include <string>
#include <string_view>

#include "control/service/service.h"

namespace moat {

// In the text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(Service& service);

// The same as OpenMetrics, version 1.0.0.
[[nodiscard]] std::string open_metrics_text(Service& service);
inline constexpr std::string_view open_metrics_type =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

}  // namespace moat
