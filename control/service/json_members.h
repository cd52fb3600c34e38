// SPDX-License-Identifier: BSD-2-Clause
// What the JSON of each struct of service.h has for members, each listed once, for json_codec.h.
// Only for json.cpp.
#pragma once

#include <array>
#include <string_view>
#include <tuple>
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
inline constexpr auto members_of<Fault> =
    std::tuple("severity", &Fault::severity, "place", &Fault::place, "message", &Fault::message,
               "value", &Fault::value, "remedy", &Fault::remedy, "count", &Fault::count);
template <>
inline constexpr auto members_of<Problem> =
    std::tuple("code", &Problem::code, "subject", &Problem::subject, "message", &Problem::message,
               "remedy", &Problem::remedy, "faults", &Problem::faults);
template <>
inline constexpr auto members_of<Counts> =
    std::tuple("packets", &Counts::packets, "bytes", &Counts::bytes);
template <>
inline constexpr auto members_of<InterfaceStatus> =
    std::tuple("name", &InterfaceStatus::name, "present", &InterfaceStatus::present, "mode",
               &InterfaceStatus::mode, "program_id", &InterfaceStatus::program_id, "foreign",
               &InterfaceStatus::foreign, "reason", &InterfaceStatus::reason, "remedy",
               &InterfaceStatus::remedy, "moved", &InterfaceStatus::moved);
template <>
inline constexpr auto members_of<Propagation> =
    std::tuple("path", &Propagation::path, "written", &Propagation::written, "noticed",
               &Propagation::noticed, "enforced", &Propagation::enforced, "generation",
               &Propagation::generation, "overdue", &Propagation::overdue);
template <>
inline constexpr auto members_of<FileStatus> =
    std::tuple("path", &FileStatus::path, "id", &FileStatus::id, "state", &FileStatus::state,
               "faults", &FileStatus::faults);
template <>
inline constexpr auto members_of<FastPathSettings> =
    std::tuple("nic", &FastPathSettings::nic, "kernel_port", &FastPathSettings::kernel_port,
               "lcores", &FastPathSettings::lcores, "hugepages", &FastPathSettings::hugepages);
template <>
inline constexpr auto members_of<Config> = std::tuple(
    "interfaces", &Config::interfaces, "attach", &Config::attach, "mode", &Config::mode,
    "databases", &Config::databases, "managed_ranges", &Config::managed_ranges,
    "trusted_interfaces", &Config::trusted_interfaces, "backstop", &Config::backstop,
    "backstop_cgroup", &Config::backstop_cgroup, "drop_sessions", &Config::drop_sessions,
    "fast_path", &Config::fast_path, "socket_readers", &Config::socket_readers, "metrics",
    &Config::metrics, "guard_percent", &Config::guard, "hold_down_ms", &Config::hold_down,
    "bound_ms", &Config::bound, "reconcile_ms", &Config::reconcile, "settle_ms", &Config::settle);
template <>
inline constexpr auto members_of<StatusView::Backstop> = std::tuple(
    "wanted", &StatusView::Backstop::wanted, "at_sockets", &StatusView::Backstop::at_sockets,
    "cgroup", &StatusView::Backstop::cgroup, "not_at", &StatusView::Backstop::not_at,
    "before_sockets", &StatusView::Backstop::before_sockets, "before_expected",
    &StatusView::Backstop::before_expected, "not_before", &StatusView::Backstop::not_before);
template <>
inline constexpr auto members_of<StatusView::OutsideBackstop> = std::tuple(
    "port", &StatusView::OutsideBackstop::port, "cgroup", &StatusView::OutsideBackstop::cgroup);
template <>
inline constexpr auto members_of<StatusView::Wide> =
    std::tuple("database", &StatusView::Wide::database, "addresses", &StatusView::Wide::addresses,
               "is_all", &StatusView::Wide::is_all);
