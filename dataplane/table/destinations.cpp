// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/table/destinations.h"

#include <fmt/format.h>

#include <algorithm>

#include "bpf/lookup.h"

namespace moat {
namespace {

// A place of the IPv6 row, which one more database guards.
void add_ipv6_guard(std::uint8_t& place, const TableInput& input, std::uint8_t number) {
  const bool is_monitored = input.databases[number - 1u].monitor;
  if (place == 0) {
    place = number;
  } else if (place <= MOAT_MAX_DATABASES) {
    const bool both = is_monitored && input.databases[place - 1u].monitor;
    place = both ? MOAT_SEVERAL_MONITORED : MOAT_SEVERAL_ENFORCED;
  } else if (!is_monitored) {
    place = MOAT_SEVERAL_ENFORCED;
  }
}

Result<> fill_endpoint(Destinations& to, const TableInput& input, std::uint8_t number) {
  const TableInput::Database& database = input.databases[number - 1u];
  const std::uint32_t row = database.address ? to.address_rows.at(*database.address) : 0;
  auto* ipv6 = &to.endpoints[to.ipv6_row * to.stride];
  for (const auto port : database.ports) {
    const std::uint32_t port_row = to.port_rows.at(port);
    auto& place = to.endpoints[row * to.stride + port_row];
    if (place != 0)
      return std::unexpected(
          Error{fmt::format("port {} is guarded twice on one address", port), {}});
    place = number;
    add_ipv6_guard(ipv6[port_row], input, number);
  }
  if (database.ipv6_closed)
    for (std::uint32_t port_row = 0; port_row < to.stride; port_row++)
      add_ipv6_guard(ipv6[port_row], input, number);
  return {};
}

// Where an address guards nothing of its own on a port, what guards every address does.
void inherit_any_address(Destinations& to) {
  for (std::uint32_t row = 1; row < to.ipv6_row; row++)
    for (std::uint32_t port = 0; port < to.stride; port++)
      if (auto& place = to.endpoints[row * to.stride + port]; place == 0)
        place = to.endpoints[port];
}

void fill_pages(Destinations& to) {
  to.pages.resize(256);
  for (const auto& [port, row] : to.port_rows) {
    auto& page = to.page[port >> 8];
    if (page == 0) {
      page = static_cast<std::uint16_t>(to.pages.size() / 256);
      to.pages.resize(to.pages.size() + 256);
    }
    to.pages[page * 256u + (port & 255u)] = row;
  }
}

}  // namespace

Result<Destinations> place_destinations(const TableInput& input) {
  Destinations to;
  for (const auto& database : input.databases) {
    to.flags |= database.address ? MOAT_SOME_ADDRESS : MOAT_ANY_ADDRESS;
    if (database.address) to.address_rows.emplace(*database.address, to.address_rows.size() + 1);
    if (database.ipv6_closed || !database.ports.empty()) to.flags |= MOAT_SOME_PORT;
    for (const auto port : database.ports) {
      to.port_rows.emplace(port, to.port_rows.size() + 1);
    }
  }
  to.stride = static_cast<std::uint32_t>(to.port_rows.size()) + 1;
  to.ipv6_row = static_cast<std::uint32_t>(to.address_rows.size()) + 1;
  to.endpoints.resize((to.ipv6_row + 1) * to.stride);

  std::uint8_t number = 0;
  for (const auto& database : input.databases) {
    number++;
    if (auto filled = fill_endpoint(to, input, number); !filled)
      return std::unexpected(filled.error());
    if (database.all && !to.all.emplace(database.address.value_or(Address{}), number).second)
      return std::unexpected(Error{"two databases have all ports of one address", {}});
  }
  inherit_any_address(to);
  fill_pages(to);
  return to;
}

// A multiplier under which no two guarded addresses share a place. Among 512 places a random one
// serves 64 addresses with a chance of 1 in 60 or so, so that a handful of steps finds it.
Result<> place_addresses(const Destinations& from, moat_table& header) {
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (int attempt = 0; attempt < 1'000'000; attempt++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto multiplier = static_cast<std::uint32_t>(state >> 32) | 1u;
    std::fill(std::begin(header.address), std::end(header.address), moat_address{});
    bool clash = false;
    for (const auto& [address, row] : from.address_rows) {
      const __be32 wire = address.to_network();
      auto& place = header.address[moat_address_hash(multiplier, wire)];
      clash = place.row != 0;
      if (clash) break;
      const auto all = from.all.find(address);
      place = {wire, row, all == from.all.end() ? std::uint8_t{0} : all->second, {}};
    }
    if (clash) continue;
    header.address_multiplier = multiplier;
    return {};
  }
  return std::unexpected(Error{"no collision-free hash found for the guarded addresses", {}});
}

}  // namespace moat
