// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/publisher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "bpf/lookup.h"
#include "control/enforce/compile.h"

namespace moat {
namespace {

// How far the clocks may move against each other before deadlines are computed anew; and so how far
// a deadline may be from where it should be.
constexpr std::chrono::nanoseconds tolerance = std::chrono::milliseconds(100);

bool judges_alike(const Rule& a, const Rule& b) {
  return a.id == b.id && a.cidr == b.cidr && a.managed_range == b.managed_range &&
         a.net_peering == b.net_peering && a.expires == b.expires;
}

bool same_database(const Database& a, const Database& b) {
  return a.id == b.id && a.endpoint == b.endpoint && a.mode == b.mode &&
         std::ranges::equal(a.rules, b.rules, judges_alike) &&
         std::ranges::equal(a.peerings, b.peerings, &NetPeering::says_the_same);
}

bool same_held_down(const ManagedRange& a, const ManagedRange& b) {
  return std::ranges::equal(a.held_down, b.held_down, [](const HeldDown& x, const HeldDown& y) {
    return x.until == y.until && (x.cidrs == y.cidrs || *x.cidrs == *y.cidrs);
  });
}

// Of ranges, those that rules name.
bool same_ranges(const Policy& a, const Policy& b) {
  for (const auto& database : a.databases) {
    for (const auto& rule : database.rules) {
      if (rule.managed_range.empty()) continue;
      const auto in_a = a.ranges.find(rule.managed_range);
      const auto in_b = b.ranges.find(rule.managed_range);
      if (in_a == a.ranges.end() || in_b == b.ranges.end()) return false;
      const auto& cidrs = in_a->second.cidrs;
      if (cidrs != in_b->second.cidrs && *cidrs != *in_b->second.cidrs) return false;
      if (!same_held_down(in_a->second, in_b->second)) return false;
    }
  }
  return true;
}

// Whether `policy` guards that port of that address; without an address, of all addresses.
bool guards(const Policy& policy, std::optional<Address> address, std::uint16_t port) {
  return std::ranges::any_of(policy.databases, [&](const Database& database) {
    const auto& endpoint = database.endpoint;
    if (!endpoint.address) return names_port(endpoint, port);
    return endpoint.address == address && (endpoint.all || names_port(endpoint, port));
  });
}

bool guards_all(const Policy& policy, Address address) {
  return std::ranges::any_of(policy.databases, [&](const Database& database) {
    return database.endpoint.all && database.endpoint.address == address;
  });
}

bool closes_ipv6(const Policy& policy) {
  return std::ranges::any_of(policy.databases, [](const Database& database) {
    return database.endpoint.ipv6 == Ipv6::closed;
  });
}

// What the table guards and the policy would leave open, or nothing.
std::optional<std::string> exposed_by(const Policy& policy, const Table& table) {
  const auto& header = table.header();
  const auto is_guarded = [&](std::uint32_t row, std::uint32_t port_row) {
    return port_row != 0 && moat_endpoint(&header, header.size, row, port_row) != 0;
  };
  for (std::uint32_t port = 1; port <= 0xffff; port++) {
    const auto number = static_cast<std::uint16_t>(port);
    const auto port_row = moat_port_row(&header, header.size, port);
    if (is_guarded(0, port_row) && !guards(policy, std::nullopt, number))
      return fmt::format("port {}", port);
    for (const auto& place : header.address) {
      const auto address = Address::from_network(place.address);
      if (place.row != 0 && place.all == 0 && is_guarded(place.row, port_row) &&
          !guards(policy, address, number))
        return fmt::format("port {} of {}", port, format_address(address));
    }
  }
  for (const auto& place : header.address) {
    const auto address = Address::from_network(place.address);
    if (place.all != 0 && !guards_all(policy, address)) return format_address(address);
  }
  if (moat_endpoint(&header, header.size, header.ipv6_row, 0) != 0 && !closes_ipv6(policy))
    return "IPv6";
  return std::nullopt;
}

}  // namespace

bool same_verdicts(const Policy& a, const Policy& b) {
  return a.mode == b.mode && std::ranges::equal(a.databases, b.databases, same_database) &&
         same_ranges(a, b);
}

bool same_notes(const Policy& a, const Policy& b) {
  const auto same_expectation = [](const Expectation& x, const Expectation& y) {
    return x.is_same(y) && x.label == y.label;
  };
  return std::ranges::equal(a.databases, b.databases, [&](const Database& x, const Database& y) {
    return std::ranges::equal(x.rules, y.rules, {}, &Rule::label, &Rule::label) &&
           std::ranges::equal(x.peerings, y.peerings, &NetPeering::says_the_same) &&
           std::ranges::equal(x.expectations, y.expectations, same_expectation);
  });
}

bool same_content(const Table& a, const Table& b) {
  if (!a || !b || a.bytes().size() != b.bytes().size()) return false;
  moat_table header_a = a.header();
  moat_table header_b = b.header();
  header_a.generation = header_b.generation = 0;
  header_a.digest = header_b.digest = 0;
  if (std::memcmp(&header_a, &header_b, sizeof header_a) != 0) return false;
  // Between header and end lie the timed entries, of which only the deadlines may differ.
  const auto* from_a = a.bytes().data();
  const auto* from_b = b.bytes().data();
  const auto same = [&](std::size_t from, std::size_t to) {
    return std::memcmp(from_a + from, from_b + from, to - from) == 0;
  };
  const std::size_t timed_end = header_a.timed_offset + header_a.timed * sizeof(moat_timed);
  if (!same(sizeof header_a, header_a.timed_offset)) return false;
  if (!same(timed_end, header_a.size)) return false;
  for (std::uint32_t i = 0; i < header_a.timed; i++) {
    moat_timed entry_a;
    moat_timed entry_b;
    const auto offset = header_a.timed_offset + i * sizeof(moat_timed);
    std::memcpy(&entry_a, from_a + offset, sizeof entry_a);
    std::memcpy(&entry_b, from_b + offset, sizeof entry_b);
    const auto apart = static_cast<std::int64_t>(entry_a.deadline - entry_b.deadline);
    if (entry_a.slot != entry_b.slot || entry_a.next != entry_b.next) return false;
    if (std::chrono::abs(std::chrono::nanoseconds(apart)) > tolerance) return false;
  }
  return true;
}

Policy without_expired(const Policy& policy, WallTime now) {
  Policy left = policy;
  for (auto& database : left.databases) {
    std::erase_if(database.rules, [now](const Rule& rule) { return rule.is_expired(now); });
  }
  for (auto& [id, range] : left.ranges) {
    std::erase_if(range.held_down, [now](const HeldDown& held) { return held.is_over(now); });
  }
  return left;
}

Publisher::Publisher(Backend& backend, StateStore& store, State state, Clocks clocks)
    : backend_(backend),
      store_(store),
      state_(std::move(state)),
      clocks_(std::move(clocks)),
      expiry_clock_(state_.latest_time),
      accounts_(backend, state_) {}

void Publisher::observe_clock() {
  if (!expiry_clock_.observe(clocks_())) return;
  state_.latest_time = expiry_clock_.latest();
  is_unsaved_ = true;
}

void Publisher::confirm_clock() {
  expiry_clock_.confirm(clocks_());
  state_.latest_time = expiry_clock_.latest();
  is_unsaved_ = true;
}

std::size_t Publisher::doubtful_rules() const {
  std::size_t count = 0;
  if (!state_.enforced) return count;
  const auto now = expiry_time();
  const auto known = expiry_clock_.latest().time;
  for (const auto& database : state_.enforced->policy.databases) {
    count += static_cast<std::size_t>(std::ranges::count_if(database.rules, [&](const Rule& rule) {
      return rule.is_expired(now) && !rule.is_expired(known);
    }));
  }
  return count;
}

void Publisher::adopt(Table live) {
  is_unsure_ =
      !state_.enforced || state_.is_incomplete || live.header().generation > state_.generation;
  table_ = std::move(live);
}

// Why nothing new may be published, while it is not known what was enforced last.
std::optional<Error> Publisher::object_to(const Resolution& resolution,
                                          const std::string& no_help) const {
  if (!is_unsure_) return std::nullopt;
  const auto what =
      fmt::format("the state on disk {}", !state_.enforced       ? "is lost"
                                          : state_.is_incomplete ? "lacks a managed range"
                                                                 : "is older");
  const auto refuse = [&what](const std::string& path) {
    return Error{fmt::format("{} and {} is no help", what, path), "mend or restore that file"};
  };
  if (!no_help.empty()) return refuse(no_help);
  for (const auto& file : resolution.files)
    if (file.state != FileState::active) return refuse(file.path);
  if (!resolution.withdrawn.empty())
    return Error{
        fmt::format("{} and no file has managed range {}", what, *resolution.withdrawn.begin()),
        "restore the file that had it"};
  if (const auto open = exposed_by(resolution.state.policy, table_))
    return Error{fmt::format("{} and no file speaks for {}, which it guards", what, *open),
                 "restore the file, or end the guard: moat detach"};
  return std::nullopt;
}

Result<Publisher::PublishResult> Publisher::publish(const Resolution& resolution,
                                                    const std::string& no_help) {
  PublishResult outcome{generation(), false, std::chrono::steady_clock::now()};
  const bool is_same = state_.enforced && compiled_at_ && !is_due() &&
                       same_verdicts(state_.enforced->policy, resolution.state.policy);
  // A label is part of what a generation says, though no packet is judged by it.
  const bool is_annotated =
      state_.enforced && !same_notes(state_.enforced->policy, resolution.state.policy);
  if (!is_same || is_annotated) {
    auto done = commit(resolution.state.policy, is_annotated, object_to(resolution, no_help));
    if (!done) return done;
    outcome = *done;
    // Not before: where publishing fails, the table of before is live and as little known.
    is_unsure_ = false;
    state_.is_incomplete = false;
  }
  state_.enforced = resolution.state;
  state_.forgotten.clear();
  // What is enforced needs no leave any more.
  std::erase_if(state_.accepted, [&](const auto& entry) {
    const auto range = state_.enforced->policy.ranges.find(entry.first);
    return range == state_.enforced->policy.ranges.end() ||
           digest_of(range->second.cidrs) == entry.second;
  });
  is_unsaved_ = true;
  return outcome;
}

Result<Publisher::PublishResult> Publisher::renew(bool forced) {
  if (!state_.enforced || is_unsure_) return PublishResult{};
  for (auto& [id, range] : state_.enforced->policy.ranges)
    is_unsaved_ |= tend_held_down(range, resolve_time());
  return commit(state_.enforced->policy, forced);
}

Result<Publisher::PublishResult> Publisher::close(Policy policy) {
  for (auto& database : policy.databases) {
    database.rules.clear();
  }
  auto done = commit(policy, true);
  if (!done) return done;
  is_closed_ = true;
  compiled_at_.reset();  // not from what is enforced
  return done;
}

Result<> Publisher::finish() {
  accounts_.fold_freed();
  auto saved = save();
  accounts_.sweep();
  return saved;
}

Result<Publisher::PublishResult> Publisher::commit(const Policy& policy, bool forced,
                                                   const std::optional<Error>& objection) {
  Slots slots = state_.slots;
  const auto assignment = slots.assign(policy);
  observe_clock();
  const ClockReading reading = clocks_();
  const WallTime expired_until = expiry_clock_.now(reading);
  const SlotMap slot_map{
      [&](std::string_view database) { return slots.owner(database); },
      [&](std::string_view database, std::string_view rule) { return slots.rule(database, rule); }};
  const auto next = std::max({state_.generation, generation(), number_after_}) + 1;
  auto table = compile(without_expired(policy, expired_until), slot_map, reading.now, next);
  if (!table) return std::unexpected(std::move(table.error()));

  const bool is_new = forced || !same_content(*table, table_);
  if (is_new && objection) return std::unexpected(*objection);
  if (is_new) {
    if (auto folded = accounts_.fold_needed(assignment); !folded)
      return std::unexpected(folded.error());
    if (auto done = backend_.publish(*table); !done) return std::unexpected(done.error());
    table_ = std::move(*table);
  }
  is_closed_ = false;
  state_.slots = std::move(slots);
  state_.generation = generation();
  compiled_at_ = reading.now;
  expired_until_ = expired_until;
  is_unsaved_ = true;
  return PublishResult{generation(), is_new, std::chrono::steady_clock::now()};
}

bool Publisher::is_due() const {
  if (!state_.enforced || !compiled_at_) return false;
  if (table_ && table_.header().timed > 0 &&
      std::chrono::abs(drift(*compiled_at_, clocks())) > tolerance) {
    return true;
  }
  const auto now = expiry_time();
  const auto& [mode, databases, ranges] = state_.enforced->policy;
  return std::ranges::any_of(databases,
                             [&](const Database& database) {
                               return std::ranges::any_of(database.rules, [&](const Rule& rule) {
                                 return rule.is_expired(now) != rule.is_expired(expired_until_);
                               });
                             }) ||
         std::ranges::any_of(ranges, [&](const auto& entry) {
           return std::ranges::any_of(entry.second.held_down, [&](const HeldDown& held) {
             return held.is_over(now) != held.is_over(expired_until_);
           });
         });
}

Result<bool> Publisher::is_live() const {
  if (!table_) return true;
  return backend_.is_live();
}

std::optional<std::string> Publisher::inspect() {
  const auto live = backend_.live();
  if (!live) return live.error().message;
  if (!table_) return std::nullopt;
  const auto& header = table_.header();
  if (live->generation == 0) return "nothing is enforced: the live table is gone";
  if (live->generation != header.generation || live->digest != header.digest) {
    return fmt::format("the live table is generation {} with digest {:016x}, not {} with {:016x}",
                       live->generation, live->digest, header.generation, header.digest);
  }
  return std::nullopt;
}

std::optional<WallTime> Publisher::next_expiry() const {
  std::optional<WallTime> next;
  if (!state_.enforced) return next;
  const auto now = expiry_time();
  for (const auto& database : state_.enforced->policy.databases) {
    for (const auto& rule : database.rules) {
      if (!rule.expires || rule.is_expired(now)) continue;
      if (!next || *rule.expires < *next) next = rule.expires;
    }
  }
  for (const auto& [id, range] : state_.enforced->policy.ranges) {
    for (const auto& held : range.held_down) {
      if (!held.is_over(now)) next = std::min(next.value_or(held.until), held.until);
    }
  }
  return next;
}

Result<> Publisher::sample() {
  const auto is_hit = accounts_.sample(std::chrono::floor<std::chrono::seconds>(clocks().wall));
  if (!is_hit) return std::unexpected(is_hit.error());
  is_unsaved_ |= *is_hit;
  observe_clock();
  return {};
}

void Publisher::keep_pins(const std::string& folder, std::map<std::string, std::uint32_t> ids) {
  LastPins pins{clocks_().boot, folder, std::move(ids)};
  is_unsaved_ |= pins != state_.pins;
  state_.pins = std::move(pins);
}

Result<> Publisher::save() {
  if (!is_unsaved_) return {};
  auto saved = store_.save(state_);
  is_unsaved_ = !saved;
  return saved;
}

}  // namespace moat
