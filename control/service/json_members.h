// SPDX-License-Identifier: BSD-2-Clause
// What the JSON of each struct of service.h has for members, each listed once, for json_codec.h.
// Only for json.cpp.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "control/history/event_members.h"
#include "control/policy/json_codec.h"
#include "control/service/service.h"

namespace moat::view {

template <>
inline constexpr auto words<AttachMode> = std::to_array<std::pair<AttachMode, std::string_view>>(
    {{AttachMode::none, "none"}, {AttachMode::native, "native"}, {AttachMode::generic, "generic"}});
template <>
inline constexpr auto words<WantedAttach> =
    std::to_array<std::pair<WantedAttach, std::string_view>>({{WantedAttach::automatic, "auto"},
                                                              {WantedAttach::native, "native"},
                                                              {WantedAttach::generic, "generic"}});
template <>
inline constexpr auto words<Hugepages> = std::to_array<std::pair<Hugepages, std::string_view>>(
    {{Hugepages::automatic, "auto"}, {Hugepages::on, "on"}, {Hugepages::off, "off"}});
template <>
inline constexpr auto words<RuleState> =
    std::to_array<std::pair<RuleState, std::string_view>>({{RuleState::active, "active"},
                                                           {RuleState::expired, "expired"},
                                                           {RuleState::held_back, "held-back"},
                                                           {RuleState::vanished, "vanished"}});
template <>
inline constexpr auto words<NetPeeringState> =
    std::to_array<std::pair<NetPeeringState, std::string_view>>(
        {{NetPeeringState::active, "active"},
         {NetPeeringState::no_rule, "no-rule"},
         {NetPeeringState::no_route, "no-route"}});
template <>
inline constexpr auto words<EndpointType> =
    std::to_array<std::pair<EndpointType, std::string_view>>(
        {{EndpointType::public_address, "public"},
         {EndpointType::private_peering, "private-peering"}});
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
         {Refusal::Kind::changed, "changed"},
         {Refusal::Kind::unavailable, "unavailable"}});
template <>
inline constexpr auto members_of<Fault> = [](auto& v, auto& member) {
  member("severity", v.severity)("place", v.place)("message", v.message)("value", v.value)(
      "remedy", v.remedy)("count", v.count);
};
template <>
inline constexpr auto members_of<Problem> = [](auto& v, auto& member) {
  member("code", v.code)("subject", v.subject)("message", v.message)("remedy", v.remedy)("faults",
                                                                                         v.faults);
};
template <>
inline constexpr auto members_of<Counts> =
    [](auto& v, auto& member) { member("packets", v.packets)("bytes", v.bytes); };
template <>
inline constexpr auto members_of<InterfaceStatus> = [](auto& v, auto& member) {
  member("name", v.name)("present", v.present)("mode", v.mode)("program_id", v.program_id)(
      "foreign", v.foreign)("reason", v.reason)("remedy", v.remedy)("moved", v.moved);
};
template <>
inline constexpr auto members_of<Propagation> = [](auto& v, auto& member) {
  member("path", v.path)("written", v.written)("noticed", v.noticed)("enforced", v.enforced)(
      "generation", v.generation)("overdue", v.overdue);
};
template <>
inline constexpr auto members_of<FileStatus> = [](auto& v, auto& member) {
  member("path", v.path)("id", v.id)("state", v.state)("faults", v.faults);
};
template <>
inline constexpr auto members_of<FastPathSettings> = [](auto& v, auto& member) {
  member("nic", v.nic)("kernel_port", v.kernel_port)("lcores", v.lcores)("hugepages", v.hugepages);
};
template <>
inline constexpr auto members_of<Config> = [](auto& v, auto& member) {
  member("interfaces", v.interfaces)("attach", v.attach)("mode", v.mode)("databases", v.databases)(
      "managed_ranges", v.managed_ranges)("trusted_interfaces", v.trusted_interfaces)(
      "backstop", v.backstop)("backstop_cgroup", v.backstop_cgroup)(
      "drop_sessions", v.drop_sessions)("fast_path", v.fast_path)(
      "socket_readers", v.socket_readers)("metrics", v.metrics)("guard_percent", v.guard)(
      "hold_down_ms", v.hold_down)("bound_ms", v.bound)("reconcile_ms", v.reconcile)("settle_ms",
                                                                                     v.settle);
};
template <>
inline constexpr auto members_of<StatusView::Backstop> = [](auto& v, auto& member) {
  member("wanted", v.wanted)("at_sockets", v.at_sockets)("cgroup", v.cgroup)("not_at", v.not_at)(
      "before_sockets", v.before_sockets)("before_expected", v.before_expected)("not_before",
                                                                                v.not_before);
};
template <>
inline constexpr auto members_of<StatusView::OutsideBackstop> =
    [](auto& v, auto& member) { member("port", v.port)("cgroup", v.cgroup); };
