// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/suppressed_drops.h"

#include <cstring>

#include "bpf/source_hash.h"

namespace moat {

void SuppressedDrops::add(std::uint32_t place, const moat_source_allowance& account) {
  if (account.suppressed != 0) packets_[{place, account.mark}] += account.suppressed;
}

std::uint64_t SuppressedDrops::packets(const std::array<std::uint8_t, 16>& source,
                                       std::uint32_t slot) const {
  moat_source words = {};
  static_assert(sizeof words == sizeof source);
  std::memcpy(&words, source.data(), sizeof words);
  const auto hash = moat_hash_source(&words, slot);
  const auto found = packets_.find({moat_source_place(hash), moat_source_mark(hash)});
  return found == packets_.end() ? 0 : found->second;
}

}  // namespace moat
