// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/judge_session.h"

#include <algorithm>

#include "control/policy/endpoint.h"
#include "control/service/explain.h"

namespace moat {
namespace {

const Database* find_guard_of(const SessionView& view, const Policy& policy) {
  if (const auto address = parse_address(view.address)) {
    return find_guard(policy, *address, view.port);
  }
  const auto guard = std::ranges::find_if(policy.databases, [&](const Database& database) {
    return guards_ipv6(database.endpoint, view.port);
  });
  return guard == policy.databases.end() ? nullptr : &*guard;
}

}  // namespace

void judge_session(SessionView& view, const Policy& policy, WallTime now) {
  const auto* guard = find_guard_of(view, policy);
  view.database = guard == nullptr ? "" : guard->id;
  view.rule.clear();
  view.label.clear();
  view.allowed = guard == nullptr;
  view.monitored = guard != nullptr && policy.mode_of(*guard) == Mode::monitor;
  const auto peer = parse_address(view.peer);
  if (guard == nullptr || !peer || is_martian(*peer)) return;  // there are no IPv6 rules
  const auto match = find_match(policy, *guard, *peer, now);
  if (!match) return;
  view.allowed = true;
  view.rule = match->rule->id;
  view.label = match->rule->label;
}

}  // namespace moat