template <>
inline constexpr auto members_of<StatusView::HeldDownRange> =
    std::tuple("range", &StatusView::HeldDownRange::range, "prefixes",
               &StatusView::HeldDownRange::prefixes, "until", &StatusView::HeldDownRange::until);
template <>
inline constexpr auto members_of<TrialView> =
    std::tuple("id", &TrialView::id, "generation", &TrialView::generation, "author",
               &TrialView::author, "left_ms", &TrialView::left);
template <>
inline constexpr auto members_of<HistoryView::File> =
    std::tuple("path", &HistoryView::File::path, "text", &HistoryView::File::text);
template <>
inline constexpr auto members_of<HistoryView> =
    std::tuple("generation", &HistoryView::generation, "time", &HistoryView::time, "cause",
               &HistoryView::cause, "author", &HistoryView::author, "command",
               &HistoryView::command, "change", &HistoryView::change, "files", &HistoryView::files);
template <>
inline constexpr auto members_of<EventsView> =
    std::tuple("events", &EventsView::events, "next", &EventsView::next);
template <>
inline constexpr auto members_of<NewFiles> =
    std::tuple("databases", &NewFiles::databases, "settings", &NewFiles::settings);
template <>
inline constexpr auto members_of<FastPathPort> = std::tuple(
    "name", &FastPathPort::name, "interface", &FastPathPort::interface, "problem",
    &FastPathPort::problem, "mtu", &FastPathPort::mtu, "has_link", &FastPathPort::has_link,
    "rx_packets", &FastPathPort::rx_packets, "rx_missed", &FastPathPort::rx_missed, "rx_no_mbuf",
    &FastPathPort::rx_no_mbuf, "rx_errors", &FastPathPort::rx_errors, "tx_packets",
    &FastPathPort::tx_packets, "tx_full", &FastPathPort::tx_full);
template <>
inline constexpr auto members_of<FastPathStatus> =
    std::tuple("wanted", &FastPathStatus::is_wanted, "connected", &FastPathStatus::is_connected,
               "generation", &FastPathStatus::generation, "behind", &FastPathStatus::is_behind,
               "problem", &FastPathStatus::problem, "remedy", &FastPathStatus::remedy, "lcores",
               &FastPathStatus::lcores, "has_hugepages", &FastPathStatus::has_hugepages, "closed",
               &FastPathStatus::closed, "ports", &FastPathStatus::ports);
template <>
inline constexpr auto members_of<StatusView> = std::tuple(
    "version", &StatusView::version, "generation", &StatusView::generation, "table_bytes",
    &StatusView::table_bytes, "prefixes", &StatusView::prefixes, "databases",
    &StatusView::databases, "policy_known", &StatusView::policy_known, "mode", &StatusView::mode,
    "ready", &StatusView::ready, "since", &StatusView::since, "settings", &StatusView::settings,
    "interfaces", &StatusView::interfaces, "backstop", &StatusView::backstop, "fast_path",
    &StatusView::fast_path, "open_interfaces", &StatusView::open_interfaces, "outside_backstop",
    &StatusView::outside_backstop, "files", &StatusView::files, "last", &StatusView::last,
    "pending", &StatusView::pending, "bound_ms", &StatusView::bound, "placeholders",
    &StatusView::placeholders, "shadowed", &StatusView::shadowed, "monitored",
    &StatusView::monitored, "withdrawn", &StatusView::withdrawn, "held_down",
    &StatusView::held_down, "guarded_ranges", &StatusView::guarded_ranges, "sources",
    &StatusView::sources, "fleet", &StatusView::fleet, "wide", &StatusView::wide, "expired_rules",
    &StatusView::expired_rules, "expiring_rules", &StatusView::expiring_rules, "trial",
    &StatusView::trial, "clock_was_at", &StatusView::clock_was_at, "problems",
    &StatusView::problems, "notices", &StatusView::notices, "headline", &StatusView::headline);
