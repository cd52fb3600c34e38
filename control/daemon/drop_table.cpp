// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/drop_table.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <set>

#include "bpf/verdict.h"
#include "dataplane/table/table.h"

namespace moat {
namespace {

constexpr std::uint16_t vid_mask = 0xfff;  // of a tag control information

// Of a source of family 4, which has the first four bytes.
Address ipv4_of(const std::array<std::uint8_t, 16>& source) {
  __be32 wire = 0;
  std::memcpy(&wire, source.data(), sizeof wire);
  return Address::from_network(wire);
}

std::string format_source(const std::array<std::uint8_t, 16>& source, std::uint8_t family) {
  if (family == 0) return {};
  return family == 4 ? format_address(ipv4_of(source)) : format_address(source);
}

}  // namespace

void DropTable::make_room() {
  const auto largest =
      std::ranges::max_element(kinds_, {}, [](const auto& kind) { return kind.second.size(); });
  auto& rows = largest->second;
  index_.erase(rows.back().key);
  rows.pop_back();
  if (rows.empty()) kinds_.erase(largest);
}

void DropTable::add(const moat_drop& event, const std::string& database,
                    const std::string& interface, Time time) {
  Key key{{},
          event.family,
          event.reason,
          event.monitored != 0,
          static_cast<std::uint16_t>(event.vlan & vid_mask),
          database.empty() ? ntohs(event.port) : std::uint16_t{0},
          database,
          interface};
  std::memcpy(key.source.data(), event.source, key.source.size());

  auto found = index_.find(key);
  if (found == index_.end()) {
    if (index_.size() >= capacity_) make_room();
    auto& rows = kinds_[{database, event.reason, key.monitored}];
    rows.push_front({.key = key, .first = time, .last = time});
    found = index_.emplace(std::move(key), rows.begin()).first;
  }
  Row& row = *found->second;
  auto& rows = kinds_[{row.key.database, row.key.reason, row.key.monitored}];
  rows.splice(rows.begin(), rows, found->second);
  row.port = ntohs(event.port);
  row.number = next_++;
  row.packets += event.packets;
  row.suppressed = 0;  // for all that is known now
  row.slot = MOAT_OUTCOME_SLOT(event.owner, event.monitored, event.reason);
  row.first = std::min(row.first, time);  // each CPU has its own order
  row.last = std::max(row.last, time);
}

void DropTable::note_counters(const std::vector<moat_counter>& counters) {
  if (counters.size() < MOAT_COUNTER_SLOTS) return;
  lost_ = counters[MOAT_LOST_DROPS_SLOT].packets;
  const bool is_first = noted_.empty();
  noted_.resize(MOAT_COUNTER_SLOTS - MOAT_RULE_SLOTS);
  for (std::size_t i = 0; i < noted_.size(); i++) {
    if (!moat_is_drop(static_cast<std::uint32_t>(i % MOAT_REASONS))) continue;
    const auto packets = counters[MOAT_RULE_SLOTS + i].packets;
    if (!is_first) dropped_ += packets >= noted_[i] ? packets - noted_[i] : packets;
    noted_[i] = packets;
  }
}

// They are summed up by source and outcome: of rows that differ in other things, the latest has
// them.
void DropTable::note_suppressed(const SuppressedDrops& suppressed) {
  for (auto& [kind, rows] : kinds_) {
    std::set<std::array<std::uint8_t, 16>> seen;
    for (auto& row : rows) {
      const bool is_latest = seen.insert(row.key.source).second;
      row.suppressed = is_latest ? suppressed.packets(row.key.source, row.slot) : 0;
    }
  }
}

DropView DropTable::view_of(const Row& row) {
  DropView view;
  view.number = row.number;
  view.source = format_source(row.key.source, row.key.family);
  view.database = row.key.database;
  view.port = row.port;
  view.reason = reason_text(row.key.reason);
  view.interface = row.key.interface;
  view.vlan = row.key.vlan;
  view.monitored = row.key.monitored;
  view.packets = row.packets + row.suppressed;
  view.first = row.first;
  view.last = row.last;
  return view;
}

DropsView DropTable::view(const std::string& database, std::uint64_t since) const {
  DropsView view;
  view.next = next_;
  view.dropped = dropped_;
  view.lost_events = lost_;
  std::uint64_t listed = 0;
  for (const auto& [kind, rows] : kinds_) {
    for (const auto& row : rows) {
      listed += row.packets + row.suppressed;
      if (row.number < since) continue;
      if (database.empty() || row.key.database == database) view.drops.push_back(view_of(row));
    }
  }
  view.unlisted = dropped_ - std::min(dropped_, listed);
  std::ranges::sort(view.drops, std::greater<>(), &DropView::number);
  return view;
}

std::optional<DropView> DropTable::last_of(Address source, const std::string& database) const {
  const Row* newest = nullptr;
  for (const auto& [kind, rows] : kinds_) {
    if (const auto& owner = std::get<0>(kind); !owner.empty() && owner != database) continue;
    for (const auto& row : rows) {
      if (row.key.family != 4 || ipv4_of(row.key.source) != source) continue;
      if (newest == nullptr || newest->number < row.number) newest = &row;
    }
  }
  return newest ? std::optional(view_of(*newest)) : std::nullopt;
}

}  // namespace moat
