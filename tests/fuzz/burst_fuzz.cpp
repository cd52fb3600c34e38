// SPDX-License-Identifier: BSD-2-Clause
// Bursts of the fast path against the shared verdict function, frame by frame. Input: policy (1
// byte), where first buffers end (2), and frames: length (2) and bytes each.
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/dpdk/burst.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/random_endpoints.h"
#include "tests/fuzz/require.h"
#include "tests/verdict/burst_frames.h"

namespace moat::testing {
namespace {

constexpr std::uint64_t kMonotonic = 5'000'000'000'000;

const LiveTable& table(std::uint8_t number) {
  static std::map<std::uint8_t, LiveTable> tables;
  const auto known = tables.find(number);
  if (known != tables.end()) return known->second;
  const Policy policy = random_whole_policy(number);
  const Table table = compile(policy, plain_slots(policy), {kNow, kMonotonic}, number).value();
  return tables.emplace(number, LiveTable::make(table).value()).first->second;
}

using Counters = std::map<std::uint32_t, std::pair<std::uint64_t, std::uint64_t>>;

void count(Counters& counters, std::uint32_t slot, std::uint32_t bytes) {
  counters[slot].first++;
  counters[slot].second += bytes;
}

struct Lcore {
  Counters counters;
  std::uint64_t reports = 0;
  void count(std::uint32_t slot, std::uint32_t bytes) {
    moat::testing::count(counters, slot, bytes);
  }
  static bool wants_report(std::uint32_t) { return true; }
  void report(const moat_frame&, const moat_verdict&) { reports++; }
};

void run(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return;
  const LiveTable& by = table(data[0]);
  const std::size_t cut = data[1] | std::size_t{data[2]} << 8;
  std::vector<std::span<const std::uint8_t>> frames;
  for (std::size_t at = 3; at + 2 <= size && frames.size() < Lines::max_burst;) {
    const std::size_t length = data[at] | std::size_t{data[at + 1]} << 8;
    at += 2;
    if (length > size - at) break;
    frames.emplace_back(data + at, length);
    at += length;
  }
  const BurstFrames view(frames, cut, kMonotonic);
  Lcore lcore;
  const std::uint64_t drops = Burst(by, view, static_cast<unsigned>(frames.size()), lcore).drops();
  Counters wanted;
  std::uint64_t reports = 0;
  for (std::size_t i = 0; i < frames.size(); i++) {
    const moat_verdict verdict = judge(by.table, frames[i], kMonotonic);
    count(wanted, verdict.slot, verdict.bytes);
    reports += verdict.drop | verdict.monitored;
    require((drops >> i & 1) == verdict.drop, "the same verdict in a burst", std::to_string(i));
  }
  require(frames.size() == 64 || drops >> frames.size() == 0, "no more drops than frames", "");
  require(lcore.counters == wanted, "the same counters", std::to_string(frames.size()));
  require(lcore.reports == reports, "each drop may be reported", std::to_string(reports));
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view bytes) {
  run(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}
