// SPDX-License-Identifier: BSD-2-Clause
// The destination side of a table: which database guards (address, port). bpf/abi.h says how that
// stands in the table.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/table/table_input.h"

namespace moat {

struct Destinations {
  std::uint32_t flags = 0;
  std::map<std::uint16_t, std::uint16_t> port_rows;  // port -> row 1..
  std::map<Address, std::uint8_t> address_rows;      // address -> row 1..
  std::map<Address, std::uint8_t> all;               // address -> database with `ports: all`
  std::uint32_t stride = 0;
  std::uint32_t ipv6_row = 0;
  std::vector<std::uint8_t> endpoints;
  std::vector<std::uint16_t> pages;  // u16[256] each
  std::array<std::uint16_t, 256> page{};
};

// Errors: two databases on one endpoint.
[[nodiscard]] Result<Destinations> place_destinations(const TableInput& input);

// Fills the hash of the header with the guarded addresses, and says by which multiplier.
[[nodiscard]] Result<> place_addresses(const Destinations& from, moat_table& header);

}  // namespace moat
