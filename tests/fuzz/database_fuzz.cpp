// SPDX-License-Identifier: BSD-2-Clause
// read_database on any bytes: what it accepts is within the limits, what it refuses is explained.
#include <set>

#include "control/files/reading.h"
#include "control/text/input_limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

namespace moat::testing {
namespace {

constexpr WallTime kTime{std::chrono::seconds{1'800'000'000}};

void require_limits(const Endpoint& endpoint) {
  require(!endpoint.all || endpoint.address, "`ports: all` has an address");
  require(endpoint.all == endpoint.ports.empty(), "ports, or all of them");
  require(endpoint.all || !endpoint.ipv6, "`ipv6` with `ports: all`");
  require(endpoint.ports.size() <= limits::ports, "at most 16 ports");
  const std::set<std::uint16_t> ports(endpoint.ports.begin(), endpoint.ports.end());
  require(ports.size() == endpoint.ports.size() && !ports.contains(0), "ports, each once");
}

void require_limits(const Database& database) {
  require(!database.id.empty() && database.id.size() <= limits::id_bytes, "an id");
  require_limits(database.endpoint);
  require(database.rules.size() <= limits::rules, "at most 30 rules");
  require(database.peerings.size() <= limits::peerings, "at most 16 peerings");
  std::set<std::string> ids, peerings;
  std::set<std::pair<SourceKind, std::string>> sources;
  for (const NetPeering& peering : database.peerings) {
    require(!peering.id.empty() && peerings.insert(peering.id).second, "peering ids, each once",
            peering.id);
    for (const auto* text : {&peering.account, &peering.label})
      require(text->size() <= limits::label_bytes && !find_control(*text), "a text of one line");
  }
  for (const Rule& rule : database.rules) {
    require(rule.cidr.has_value() + !rule.managed_range.empty() + !rule.net_peering.empty() == 1,
            "a cidr, a managed range or a net peering");
    require(rule.net_peering.empty() || peerings.contains(rule.net_peering), "a registered peering",
            rule.net_peering);
    require(rule.label.size() <= limits::label_bytes, "a label within its limit");
    require(!find_control(rule.label), "a label of one line");
    require(!rule.id.empty() && ids.insert(rule.id).second, "rule ids, each once", rule.id);
    require(sources.insert({rule.kind(), rule.source()}).second, "sources, each once",
            rule.source());
    require(!rule.cidr || *rule.cidr == Prefix::of(rule.cidr->address, rule.cidr->length),
            "no host bits");
  }
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view bytes) {
  const DatabaseResult reading = read_database("orders.yaml", bytes, testing::kTime);
  testing::require_sound(reading.faults, reading.value.has_value(), bytes);
  if (reading.value) testing::require_limits(*reading.value);
  if (reading.value) testing::require(reading.id == reading.value->id, "the id by itself");
  if (reading.endpoint) testing::require_limits(*reading.endpoint);
}
