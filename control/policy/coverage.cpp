// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/coverage.h"

#include <algorithm>
#include <span>

namespace moat {
namespace {

constexpr std::uint64_t kHalf = std::uint64_t{1} << 31;

// Whether an address can be a client's goes by its first octet: see is_martian().
std::uint64_t clients_in(std::uint64_t first, std::uint64_t end) {
  constexpr std::uint64_t octet = std::uint64_t{1} << 24;
  std::uint64_t count = 0;
  for (auto at = first; at < end;) {
    const auto next = std::min(end, (at / octet + 1) * octet);
    if (!is_martian(Address(static_cast<std::uint32_t>(at)))) count += next - at;
    at = next;
  }
  return count;
}

// Calls `visit` with each list of networks that the rules let in.
template <typename Visit>
void for_each_list(const Policy& policy, const Database& database, WallTime now, Visit visit) {
  for (const auto& rule : database.rules) {
    if (rule.is_expired(now)) continue;
    visit(prefixes_of(policy, database, rule));
    for (const auto& held : held_down_of(policy, rule))
      if (!held.is_over(now)) visit(std::span<const Prefix>(*held.cidrs));
  }
}

template <typename Visit>
void for_each_prefix(const Policy& policy, const Database& database, WallTime now, Visit visit) {
  for_each_list(policy, database, now, [&](std::span<const Prefix> list) {
    for (const auto& prefix : list) visit(prefix);
  });
}

}  // namespace

std::uint64_t count_client_addresses(Prefixes prefixes) {
  std::ranges::sort(prefixes);
  std::uint64_t count = 0, end = 0;  // all below `end` is counted
  for (const auto& prefix : prefixes) {
    const auto first = std::max<std::uint64_t>(end, prefix.first().value);
    const auto after = std::uint64_t{prefix.last().value} + 1;
    if (first >= after) continue;
    count += clients_in(first, after);
    end = after;
  }
  return count;
}

std::optional<std::uint64_t> wide_coverage(const Policy& policy, const Database& database,
                                           WallTime now) {
  std::uint64_t sum = 0;
  for_each_prefix(policy, database, now, [&sum](const Prefix& prefix) {
    sum += std::uint64_t{1} << (32 - prefix.length);
  });
  if (sum < kHalf) return std::nullopt;
  Prefixes prefixes;
  for_each_prefix(policy, database, now,
                  [&prefixes](const Prefix& prefix) { prefixes.push_back(prefix); });
  const auto count = count_client_addresses(std::move(prefixes));
  return count < kClientAddresses / 2 ? std::nullopt : std::optional(count);
}

bool lets_nobody_in(const Policy& policy, const Database& database, WallTime now) {
  bool lets_in = false;
  for_each_list(policy, database, now,
                [&lets_in](std::span<const Prefix> list) { lets_in |= !list.empty(); });
  return !lets_in;
}

}  // namespace moat
