// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/guard_change.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moat {
namespace {

using Ports = std::vector<std::uint16_t>;
using Lines = std::vector<std::string>;

// Without ports: all of them.
Database database(const std::string& id, Ports ports, const char* address = nullptr) {
  Database made;
  made.id = id;
  made.endpoint.all = ports.empty();
  made.endpoint.ports = std::move(ports);
  if (address != nullptr) made.endpoint.address = parse_address(address).value();
  return made;
}

// "10.0.0.5 5432: a -> b"
Lines changes(std::vector<Database> from, std::vector<Database> to) {
  Policy before, after;
  before.databases = std::move(from);
  after.databases = std::move(to);
  Lines lines;
  for (const auto& change : find_guard_changes(before, after)) {
    lines.push_back(fmt::format(
        "{} {}: {} -> {}", change.address ? format_address(*change.address) : "any", change.port,
        change.before->id, change.after == nullptr ? "none" : change.after->id));
  }
  return lines;
}

TEST(FindGuardChanges, NamesPortsThatLoseTheirGuard) {
  EXPECT_EQ(changes({database("a", {5432, 6432})}, {database("a", {6432})}),
            Lines{"any 5432: a -> none"});
  EXPECT_EQ(changes({database("a", {5432})}, {database("a", {5432, 6432})}), Lines{});
  EXPECT_EQ(changes({}, {database("a", {5432})}), Lines{});
  EXPECT_EQ(changes({database("a", {}, "10.0.0.5")}, {database("a", {5432}, "10.0.0.5")}),
            Lines{"10.0.0.5 0: a -> none"});
}

TEST(FindGuardChanges, NamesPortsThatFallToADatabaseWithoutAddress) {
  const auto lab = database("lab", {3306, 5432});
  EXPECT_EQ(changes({lab, database("orders", {5432}, "10.0.0.5")}, {lab}),
            Lines{"10.0.0.5 5432: orders -> lab"});
  EXPECT_EQ(changes({lab, database("vault", {}, "10.0.0.5")}, {lab}),
            (Lines{"10.0.0.5 0: vault -> none", "10.0.0.5 3306: vault -> lab",
                   "10.0.0.5 5432: vault -> lab"}));
}

TEST(FindGuardChanges, NamesPortsThatADatabaseWithAnAddressTakes) {
  const auto orders = database("orders", {5432});
  EXPECT_EQ(changes({orders}, {database("lab", {5432, 22}, "10.0.0.5"), orders}),
            Lines{"10.0.0.5 5432: orders -> lab"});
  EXPECT_EQ(changes({orders}, {database("lab", {}, "10.0.0.5"), orders}),
            Lines{"10.0.0.5 5432: orders -> lab"});
}

TEST(FindGuardChanges, NamesEachOnceWithWhatTakesItIn) {
  EXPECT_EQ(changes({database("a", {5432})}, {database("b", {6432}, "10.0.0.5")}),
            Lines{"any 5432: a -> none"});
  EXPECT_EQ(changes({database("a", {}, "10.0.0.5"), database("b", {5432})},
                    {database("c", {}, "10.0.0.5")}),
            (Lines{"any 5432: b -> none", "10.0.0.5 0: a -> c"}));
}

Database with_ipv6(Database made, Ipv6 ipv6) {
  made.endpoint.ipv6 = ipv6;
  return made;
}

Database monitored(Database made) {
  made.mode = Mode::monitor;
  return made;
}

// "5432: a -> b"
Lines openings(std::vector<Database> from, std::vector<Database> to) {
  Policy before, after;
  before.databases = std::move(from);
  after.databases = std::move(to);
  Lines lines;
  for (const auto& opening : find_ipv6_openings(before, after)) {
    lines.push_back(fmt::format("{}: {} -> {}", opening.port, opening.before->id,
                                opening.after == nullptr ? "none" : opening.after->id));
  }
  return lines;
}

TEST(FindIpv6Openings, NamesAHostWhoseIpv6IsClosedNoLonger) {
  const auto whole = database("vault", {}, "10.0.0.5");
  const auto closed = with_ipv6(whole, Ipv6::closed);
  for (const auto& after : {whole, with_ipv6(whole, Ipv6::open)})
    EXPECT_EQ(openings({closed}, {after}), Lines{"0: vault -> none"});
  EXPECT_EQ(openings({whole}, {closed}), Lines{});
  EXPECT_EQ(openings({closed}, {database("other", {5432}), closed}), Lines{});
  EXPECT_EQ(openings({closed}, {with_ipv6(database("other", {}, "10.0.0.6"), Ipv6::closed)}),
            Lines{})
      << "another database closes it";
  EXPECT_EQ(openings({closed, database("web", {443})}, {database("vault", {5432})}),
            Lines{"0: vault -> none"})
      << "5432 is closed by its number, and 443 is one of all";
}

TEST(FindIpv6Openings, NamesAPortThatNoDatabaseNamesAnyMore) {
  const auto whole = database("orders", {}, "10.0.0.5");
  EXPECT_EQ(openings({database("orders", {5432}, "10.0.0.5")}, {whole}),
            Lines{"5432: orders -> none"})
      << "all ports of IPv4 are none of IPv6";
  EXPECT_EQ(
      openings({database("orders", {5432}, "10.0.0.5")}, {database("other", {5432}, "10.0.0.6")}),
      Lines{})
      << "IPv6 has no addresses to tell apart";
}

TEST(FindIpv6Openings, NamesWhatADatabaseInMonitorModeClosesAlone) {
  const auto lab = monitored(database("lab", {5432}));
  const auto orders = database("orders", {5432}, "10.0.0.5");
  EXPECT_EQ(openings({lab, orders}, {lab}), Lines{"5432: orders -> lab"});
  EXPECT_EQ(openings({lab, orders}, {lab, monitored(orders)}), Lines{})
      << "that it is in monitor mode says so";
  EXPECT_EQ(openings({lab, monitored(orders)}, {lab}), Lines{}) << "it was open before";
}

TEST(FindGuardChanges, AgreesWithFindGuard) {
  const auto vault = database("vault", {}, "10.0.0.5");
  Policy before;
  before.databases = {vault, database("web", {5432}, "10.0.0.5"), database("x", {6432})};
  const auto at = parse_address("10.0.0.5").value();
  EXPECT_EQ(find_guard(before, at, 6432)->id, "vault");
  EXPECT_EQ(find_guard(before, at, 5432)->id, "web");
  EXPECT_EQ(find_guard(before, at, 0)->id, "vault");
  EXPECT_EQ(find_guard(before, std::nullopt, 6432)->id, "x");
  EXPECT_EQ(find_guard(before, std::nullopt, 5432), nullptr);
  Policy after;
  for (const auto& change : find_guard_changes(before, after))
    EXPECT_EQ(change.before, find_guard(before, change.address, change.port));
}

}  // namespace
}  // namespace moat
