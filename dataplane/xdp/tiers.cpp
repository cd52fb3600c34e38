// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/tiers.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <tuple>

#include "dataplane/xdp/bpf_error.h"

namespace moat {
namespace {

constexpr __u32 only_slot = 0;  // each outer map has this one only

Result<> write(int outer, int inner) {
  if (bpf_map_update_elem(outer, &only_slot, &inner, BPF_ANY) == 0) return {};
  return bpf_failure("put the table in its slot");
}

Result<> erase(int outer) {
  if (bpf_map_delete_elem(outer, &only_slot) == 0 || errno == ENOENT) return {};
  return bpf_failure("take the table out of its slot");
}

}  // namespace

std::optional<std::size_t> Tiers::smallest_for(std::size_t bytes) {
  const auto* found = std::lower_bound(tier_bytes.begin(), tier_bytes.end(), bytes);
  if (found == tier_bytes.end()) return {};
  return static_cast<std::size_t>(found - tier_bytes.begin());
}

std::optional<std::size_t> Tiers::live_of(const TierIds& ids) {
  for (std::size_t tier = 0; tier < ids.size(); tier++)
    if (ids[tier] != 0) return tier;
  return {};
}

Result<TierIds> Tiers::occupants() const {
  TierIds ids = {};
  for (std::size_t tier = 0; tier < ids.size(); tier++)
    if (bpf_map_lookup_elem(outers_[tier], &only_slot, &ids[tier]) != 0 && errno != ENOENT)
      return bpf_failure("read which table is live");
  return ids;
}

Result<> Tiers::commit(std::size_t tier, int inner) const {
  const auto before = occupants();
  if (!before) return std::unexpected(before.error());
  if (auto written = write(outers_[tier], inner); !written) return written;

  // Growing. Of two smaller ones, which only a crash leaves, the smallest was live: it goes last.
  for (std::size_t smaller = tier; smaller-- > 0;) {
    if ((*before)[smaller] == 0) continue;
    if (auto erased = erase(outers_[smaller]); !erased) {
      std::ignore = erase(outers_[tier]);  // nobody saw it, but the next one should find it free
      return erased;
    }
  }
  // Shrinking. The new table is live by now, so a failure is none of the caller's concern: what is
  // left in a bigger slot is not seen, and goes with the next commit.
  for (std::size_t bigger = tier + 1; bigger < before->size(); bigger++)
    if ((*before)[bigger] != 0) std::ignore = erase(outers_[bigger]);
  return {};
}

Result<> Tiers::clear_above_live() const {
  const auto ids = occupants();
  if (!ids) return std::unexpected(ids.error());
  const auto live = live_of(*ids);
  if (!live) return {};
  for (std::size_t tier = *live + 1; tier < ids->size(); tier++)
    if ((*ids)[tier] != 0)
      if (auto erased = erase(outers_[tier]); !erased) return erased;
  return {};
}

Result<> Tiers::wait_for_programs(std::size_t tier, int inner) const {
  return write(outers_[tier], inner);
}

}  // namespace moat