template <>
inline constexpr auto members_of<RuleView> = std::tuple(
    "database", &RuleView::database, "id", &RuleView::id, "type", &RuleView::type, "source",
    &RuleView::source, "label", &RuleView::label, "expires", &RuleView::expires, "state",
    &RuleView::state, "prefixes", &RuleView::prefixes, "hits", &RuleView::hits, "last_hit",
    &RuleView::last_hit, "place", &RuleView::place, "counted_since", &RuleView::counted_since);
template <>
inline constexpr auto members_of<DatabaseView::Expected> = std::tuple(
    "allowed", &DatabaseView::Expected::allowed, "source", &DatabaseView::Expected::source, "label",
    &DatabaseView::Expected::label, "holds", &DatabaseView::Expected::holds, "ends",
    &DatabaseView::Expected::ends, "place", &DatabaseView::Expected::place);
template <>
inline constexpr auto members_of<DatabaseView> = std::tuple(
    "id", &DatabaseView::id, "endpoint", &DatabaseView::endpoint, "mode", &DatabaseView::mode,
    "state", &DatabaseView::state, "placeholder", &DatabaseView::is_placeholder, "path",
    &DatabaseView::path, "rules", &DatabaseView::rules, "peerings", &DatabaseView::peerings,
    "allowed", &DatabaseView::allowed, "dropped", &DatabaseView::dropped, "version",
    &DatabaseView::version, "expectations", &DatabaseView::expectations);
template <>
inline constexpr auto members_of<ManagedRangeView::HeldDownPrefix> = std::tuple(
    "prefix", &ManagedRangeView::HeldDownPrefix::prefix, "left",
    &ManagedRangeView::HeldDownPrefix::left, "until", &ManagedRangeView::HeldDownPrefix::until);
template <>
inline constexpr auto members_of<HeldVersion> =
    std::tuple("digest", &HeldVersion::digest, "prefixes", &HeldVersion::prefixes, "change",
               &HeldVersion::change);
template <>
inline constexpr auto members_of<RangeSourceView> = std::tuple(
    "range", &RangeSourceView::range, "source", &RangeSourceView::source, "version",
    &RangeSourceView::version, "fetched", &RangeSourceView::fetched, "changed",
    &RangeSourceView::changed, "attempted", &RangeSourceView::attempted, "next",
    &RangeSourceView::next, "max_age_s", &RangeSourceView::max_age, "stale",
    &RangeSourceView::is_stale, "failures", &RangeSourceView::failures, "ipv6",
    &RangeSourceView::ipv6, "error", &RangeSourceView::error, "note", &RangeSourceView::note);
template <>
inline constexpr auto members_of<FleetView> =
    std::tuple("name", &FleetView::name, "store", &FleetView::store, "push", &FleetView::push,
               "revision", &FleetView::revision, "listed", &FleetView::listed, "max_age_s",
               &FleetView::max_age, "stale", &FleetView::is_stale, "waiting", &FleetView::waiting,
               "error", &FleetView::error, "held_back", &FleetView::held_back);
template <>
inline constexpr auto members_of<RefreshView> =
    std::tuple("range", &RefreshView::range, "asked", &RefreshView::asked);
template <>
inline constexpr auto members_of<ManagedRangeView> =
    std::tuple("id", &ManagedRangeView::id, "name", &ManagedRangeView::name, "prefixes",
               &ManagedRangeView::prefixes, "digest", &ManagedRangeView::digest, "path",
               &ManagedRangeView::path, "changed", &ManagedRangeView::changed, "withdrawn",
               &ManagedRangeView::withdrawn, "used_by", &ManagedRangeView::used_by, "enforced_at",
               &ManagedRangeView::enforced_at, "added", &ManagedRangeView::added, "removed",
               &ManagedRangeView::removed, "not_held", &ManagedRangeView::not_held, "returned",
               &ManagedRangeView::returned, "returned_since", &ManagedRangeView::returned_since,
               "held_down_prefixes", &ManagedRangeView::held_down_prefixes, "held_down",
               &ManagedRangeView::held_down, "held_version", &ManagedRangeView::held_version,
               "source", &ManagedRangeView::source, "cidrs", &ManagedRangeView::cidrs);
