// SPDX-License-Identifier: BSD-2-Clause
#include "tests/e2e/frames/mend.h"

#include <algorithm>
#include <span>

namespace moat::testing {
namespace {

using Span = std::span<std::uint8_t>;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kOther = 0x80;  // makes another identification of any

std::uint32_t u16(Span bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::uint32_t add(std::uint32_t sum, Span bytes) {
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    sum += static_cast<std::uint32_t>(bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0));
  return sum;
}

// The sum of all, in place of the two bytes at `at`; `sum` is that of a pseudo header.
void put_sum(Span bytes, std::size_t at, std::uint32_t sum) {
  bytes[at] = bytes[at + 1] = 0;
  sum = add(sum, bytes);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  bytes[at] = static_cast<std::uint8_t>(~sum >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(~sum);
}

void mend_tcp(Span addresses, Span segment) {
  if (segment.size() < 20) return;
  put_sum(segment, 16, add(kTcp + static_cast<std::uint32_t>(segment.size()), addresses));
}

void mend_ipv4(Span packet) {
  if (packet.size() < 20) return;
  const std::size_t header = packet[0] % 16 * 4u, total = u16(packet, 2);
  if (header < 20 || header > packet.size()) return;
  packet[4] ^= kOther;
  put_sum(packet.first(header), 10, 0);
  if (packet[9] == kTcp && total >= header && total <= packet.size())
    mend_tcp(packet.subspan(12, 8), packet.subspan(header, total - header));
}

void mend_ipv6(Span packet) {
  constexpr std::uint8_t kWalked[] = {0, 43, 44, 60};
  if (packet.size() < 40) return;
  const std::size_t end = std::min<std::size_t>(packet.size(), 40 + u16(packet, 4));
  std::size_t at = 40;
  std::uint8_t next = packet[6];
  while (std::ranges::find(kWalked, next) != std::end(kWalked) && at + 8 <= end) {
    const std::size_t length = next == 44 ? 8 : (packet[at + 1] + 1u) * 8;
    if (next == 44) packet[at + 4] ^= kOther;
    next = packet[at];
    at += length;
  }
  if (next == kTcp && at < end) mend_tcp(packet.subspan(8, 32), packet.subspan(at, end - at));
}

}  // namespace

void mend(std::vector<std::uint8_t>& frame) {
  constexpr std::uint8_t kHost[] = {2, 0, 0, 0, 0, 2};
  if (frame.size() < 14) return;
  std::ranges::copy(kHost, frame.begin());
  std::size_t at = 12;
  while (at + 6 <= frame.size() && (u16(frame, at) == 0x8100 || u16(frame, at) == 0x88a8)) at += 4;
  const Span packet = Span(frame).subspan(at + 2);
  if (u16(frame, at) == 0x0800) mend_ipv4(packet);
  if (u16(frame, at) == 0x86dd) mend_ipv6(packet);
}

}  // namespace moat::testing