template <>
inline constexpr auto members_of<StatusView::Wide> = [](auto& v, auto& member) {
  member("database", v.database)("addresses", v.addresses)("is_all", v.is_all);
};
template <>
inline constexpr auto members_of<StatusView::HeldDownRange> = [](auto& v, auto& member) {
  member("range", v.range)("prefixes", v.prefixes)("until", v.until);
};
template <>
inline constexpr auto members_of<TrialView> = [](auto& v, auto& member) {
  member("id", v.id)("generation", v.generation)("author", v.author)("left_ms", v.left);
};
template <>
inline constexpr auto members_of<HistoryView::File> =
    [](auto& v, auto& member) { member("path", v.path)("text", v.text); };
template <>
inline constexpr auto members_of<HistoryView> =
    [](auto& v, auto& member) { note_members(v, member)("files", v.files); };
template <>
inline constexpr auto members_of<EventsView> =
    [](auto& v, auto& member) { member("events", v.events)("next", v.next); };
template <>
inline constexpr auto members_of<NewFiles> =
    [](auto& v, auto& member) { member("databases", v.databases)("settings", v.settings); };
template <>
inline constexpr auto members_of<FastPathPort> = [](auto& v, auto& member) {
  member("name", v.name)("interface", v.interface)("problem", v.problem)("mtu", v.mtu)(
      "has_link", v.has_link)("rx_packets", v.rx_packets)("rx_missed", v.rx_missed)(
      "rx_no_mbuf", v.rx_no_mbuf)("rx_errors", v.rx_errors)("tx_packets", v.tx_packets)("tx_full",
                                                                                        v.tx_full);
};
template <>
inline constexpr auto members_of<FastPathStatus> = [](auto& v, auto& member) {
  member("wanted", v.is_wanted)("connected", v.is_connected)("generation", v.generation)(
      "behind", v.is_behind)("problem", v.problem)("remedy", v.remedy)("lcores", v.lcores)(
      "has_hugepages", v.has_hugepages)("closed", v.closed)("ports", v.ports);
};
template <>
inline constexpr auto members_of<StatusView> = [](auto& v, auto& member) {
  member("version", v.version)("generation", v.generation)("table_bytes", v.table_bytes)(
      "prefixes", v.prefixes)("databases", v.databases)("policy_known", v.policy_known)(
      "mode", v.mode)("ready", v.ready)("since", v.since)("settings", v.settings)(
      "interfaces", v.interfaces)("backstop", v.backstop)("fast_path", v.fast_path)(
      "open_interfaces", v.open_interfaces)("outside_backstop", v.outside_backstop)(
      "files", v.files)("last", v.last)("pending", v.pending)("bound_ms", v.bound)(
      "placeholders", v.placeholders)("shadowed", v.shadowed)("monitored", v.monitored)(
      "withdrawn", v.withdrawn)("held_down", v.held_down)("guarded_ranges", v.guarded_ranges)(
      "sources", v.sources)("fleet", v.fleet)("wide", v.wide)("expired_rules", v.expired_rules)(
      "expiring_rules", v.expiring_rules)("trial", v.trial)("clock_was_at", v.clock_was_at)(
      "problems", v.problems)("notices", v.notices)("headline", v.headline);
};
template <>
inline constexpr auto members_of<RuleView> = [](auto& v, auto& member) {
  member("database", v.database)("id", v.id)("type", v.type)("source", v.source)("label", v.label)(
      "expires", v.expires)("state", v.state)("prefixes", v.prefixes)("hits", v.hits)(
      "last_hit", v.last_hit)("place", v.place)("counted_since", v.counted_since);
};
template <>
inline constexpr auto members_of<DatabaseView::Expected> = [](auto& v, auto& member) {
  member("allowed", v.allowed)("source", v.source)("label", v.label)("holds", v.holds)(
      "ends", v.ends)("place", v.place);
};
template <>
inline constexpr auto members_of<DatabaseView> = [](auto& v, auto& member) {
  member("id", v.id)("endpoint", v.endpoint)("mode", v.mode)("state", v.state)(
      "placeholder", v.is_placeholder)("path", v.path)("rules", v.rules)("peerings", v.peerings)(
      "allowed", v.allowed)("dropped", v.dropped)("version", v.version)(
      "expectations", v.expectations)("monitored", v.monitored)("expired_rules", v.expired);
};
template <>
inline constexpr auto members_of<ManagedRangeView::HeldDownPrefix> =
    [](auto& v, auto& member) { member("prefix", v.prefix)("left", v.left)("until", v.until); };
