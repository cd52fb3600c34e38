// SPDX-License-Identifier: BSD-2-Clause
// The words of a line for iptables-restore, and the values among them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/address_range.h"
#include "control/policy/port_range.h"

namespace moat {

// "..." and '...' are one word, the first with \ before what would end it.
[[nodiscard]] std::vector<std::string> split_words(std::string_view line);

// "5400" or, with the separator between them, "5400:5410".
[[nodiscard]] std::optional<PortRange> parse_ports(std::string_view text, char separator);
// "5400,5410:5420"
[[nodiscard]] std::optional<std::vector<PortRange>> parse_port_list(std::string_view text);
// "192.0.2.0/24", "192.0.2.1"
[[nodiscard]] std::optional<AddressRange> parse_network(std::string_view text);

}  // namespace moat
