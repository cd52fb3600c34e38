// SPDX-License-Identifier: BSD-2-Clause
// What the JSON of each struct of service.h has for members, each listed once: view.cpp's encoder
// and decoder both walk these lists. Only for view.cpp.
#pragma once

#include <array>
#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>

#include "control/service/service.h"

namespace moat::view {

// T or const T.
template <typename V, typename T>
concept Is = std::same_as<std::remove_const_t<V>, T>;

// The words for an enum's values.
template <typename E>
inline constexpr int words = 0;
template <>
inline constexpr auto words<Mode> = std::to_array<std::pair<Mode, std::string_view>>(
    {{Mode::enforce, "enforce"}, {Mode::monitor, "monitor"}});
template <>
inline constexpr auto words<Ipv6> = std::to_array<std::pair<Ipv6, std::string_view>>(
    {{Ipv6::closed, "closed"}, {Ipv6::open, "open"}});
template <>
inline constexpr auto words<AttachMode> = std::to_array<std::pair<AttachMode, std::string_view>>(
    {{AttachMode::none, "none"}, {AttachMode::native, "native"}, {AttachMode::generic, "generic"}});
template <>
inline constexpr auto words<WantedAttach> =
    std::to_array<std::pair<WantedAttach, std::string_view>>({{WantedAttach::automatic, "auto"},
                                                              {WantedAttach::native, "native"},
                                                              {WantedAttach::generic, "generic"}});
template <>
inline constexpr auto words<RuleState> =
    std::to_array<std::pair<RuleState, std::string_view>>({{RuleState::active, "active"},
                                                           {RuleState::expired, "expired"},
                                                           {RuleState::held_back, "held-back"},
                                                           {RuleState::vanished, "vanished"}});
template <>
inline constexpr auto words<FileState> = file_state_words;
template <>
inline constexpr auto words<Severity> = std::to_array<std::pair<Severity, std::string_view>>(
    {{Severity::error, "error"}, {Severity::warning, "warning"}});
template <>
inline constexpr auto words<Refusal::Kind> =
    std::to_array<std::pair<Refusal::Kind, std::string_view>>(
        {{Refusal::Kind::invalid, "invalid"},
         {Refusal::Kind::not_found, "not-found"},
         {Refusal::Kind::conflict, "conflict"},
         {Refusal::Kind::forbidden, "forbidden"},
         {Refusal::Kind::unavailable, "unavailable"}});

// An address as text, where the member is a number.
template <typename A>
struct AsAddress {
  A& address;
};
template <typename A>
AsAddress(A&) -> AsAddress<A>;

template <typename F, Is<Place> V>
void members(V& v, F& f) {
  f("file", v.file);
  f("line", v.line);
  f("column", v.column);
}

template <typename F, Is<Fault> V>
void members(V& v, F& f) {
  f("severity", v.severity);
  f("place", v.place);
  f("message", v.message);
  f("value", v.value);
  f("remedy", v.remedy);
}

template <typename F, Is<Endpoint> V>
void members(V& v, F& f) {
  f("address", AsAddress{v.address});
  f("ports", v.ports);
  f("all", v.all);
  f("ipv6", v.ipv6);
}

template <typename F, Is<Counts> V>
void members(V& v, F& f) {
  f("packets", v.packets);
  f("bytes", v.bytes);
}

template <typename F, Is<InterfaceStatus> V>
void members(V& v, F& f) {
  f("name", v.name);
  f("present", v.present);
  f("mode", v.mode);
  f("program_id", v.program_id);
  f("foreign", v.foreign);
  f("reason", v.reason);
  f("remedy", v.remedy);
}

template <typename F, Is<Propagation> V>
void members(V& v, F& f) {
  f("path", v.path);
  f("written", v.written);
  f("noticed", v.noticed);
  f("enforced", v.enforced);
  f("generation", v.generation);
  f("overdue", v.overdue);
}

template <typename F, Is<FileStatus> V>
void members(V& v, F& f) {
  f("path", v.path);
  f("id", v.id);
  f("state", v.state);
  f("faults", v.faults);
}

template <typename F, Is<Config> V>
void members(V& v, F& f) {
  f("interfaces", v.interfaces);
  f("attach", v.attach);
  f("mode", v.mode);
  f("databases", v.databases);
  f("managed_ranges", v.managed_ranges);
  f("trusted_interfaces", v.trusted_interfaces);
  f("backstop", v.backstop);
  f("backstop_cgroup", v.backstop_cgroup);
  f("drop_sessions", v.drop_sessions);
  f("bound_ms", v.bound);
  f("reconcile_ms", v.reconcile);
  f("settle_ms", v.settle);
}

template <typename F, Is<StatusView::Backstop> V>
void members(V& v, F& f) {
  f("wanted", v.wanted);
  f("at_sockets", v.at_sockets);
  f("cgroup", v.cgroup);
  f("not_at", v.not_at);
  f("before_sockets", v.before_sockets);
  f("before_expected", v.before_expected);
  f("not_before", v.not_before);
}

template <typename F, Is<StatusView::OutsideBackstop> V>
void members(V& v, F& f) {
  f("port", v.port);
  f("cgroup", v.cgroup);
}

template <typename F, Is<StatusView> V>
void members(V& v, F& f) {
  f("version", v.version);
  f("generation", v.generation);
  f("image_bytes", v.image_bytes);
  f("prefixes", v.prefixes);
  f("databases", v.databases);
  f("policy_known", v.policy_known);
  f("mode", v.mode);
  f("ready", v.ready);
  f("since", v.since);
  f("settings", v.settings);
  f("interfaces", v.interfaces);
  f("backstop", v.backstop);
  f("unpinned", v.unpinned);
  f("outside_backstop", v.outside_backstop);
  f("files", v.files);
  f("last", v.last);
  f("pending", v.pending);
  f("bound_ms", v.bound);
  f("sealed", v.sealed);
  f("shadowed", v.shadowed);
  f("monitored", v.monitored);
  f("withdrawn", v.withdrawn);
  f("uncovered", v.uncovered);
  f("open_ipv6", v.open_ipv6);
  f("clock_was_at", v.clock_was_at);
  f("problems", v.problems);
  f("notices", v.notices);
}

template <typename F, Is<RuleView> V>
void members(V& v, F& f) {
  f("database", v.database);
  f("id", v.id);
  f("type", v.type);
  f("source", v.source);
  f("label", v.label);
  f("expires", v.expires);
  f("state", v.state);
  f("prefixes", v.prefixes);
  f("hits", v.hits);
  f("last_hit", v.last_hit);
  f("place", v.place);
}

template <typename F, Is<DatabaseView> V>
void members(V& v, F& f) {
  f("id", v.id);
  f("endpoint", v.endpoint);
  f("mode", v.mode);
  f("state", v.state);
  f("sealed", v.sealed);
  f("path", v.path);
  f("rules", v.rules);
  f("peerings", v.peerings);
  f("allowed", v.allowed);
  f("dropped", v.dropped);
}

template <typename F, Is<ManagedRangeView> V>
void members(V& v, F& f) {
  f("id", v.id);
  f("name", v.name);
  f("prefixes", v.prefixes);
  f("digest", v.digest);
  f("path", v.path);
  f("withdrawn", v.withdrawn);
  f("used_by", v.used_by);
  f("cidrs", v.cidrs);
}

template <typename F, Is<DropView> V>
void members(V& v, F& f) {
  f("number", v.number);
  f("source", v.source);
  f("database", v.database);
  f("port", v.port);
  f("reason", v.reason);
  f("interface", v.interface);
  f("vlan", v.vlan);
  f("monitored", v.monitored);
  f("packets", v.packets);
  f("first", v.first);
  f("last", v.last);
}

template <typename F, Is<DropsView> V>
void members(V& v, F& f) {
  f("drops", v.drops);
  f("next", v.next);
  f("dropped", v.dropped);
  f("unlisted", v.unlisted);
  f("lost_events", v.lost_events);
}

template <typename F, Is<WhyView> V>
void members(V& v, F& f) {
  f("source", v.source);
  f("database", v.database);
  f("allowed", v.allowed);
  f("reason", v.reason);
  f("rule", v.rule);
  f("rule_source", v.rule_source);
  f("label", v.label);
  f("prefix", v.prefix);
  f("place", v.place);
  f("detail", v.detail);
  f("generation", v.generation);
  f("monitored", v.monitored);
  f("last_hit", v.last_hit);
  f("last_drop", v.last_drop);
  f("table_agrees", v.table_agrees);
}

template <typename F, Is<CountersView::Reason> V>
void members(V& v, F& f) {
  f("owner", v.owner);
  f("reason", v.reason);
  f("monitored", v.monitored);
  f("counts", v.counts);
}

template <typename F, Is<CountersView::Total> V>
void members(V& v, F& f) {
  f("database", v.database);
  f("allowed", v.allowed);
  f("dropped", v.dropped);
}

template <typename F, Is<CountersView> V>
void members(V& v, F& f) {
  f("rules", v.rules);
  f("reasons", v.reasons);
  f("totals", v.totals);
  f("lost_events", v.lost_events);
}

template <typename F, Is<ChangeView> V>
void members(V& v, F& f) {
  f("enforced", v.enforced);
  f("generation", v.generation);
  f("took_ms", v.took);
  f("bound_ms", v.bound);
  f("path", v.path);
  f("rule_id", v.rule_id);
  f("why_not", v.why_not);
  f("warnings", v.warnings);
}

template <typename F, Is<Refusal> V>
void members(V& v, F& f) {
  f("kind", v.kind);
  f("message", v.message);
  f("remedy", v.remedy);
  f("faults", v.faults);
}

template <typename F, Is<NewRule> V>
void members(V& v, F& f) {
  f("database", v.database);
  f("cidr", v.cidr);
  f("managed_range", v.managed_range);
  f("label", v.label);
  f("expires", v.expires);
}

}  // namespace moat::view