template <>
inline constexpr auto members_of<HeldVersion> = [](auto& v, auto& member) {
  member("digest", v.digest)("prefixes", v.prefixes)("change", v.change);
};
template <>
inline constexpr auto members_of<RangeSourceView> = [](auto& v, auto& member) {
  member("range", v.range)("source", v.source)("version", v.version)("fetched", v.fetched)(
      "changed", v.changed)("attempted", v.attempted)("next", v.next)("max_age_s", v.max_age)(
      "stale", v.is_stale)("failures", v.failures)("ipv6", v.ipv6)("error", v.error)("note",
                                                                                     v.note);
};
template <>
inline constexpr auto members_of<FleetView> = [](auto& v, auto& member) {
  member("name", v.name)("store", v.store)("push", v.push)("revision", v.revision)(
      "listed", v.listed)("max_age_s", v.max_age)("stale", v.is_stale)("waiting", v.waiting)(
      "error", v.error)("held_back", v.held_back);
};
template <>
inline constexpr auto members_of<RefreshView> =
    [](auto& v, auto& member) { member("range", v.range)("asked", v.asked); };
template <>
inline constexpr auto members_of<ManagedRangeView> = [](auto& v, auto& member) {
  member("id", v.id)("name", v.name)("prefixes", v.prefixes)("digest", v.digest)("path", v.path)(
      "changed", v.changed)("withdrawn", v.withdrawn)("used_by", v.used_by)(
      "enforced_at", v.enforced_at)("added", v.added)("removed", v.removed)("not_held", v.not_held)(
      "returned", v.returned)("returned_since", v.returned_since)(
      "held_down_prefixes", v.held_down_prefixes)("held_down", v.held_down)(
      "held_version", v.held_version)("source", v.source)("cidrs", v.cidrs);
};
template <>
inline constexpr auto members_of<NetPeeringView> = [](auto& v, auto& member) {
  member("database", v.database)("id", v.id)("cidr", v.cidr)("account", v.account)(
      "label", v.label)("state", v.state)("interface", v.interface)("address", v.address)(
      "hits", v.hits)("place", v.place);
};
template <>
inline constexpr auto members_of<NetworkView::Local> = [](auto& v, auto& member) {
  member("interface", v.interface)("address", v.address)("network", v.network);
};
template <>
inline constexpr auto members_of<NetworkView::Peer> = [](auto& v, auto& member) {
  member("net_peering", v.net_peering)("cidr", v.cidr)("interface", v.interface)("address",
                                                                                 v.address);
};
template <>
inline constexpr auto members_of<NetworkView> = [](auto& v, auto& member) {
  member("database", v.database)("endpoint", v.endpoint)("addresses", v.addresses)("peers",
                                                                                   v.peers);
};
template <>
inline constexpr auto members_of<EndpointView> = [](auto& v, auto& member) {
  member("id", v.id)("database", v.database)("type", v.type)("address", v.address)("port", v.port)(
      "listening", v.listening)("guarded", v.guarded)("monitored", v.monitored)(
      "guarded_by", v.guarded_by)("open_to_all", v.is_open_to_all);
};
template <>
inline constexpr auto members_of<EndpointsView> = [](auto& v, auto& member) {
  member("endpoints", v.endpoints)("unguarded_ports", v.unguarded_ports);
};
template <>
inline constexpr auto members_of<DropView> = [](auto& v, auto& member) {
  member("number", v.number)("source", v.source)("database", v.database)("port", v.port)(
      "reason", v.reason)("interface", v.interface)("vlan", v.vlan)("monitored", v.monitored)(
      "packets", v.packets)("first", v.first)("last", v.last);
};
template <>
inline constexpr auto members_of<DropsView> = [](auto& v, auto& member) {
  member("drops", v.drops)("next", v.next)("dropped", v.dropped)("unlisted", v.unlisted)(
      "lost_events", v.lost_events);
};
template <>
inline constexpr auto members_of<WhyView::Elsewhere> = [](auto& v, auto& member) {
  member("endpoint", v.endpoint)("database", v.database)("allowed", v.allowed);
};
template <>
inline constexpr auto members_of<WhyView> = [](auto& v, auto& member) {
  member("source", v.source)("database", v.database)("allowed", v.allowed)("reason", v.reason)(
      "rule", v.rule)("rule_source", v.rule_source)("label", v.label)("prefix", v.prefix)(
      "place", v.place)("detail", v.detail)("generation", v.generation)("monitored", v.monitored)(
      "last_hit", v.last_hit)("last_drop", v.last_drop)("table_agrees", v.table_agrees)(
      "elsewhere", v.elsewhere)("held_down_until", v.held_down_until)("trusted_way", v.trusted_way);
};
template <>
inline constexpr auto members_of<CountersView::Reason> = [](auto& v, auto& member) {
  member("owner", v.owner)("reason", v.reason)("monitored", v.monitored)("counts", v.counts)(
      "drop", v.is_drop);
};
template <>
inline constexpr auto members_of<CountersView::Total> = [](auto& v, auto& member) {
  member("database", v.database)("allowed", v.allowed)("dropped", v.dropped)("mode", v.mode)(
      "monitored", v.monitored);
};
template <>
inline constexpr auto members_of<CountersView> = [](auto& v, auto& member) {
  member("rules", v.rules)("reasons", v.reasons)("totals", v.totals)("lost_events", v.lost_events);
};
template <>
inline constexpr auto members_of<SessionView> = [](auto& v, auto& member) {
  member("peer", v.peer)("peer_port", v.peer_port)("address", v.address)("port", v.port)(
      "database", v.database)("rule", v.rule)("label", v.label)("allowed", v.allowed)(
      "monitored", v.monitored)("exempt", v.exempt)("socket", v.socket)("idle_ms", v.idle);
};
template <>
inline constexpr auto members_of<EndedView> = [](auto& v, auto& member) {
  member("peer", v.peer)("database", v.database)("sessions", v.sessions);
};
template <>
inline constexpr auto members_of<PreviewView::Rule> = [](auto& v, auto& member) {
  member("database", v.database)("id", v.id)("source", v.source)("label", v.label)("hits", v.hits)(
      "last_hit", v.last_hit)("sessions", v.sessions)("ending", v.ending)("in_use", v.is_in_use);
};
template <>
inline constexpr auto members_of<PreviewView> = [](auto& v, auto& member) {
  member("basis", v.basis)("change", v.change)("ends", v.ends)("rules", v.rules)("opens", v.opens)(
      "needs_yes", v.needs_yes);
};
template <>
inline constexpr auto members_of<ChangeView> = [](auto& v, auto& member) {
  member("enforced", v.enforced)("behind", v.is_behind)("generation", v.generation)(
      "took_ms", v.took)("bound_ms", v.bound)("path", v.path)("rule_id", v.rule_id)(
      "why_not", v.why_not)("warnings", v.warnings)("ended_sessions", v.ended_sessions)(
      "ended", v.ended)("unchanged", v.unchanged)("preview", v.preview)("closed", v.closed)(
      "detached", v.is_detached)("monitored", v.monitored);
};
template <>
inline constexpr auto members_of<Refusal> = [](auto& v, auto& member) {
  member("kind", v.kind)("message", v.message)("remedy", v.remedy)("faults", v.faults);
};
template <>
inline constexpr auto members_of<NewRule> = [](auto& v, auto& member) {
  member("database", v.database)("cidr", v.cidr)("managed_range", v.managed_range)(
      "net_peering", v.net_peering)("label", v.label)("expires", v.expires)("if_absent",
                                                                            v.if_absent);
};
template <>
inline constexpr auto members_of<NewNetPeering> = [](auto& v, auto& member) {
  member("database", v.database)("id", v.id)("cidr", v.cidr)("account", v.account)("label",
                                                                                   v.label);
};
template <>
inline constexpr auto members_of<RuleChange> =
    [](auto& v, auto& member) { member("label", v.label)("expires", v.expires); };
template <>
inline constexpr auto members_of<AcceptedVersion> =
    [](auto& v, auto& member) { member("digest", v.digest); };
template <>
inline constexpr auto members_of<ModeChange> =
    [](auto& v, auto& member) { member("mode", v.mode); };

}  // namespace moat::view
