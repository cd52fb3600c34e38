// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <array>

#include "tests/fuzz/random_endpoints.h"

namespace moat::testing {
namespace {

constexpr std::size_t kShort = 14, kLong = 70'000;
constexpr std::size_t kHead = 160;  // most headers are within

template <typename T>
const auto& any_of_these(Random& random, const T& values) {
  return values[below(random, static_cast<std::uint32_t>(std::size(values)))];
}

// Where the network header should begin: behind all tags there are.
std::size_t find_l3(const std::vector<std::uint8_t>& frame) {
  std::size_t at = 12;
  while (at + 6 <= frame.size() && ((frame[at] == 0x81 && frame[at + 1] == 0) ||
                                    (frame[at] == 0x88 && frame[at + 1] == 0xa8)))
    at += 4;
  return at + 2;
}

}  // namespace

std::uint8_t Mutator::byte(std::size_t at) const { return at < frame_.size() ? frame_[at] : 0; }

void Mutator::put16(std::size_t at, std::uint32_t value) {
  if (at + 2 > frame_.size()) return;
  frame_[at] = static_cast<std::uint8_t>(value >> 8);
  frame_[at + 1] = static_cast<std::uint8_t>(value);
}

void Mutator::put32(std::size_t at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

void Mutator::insert(std::size_t at, std::span<const std::uint8_t> bytes) {
  at = std::min(at, frame_.size());
  frame_.insert(frame_.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin(), bytes.end());
}

void Mutator::aim(const Policy& policy, Random& random) {
  sources_ = interesting_sources(policy, random);
  destinations_.assign(std::begin(kAddresses), std::end(kAddresses));
  destinations_.emplace_back(0x0a00000au);
  ports_.assign(std::begin(kPorts), std::end(kPorts));
  for (const Database& database : policy.databases)
    ports_.insert(ports_.end(), database.endpoint.ports.begin(), database.endpoint.ports.end());
}

void Mutator::pick(Random& random) {
  const auto* seed = &any_of_these(random, seeds_);
  for (int tries = 0; seed->size() > 2000 && tries < 2; tries++)
    seed = &any_of_these(random, seeds_);
  frame_ = *seed;
}

void Mutator::mutate_blindly(Random& random) {
  static constexpr std::array<std::uint16_t, 12> words = {
      0, 1, 0xffff, 0x8100, 0x88a8, 0x0800, 0x86dd, 0x4500, 0x0600, 0x2000, 0x1fff, 0x5000};
  const auto size = static_cast<std::uint32_t>(frame_.size());
  if (size == 0) return;
  const std::uint32_t at = below(random, std::min<std::uint32_t>(size, kHead));
  switch (below(random, 6)) {
    case 0:
      frame_[at] = static_cast<std::uint8_t>(random());
      break;
    case 1:
      frame_[at] ^= static_cast<std::uint8_t>(1u << below(random, 8));
      break;
    case 2:
      put16(at, any_of_these(random, words));
      break;
    case 3:
      frame_.resize(at + below(random, 40));
      break;
    case 4: {
      std::array<std::uint8_t, 24> bytes;
      std::ranges::generate(bytes, [&] { return static_cast<std::uint8_t>(random()); });
      insert(at, std::span(bytes).first(1 + below(random, 23)));
      break;
    }
    default:
      frame_.erase(frame_.begin() + at,
                   frame_.begin() + std::min<std::uint32_t>(size, at + 1 + below(random, 16)));
  }
}

void Mutator::mutate_link(Random& random) {
  const std::uint8_t kind = below(random, 2) == 0 ? 0x81 : 0x88;
  const std::array<std::uint8_t, 4> tag = {
      kind, kind == 0x81 ? std::uint8_t{0} : std::uint8_t{0xa8},
      static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random())};
  insert(12, tag);
}

void Mutator::mutate_ipv4(Random& random, std::size_t l3) {
  static constexpr std::array<std::uint8_t, 8> options = {0, 1, 7, 131, 137, 68, 222, 148};
  const std::size_t l4 = l3 + byte(l3) % 16 * 4u;
  const std::size_t room = frame_.size() > l3 ? frame_.size() - l3 : 0;
  switch (below(random, 9)) {
    case 0:  // total length about what is there
      put16(l3 + 2, static_cast<std::uint32_t>(room + below(random, 5) - 2));
      break;
    case 1:
      put16(l3 + 2, static_cast<std::uint32_t>(l4 - l3 + below(random, 24)));
      break;
    case 2:
      put16(l3 + 6, static_cast<std::uint32_t>(below(random, 8) << 13 | below(random, 3)));
      break;
    case 3:
      if (l3 + 9 < frame_.size())
        frame_[l3 + 9] = any_of_these(random, std::array<std::uint8_t, 4>{1, 6, 17, 47});
      break;
    case 4: {  // options, with IHL and total length to match
      std::array<std::uint8_t, 8> bytes;
      for (auto& each : bytes)
        each = below(random, 3) == 0 ? any_of_these(random, options)
                                     : static_cast<std::uint8_t>(below(random, 10));
      if ((byte(l3) & 15) > 13 || l3 + 20 > frame_.size()) break;
      insert(l3 + 20, bytes);
      frame_[l3] = static_cast<std::uint8_t>(frame_[l3] + 2);
      put16(l3 + 2, (byte(l3 + 2) << 8 | byte(l3 + 3)) + 8u);
      break;
    }
    case 5:
      if (l4 + 12 < frame_.size())
        frame_[l4 + 12] = static_cast<std::uint8_t>(below(random, 16) << 4);
      break;
    case 6:
      if (l3 < frame_.size()) frame_[l3] = static_cast<std::uint8_t>(0x40 | below(random, 16));
      break;
    case 7:  // ICMP type, or the first port
      if (l4 < frame_.size()) frame_[l4] = static_cast<std::uint8_t>(below(random, 14));
      break;
    default:  // DHCP's ports
      put32(l4, 67u << 16 | 68u);
  }
}

void Mutator::mutate_ipv6(Random& random, std::size_t l3) {
  static constexpr std::array<std::uint8_t, 14> kinds = {0,  6,  17, 43,  44,  50,  51,
                                                         58, 59, 60, 135, 139, 140, 41};
  if (l3 + 40 > frame_.size()) return;
  switch (below(random, 5)) {
    case 0:
      frame_[l3 + 6] = any_of_these(random, kinds);
      break;
    case 1:
      if (l3 + 40 < frame_.size()) frame_[l3 + 40] = any_of_these(random, kinds);
      break;
    case 2:
      put16(l3 + 4, static_cast<std::uint32_t>(frame_.size() - l3 - 40 + below(random, 9) - 4));
      break;
    case 3:  // a fragment's offset and flags, or what stands there
      put16(l3 + 42, below(random, 32));
      break;
    default: {  // one more header in front
      std::array<std::uint8_t, 8> header{};
      header[0] = frame_[l3 + 6];
      header[1] = below(random, 8) == 0 ? static_cast<std::uint8_t>(below(random, 4)) : 0;
      frame_[l3 + 6] = any_of_these(random, kinds);
      for (unsigned i = 0, times = 1 + (below(random, 4) == 0 ? below(random, 9) : 0); i < times;
           i++) {
        insert(l3 + 40, header);
        header[0] = frame_[l3 + 6];
      }
      put16(l3 + 4, static_cast<std::uint32_t>(frame_.size() - l3 - 40));
    }
  }
}

void Mutator::address_to_policy(Random& random, std::size_t l3) {
  if (byte(l3) >> 4 == 4) {
    const std::size_t l4 = l3 + byte(l3) % 16 * 4u;
    if (!sources_.empty() && below(random, 8) != 0)
      put32(l3 + 12, any_of_these(random, sources_).value);
    put32(l3 + 16, any_of_these(random, destinations_).value);
    if (below(random, 4) != 0) put16(l4 + 2, any_of_these(random, ports_));
  } else if (byte(l3) >> 4 == 6 && byte(l3 + 6) == 6) {
    put16(l3 + 42, any_of_these(random, ports_));
  }
}

std::span<const std::uint8_t> Mutator::next(Random& random) {
  pick(random);
  std::size_t l3 = find_l3(frame_);
  if (below(random, 8) != 0) address_to_policy(random, l3);
  for (unsigned i = 0, times = below(random, 4); i < times; i++) {
    const bool is_ip6 = byte(l3) >> 4 == 6;
    switch (below(random, 8)) {
      case 0:
      case 1:
        mutate_blindly(random);
        break;
      case 2:
        if (below(random, 4) == 0) mutate_link(random);
        break;
      default:
        is_ip6 ? mutate_ipv6(random, l3) : mutate_ipv4(random, l3);
    }
    l3 = find_l3(frame_);
  }
  frame_.resize(std::clamp(frame_.size(), kShort, kLong));
  return frame_;
}

}  // namespace moat::testing
