// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/untold_drops.h"

#include <cstring>

#include "bpf/source_hash.h"

namespace moat {

void UntoldDrops::add(std::uint32_t place, const moat_source_allowance& account) {
  if (account.untold != 0) packets_[{place, account.mark}] += account.untold;
}

std::uint64_t UntoldDrops::packets(const std::array<std::uint8_t, 16>& source,
                                   std::uint32_t slot) const {
  moat_source words = {};
  static_assert(sizeof words == sizeof source);
  std::memcpy(&words, source.data(), sizeof words);
  const auto hash = moat_hash_source(&words, slot);
  const auto found = packets_.find({moat_source_place(hash), moat_source_mark(hash)});
  return found == packets_.end() ? 0 : found->second;
}

}  // namespace moat
