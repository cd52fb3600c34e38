// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/suppressed_drops.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <utility>
#include <vector>

#include "dataplane/xdp/bpf_error.h"

namespace moat {
namespace {

using Accounts = std::vector<moat_source_allowance>;  // one of each CPU

template <typename Visit>
Result<> visit_places(int map, Visit visit) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return bpf_failure("count the CPUs", cpus);
  Accounts accounts(static_cast<std::size_t>(cpus));
  for (std::uint32_t place = 0; place < MOAT_SOURCES; place++) {
    if (bpf_map_lookup_elem(map, &place, accounts.data()) != 0)
      return bpf_failure("read what was not told of drops");
    if (auto done = visit(place, accounts); !done) return done;
  }
  return {};
}

}  // namespace

Result<SuppressedDrops> read_suppressed_drops(int map) {
  SuppressedDrops suppressed;
  auto done = visit_places(map, [&](std::uint32_t place, const Accounts& accounts) -> Result<> {
    for (const auto& account : accounts) suppressed.add(place, account);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return suppressed;
}

Result<> forget_suppressed_drops(int map) {
  return visit_places(map, [&](std::uint32_t place, Accounts& accounts) -> Result<> {
    bool is_suppressed = false;
    for (auto& account : accounts) is_suppressed |= std::exchange(account.suppressed, 0) != 0;
    if (is_suppressed && bpf_map_update_elem(map, &place, accounts.data(), BPF_EXIST) != 0)
      return bpf_failure("forget what was not told of drops");
    return {};
  });
}

}  // namespace moat