template <>
inline constexpr auto members_of<NetPeeringView> = std::tuple(
    "database", &NetPeeringView::database, "id", &NetPeeringView::id, "cidr", &NetPeeringView::cidr,
    "account", &NetPeeringView::account, "label", &NetPeeringView::label, "state",
    &NetPeeringView::state, "interface", &NetPeeringView::interface, "address",
    &NetPeeringView::address, "hits", &NetPeeringView::hits, "place", &NetPeeringView::place);
template <>
inline constexpr auto members_of<NetworkView::Local> =
    std::tuple("interface", &NetworkView::Local::interface, "address", &NetworkView::Local::address,
               "network", &NetworkView::Local::network);
template <>
inline constexpr auto members_of<NetworkView::Peer> =
    std::tuple("net_peering", &NetworkView::Peer::net_peering, "cidr", &NetworkView::Peer::cidr,
               "interface", &NetworkView::Peer::interface, "address", &NetworkView::Peer::address);
template <>
inline constexpr auto members_of<NetworkView> =
    std::tuple("database", &NetworkView::database, "endpoint", &NetworkView::endpoint, "addresses",
               &NetworkView::addresses, "peers", &NetworkView::peers);
template <>
inline constexpr auto members_of<EndpointView> =
    std::tuple("id", &EndpointView::id, "database", &EndpointView::database, "type",
               &EndpointView::type, "address", &EndpointView::address, "port", &EndpointView::port,
               "listening", &EndpointView::listening, "guarded", &EndpointView::guarded,
               "monitored", &EndpointView::monitored);
template <>
inline constexpr auto members_of<EndpointsView> = std::tuple(
    "endpoints", &EndpointsView::endpoints, "unguarded_ports", &EndpointsView::unguarded_ports);
template <>
inline constexpr auto members_of<DropView> = std::tuple(
    "number", &DropView::number, "source", &DropView::source, "database", &DropView::database,
    "port", &DropView::port, "reason", &DropView::reason, "interface", &DropView::interface, "vlan",
    &DropView::vlan, "monitored", &DropView::monitored, "packets", &DropView::packets, "first",
    &DropView::first, "last", &DropView::last);
template <>
inline constexpr auto members_of<DropsView> =
    std::tuple("drops", &DropsView::drops, "next", &DropsView::next, "dropped", &DropsView::dropped,
               "unlisted", &DropsView::unlisted, "lost_events", &DropsView::lost_events);
template <>
inline constexpr auto members_of<WhyView::Elsewhere> =
    std::tuple("endpoint", &WhyView::Elsewhere::endpoint, "database", &WhyView::Elsewhere::database,
               "allowed", &WhyView::Elsewhere::allowed);
template <>
inline constexpr auto members_of<WhyView> = std::tuple(
    "source", &WhyView::source, "database", &WhyView::database, "allowed", &WhyView::allowed,
    "reason", &WhyView::reason, "rule", &WhyView::rule, "rule_source", &WhyView::rule_source,
    "label", &WhyView::label, "prefix", &WhyView::prefix, "place", &WhyView::place, "detail",
    &WhyView::detail, "generation", &WhyView::generation, "monitored", &WhyView::monitored,
    "last_hit", &WhyView::last_hit, "last_drop", &WhyView::last_drop, "table_agrees",
    &WhyView::table_agrees, "elsewhere", &WhyView::elsewhere, "held_down_until",
    &WhyView::held_down_until, "trusted_way", &WhyView::trusted_way);
template <>
inline constexpr auto members_of<CountersView::Reason> =
    std::tuple("owner", &CountersView::Reason::owner, "reason", &CountersView::Reason::reason,
               "monitored", &CountersView::Reason::monitored, "counts",
               &CountersView::Reason::counts, "drop", &CountersView::Reason::is_drop);
