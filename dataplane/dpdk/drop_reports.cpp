// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/drop_reports.h"

#include <algorithm>
#include <cstring>
#include <ctime>

#include "bpf/source_hash.h"

namespace moat {
namespace {

moat_source source_of(const moat_frame& frame, const moat_verdict& verdict) {
  moat_source source = {};
  const std::uint32_t bytes = verdict.family == 4 ? 4 : verdict.family == 6 ? 16 : 0;
  const std::uint32_t offset = verdict.l3 + (verdict.family == 4 ? 12 : 8);
  std::uint8_t scratch[16];
  const std::uint8_t* at = bytes != 0 ? moat_at(&frame, offset, bytes, scratch) : nullptr;
  if (at != nullptr) std::memcpy(&source, at, bytes);
  return source;
}

std::uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::optional<moat_drop> DropReports::report(const moat_frame& frame, const moat_verdict& verdict,
                                             std::uint64_t tick) {
  const moat_source source = source_of(frame, verdict);
  const std::uint64_t hash = moat_hash_source(&source, verdict.slot);
  const std::uint32_t mark = moat_source_mark(hash);
  moat_source_allowance& place = sources_[moat_source_place(hash)];
  auto& kind = kinds_[verdict.slot - MOAT_RULE_SLOTS];
  const std::uint64_t kind_granted = kind.load(std::memory_order_relaxed);
  const bool is_same = place.mark == mark;
  const std::uint64_t events = MOAT_SOURCE_BURST + (is_same ? 0 : MOAT_SOURCE_SPARE) - 1;
  if (place.granted > tick + events * MOAT_SOURCE_PACE && kind_granted + MOAT_SOURCE_PACE > tick) {
    place.suppressed += is_same;
    return {};
  }
  moat_drop drop = {};
  drop.packets = 1 + (is_same ? place.suppressed : 0);
  place = {std::max<std::uint64_t>(place.granted, tick) + MOAT_SOURCE_PACE, mark, 0};
  kind.store(std::max(kind_granted, tick) + 1, std::memory_order_relaxed);

  drop.time = monotonic_ns();
  drop.ifindex = ifindex_;
  drop.bytes = verdict.bytes;
  std::memcpy(drop.source, &source, sizeof drop.source);
  drop.port = __builtin_bswap16(verdict.port);
  drop.vlan = verdict.vlan;
  drop.family = verdict.family;
  drop.reason = verdict.reason;
  drop.owner = verdict.owner;
  drop.monitored = verdict.monitored;
  return drop;
}

}  // namespace moat
