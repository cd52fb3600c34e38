// SPDX-License-Identifier: BSD-2-Clause
// What a host said in answer to a frame: its own small reader of packets, which shares nothing with
// the packet path that is under test.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace moat::testing {

using Bytes = std::span<const std::uint8_t>;

struct Answer {
  enum class Kind { syn_ack, rst, tcp, icmp, arp, other };
  Kind kind = Kind::other;
  bool six = false;                           // IPv6
  std::array<std::uint8_t, 16> from{}, to{};  // IPv4: the first four bytes
  std::uint16_t from_port = 0, to_port = 0;   // of TCP
  std::uint32_t sequence = 0, acknowledged = 0;
  bool is_question = false;  // no answer: the host asks for a neighbour
};

// "syn-ack", as the record has it.
[[nodiscard]] std::string name_of(Answer::Kind kind);
// "rst from 10.0.0.10 5432 to 198.51.100.26 40000", for people.
[[nodiscard]] std::string describe(const Answer& answer);

// A frame that left the host; nothing for what a host says unasked (IGMP, MLD, router
// solicitations).
[[nodiscard]] std::optional<Answer> read_answer(Bytes frame);

// A TCP segment that goes the other way, behind the link header of `like` (only as far as its
// tags).
enum class Segment { syn, ack };
[[nodiscard]] std::vector<std::uint8_t> reply_to(const Answer& answer, Segment what, Bytes like);

// A ping, and whether a frame that left the host is the echo of it.
struct Ping {
  std::array<std::uint8_t, 6> to_mac, from_mac;
  std::array<std::uint8_t, 4> to, from;
  std::uint16_t number;
};
[[nodiscard]] std::vector<std::uint8_t> frame_of(const Ping& ping);
[[nodiscard]] bool is_echo_of(const Ping& ping, Bytes frame);

}  // namespace moat::testing
