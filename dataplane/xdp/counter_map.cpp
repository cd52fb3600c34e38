// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/counter_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <span>

#include "dataplane/xdp/bpf_error.h"

namespace moat {
namespace {

static_assert(sizeof(moat_counter) % 8 == 0, "the kernel pads a CPU's value to 8 bytes");

constexpr std::uint32_t batch = 1024;  // slots a call: 16 KiB for each CPU

Result<std::size_t> cpus() {
  const int possible = libbpf_num_possible_cpus();
  if (possible <= 0) return bpf_failure("count the CPUs", possible);
  return static_cast<std::size_t>(possible);
}

moat_counter sum(std::span<const moat_counter> values) {
  moat_counter total = {};
  for (const moat_counter& value : values) {
    total.packets += value.packets;
    total.bytes += value.bytes;
  }
  return total;
}

// Not every kernel reads this type of map in batches.
Result<std::vector<moat_counter>> read_one_by_one(int map, std::size_t width) {
  std::vector<moat_counter> totals(MOAT_COUNTER_SLOTS);
  std::vector<moat_counter> values(width);
  for (std::uint32_t slot = 0; slot < totals.size(); slot++) {
    if (bpf_map_lookup_elem(map, &slot, values.data()) != 0) return bpf_failure("read a counter");
    totals[slot] = sum(values);
  }
  return totals;
}

}  // namespace

Result<std::vector<moat_counter>> read_counters(int map) {
  const auto width = cpus();
  if (!width) return std::unexpected(width.error());
  std::vector<moat_counter> totals(MOAT_COUNTER_SLOTS);
  std::array<std::uint32_t, batch> slots = {};
  std::vector<moat_counter> values(batch * *width);
  std::uint32_t position = 0;
  for (bool first = true, more = true; more; first = false) {
    __u32 count = batch;
    const int error = bpf_map_lookup_batch(map, first ? nullptr : &position, &position,
                                           slots.data(), values.data(), &count, nullptr);
    if (error != 0 && error != -ENOENT) {
      if (first) return read_one_by_one(map, *width);
      return bpf_failure("read the counters", error);
    }
    more = error == 0;
    for (std::uint32_t i = 0; i < count; i++)
      if (slots[i] < totals.size())
        totals[slots[i]] = sum(std::span(values).subspan(i * *width, *width));
  }
  return totals;
}

Result<> clear_counters(int map, const std::vector<std::uint32_t>& slots) {
  const auto width = cpus();
  if (!width) return std::unexpected(width.error());
  const std::vector<moat_counter> zero(*width);
  for (const std::uint32_t slot : slots)
    if (bpf_map_update_elem(map, &slot, zero.data(), BPF_ANY) != 0)
      return bpf_failure("clear a counter");
  return {};
}

}  // namespace moat