template <>
inline constexpr auto members_of<CountersView::Total> =
    std::tuple("database", &CountersView::Total::database, "allowed", &CountersView::Total::allowed,
               "dropped", &CountersView::Total::dropped, "mode", &CountersView::Total::mode,
               "monitored", &CountersView::Total::monitored);
template <>
inline constexpr auto members_of<CountersView> =
    std::tuple("rules", &CountersView::rules, "reasons", &CountersView::reasons, "totals",
               &CountersView::totals, "lost_events", &CountersView::lost_events);
template <>
inline constexpr auto members_of<SessionView> =
    std::tuple("peer", &SessionView::peer, "peer_port", &SessionView::peer_port, "address",
               &SessionView::address, "port", &SessionView::port, "database",
               &SessionView::database, "rule", &SessionView::rule, "label", &SessionView::label,
               "allowed", &SessionView::allowed, "monitored", &SessionView::monitored, "exempt",
               &SessionView::exempt, "socket", &SessionView::socket, "idle_ms", &SessionView::idle);
template <>
inline constexpr auto members_of<EndedView> = std::tuple(
    "peer", &EndedView::peer, "database", &EndedView::database, "sessions", &EndedView::sessions);
template <>
inline constexpr auto members_of<PreviewView::Rule> =
    std::tuple("database", &PreviewView::Rule::database, "id", &PreviewView::Rule::id, "source",
               &PreviewView::Rule::source, "label", &PreviewView::Rule::label, "hits",
               &PreviewView::Rule::hits, "last_hit", &PreviewView::Rule::last_hit, "sessions",
               &PreviewView::Rule::sessions, "ending", &PreviewView::Rule::ending, "in_use",
               &PreviewView::Rule::is_in_use);
template <>
inline constexpr auto members_of<PreviewView> =
    std::tuple("basis", &PreviewView::basis, "change", &PreviewView::change, "ends",
               &PreviewView::ends, "rules", &PreviewView::rules, "opens", &PreviewView::opens,
               "needs_yes", &PreviewView::needs_yes);
template <>
inline constexpr auto members_of<ChangeView> = std::tuple(
    "enforced", &ChangeView::enforced, "behind", &ChangeView::is_behind, "generation",
    &ChangeView::generation, "took_ms", &ChangeView::took, "bound_ms", &ChangeView::bound, "path",
    &ChangeView::path, "rule_id", &ChangeView::rule_id, "why_not", &ChangeView::why_not, "warnings",
    &ChangeView::warnings, "ended_sessions", &ChangeView::ended_sessions, "ended",
    &ChangeView::ended, "unchanged", &ChangeView::unchanged, "preview", &ChangeView::preview);
template <>
inline constexpr auto members_of<Refusal> =
    std::tuple("kind", &Refusal::kind, "message", &Refusal::message, "remedy", &Refusal::remedy,
               "faults", &Refusal::faults);
template <>
inline constexpr auto members_of<NewRule> =
    std::tuple("database", &NewRule::database, "cidr", &NewRule::cidr, "managed_range",
               &NewRule::managed_range, "net_peering", &NewRule::net_peering, "label",
               &NewRule::label, "expires", &NewRule::expires, "if_absent", &NewRule::if_absent);
template <>
inline constexpr auto members_of<NewNetPeering> = std::tuple(
    "database", &NewNetPeering::database, "id", &NewNetPeering::id, "cidr", &NewNetPeering::cidr,
    "account", &NewNetPeering::account, "label", &NewNetPeering::label);
template <>
inline constexpr auto members_of<RuleChange> =
    std::tuple("label", &RuleChange::label, "expires", &RuleChange::expires);
template <>
inline constexpr auto members_of<AcceptedVersion> = std::tuple("digest", &AcceptedVersion::digest);
template <>
inline constexpr auto members_of<ModeChange> = std::tuple("mode", &ModeChange::mode);

}  // namespace moat::view
