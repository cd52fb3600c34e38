// SPDX-License-Identifier: BSD-2-Clause
#include "tests/e2e/frames/answer.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

namespace moat::testing {
namespace {

constexpr std::uint16_t kArp = 0x0806, kIpv4 = 0x0800, kIpv6 = 0x86dd;
constexpr std::uint8_t kIcmp = 1, kIgmp = 2, kTcp = 6, kIcmp6 = 58;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;
constexpr std::uint16_t kPingId = 0x4d4f;

std::uint16_t u16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
std::uint32_t u32(Bytes bytes, std::size_t at) {
  return static_cast<std::uint32_t>(u16(bytes, at)) << 16 | u16(bytes, at + 2);
}
void put(std::vector<std::uint8_t>& to, std::uint32_t value, int bytes) {
  while (bytes-- > 0) to.push_back(static_cast<std::uint8_t>(value >> bytes * 8));
}
void put(std::vector<std::uint8_t>& to, Bytes bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::uint16_t checksum(Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    sum += bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}
void set_checksum(std::vector<std::uint8_t>& packet, std::size_t at, std::uint16_t value) {
  packet[at] = static_cast<std::uint8_t>(value >> 8);
  packet[at + 1] = static_cast<std::uint8_t>(value);
}

// Behind Ethernet and its tags: where the EtherType is.
std::size_t type_at(Bytes frame) {
  std::size_t at = 12;
  while (at + 6 <= frame.size() && (u16(frame, at) == 0x8100 || u16(frame, at) == 0x88a8)) at += 4;
  return at;
}

Bytes address(const Answer& answer, const std::array<std::uint8_t, 16>& which) {
  return Bytes(which).first(answer.six ? 16 : 4);
}

void read_tcp(Bytes segment, Answer& answer) {
  answer.kind = Answer::Kind::tcp;
  if (segment.size() < 20) return;
  answer.from_port = u16(segment, 0);
  answer.to_port = u16(segment, 2);
  answer.sequence = u32(segment, 4);
  answer.acknowledged = u32(segment, 8);
  const int flags = segment[13];
  if ((flags & kRst) != 0)
    answer.kind = Answer::Kind::rst;
  else if ((flags & (kSyn | kAck)) == (kSyn | kAck) && (flags & kFin) == 0)
    answer.kind = Answer::Kind::syn_ack;
}

std::optional<Answer> read_ipv4(Bytes packet) {
  if (packet.size() < 20 || packet[9] == kIgmp) return std::nullopt;
  Answer answer;
  std::ranges::copy(packet.subspan(12, 4), answer.from.begin());
  std::ranges::copy(packet.subspan(16, 4), answer.to.begin());
  const std::size_t header = packet[0] % 16 * 4u;
  if (packet[9] == kTcp && header <= packet.size()) read_tcp(packet.subspan(header), answer);
  if (packet[9] == kIcmp) answer.kind = Answer::Kind::icmp;
  return answer;
}

std::optional<Answer> read_ipv6(Bytes packet) {
  constexpr std::uint8_t kHopByHop = 0, kSolicitation = 135, kUnasked[] = {131, 132, 133, 143};
  if (packet.size() < 48) return std::nullopt;
  Answer answer{.six = true};
  std::ranges::copy(packet.subspan(8, 16), answer.from.begin());
  std::ranges::copy(packet.subspan(24, 16), answer.to.begin());
  std::uint8_t next = packet[6];
  Bytes rest = packet.subspan(40);
  if (next == kHopByHop && rest.size() > (rest[1] + 1u) * 8) {
    next = rest[0];
    rest = rest.subspan((rest[1] + 1u) * 8);
  }
  if (next == kTcp) read_tcp(rest, answer);
  if (next == kIcmp6) {
    if (std::ranges::find(kUnasked, rest[0]) != std::end(kUnasked)) return std::nullopt;
    answer.kind = Answer::Kind::icmp;
    answer.is_question = rest[0] == kSolicitation;
  }
  return answer;
}

std::optional<Answer> read_arp(Bytes packet) {
  if (packet.size() < 28) return std::nullopt;
  Answer answer{.kind = Answer::Kind::arp, .is_question = u16(packet, 6) == 1};
  std::ranges::copy(packet.subspan(14, 4), answer.from.begin());
  std::ranges::copy(packet.subspan(24, 4), answer.to.begin());
  return answer;
}

// TCP from the one whom `answer` went to; the source and the destination of a pseudo header first.
std::vector<std::uint8_t> segment(const Answer& answer, Segment what) {
  std::vector<std::uint8_t> tcp;
  put(tcp, answer.to_port, 2);
  put(tcp, answer.from_port, 2);
  put(tcp, what == Segment::ack ? answer.acknowledged : 1, 4);
  put(tcp, what == Segment::ack ? answer.sequence + 1 : 0, 4);
  put(tcp, 5, 1);
  tcp.back() = 5 << 4;
  put(tcp, what == Segment::ack ? kAck : kSyn, 1);
  put(tcp, 0xffff, 2);  // window
  put(tcp, 0, 4);       // checksum, urgent pointer

  std::vector<std::uint8_t> summed;
  put(summed, address(answer, answer.to));
  put(summed, address(answer, answer.from));
  put(summed, kTcp, 2);
  put(summed, static_cast<std::uint32_t>(tcp.size()), 2);
  put(summed, tcp);
  set_checksum(tcp, 16, checksum(summed));
  return tcp;
}

std::vector<std::uint8_t> ipv4_header(Bytes from, Bytes to, std::uint8_t protocol,
                                      std::size_t payload) {
  std::vector<std::uint8_t> ip;
  put(ip, 0x4500, 2);
  put(ip, static_cast<std::uint32_t>(20 + payload), 2);
  put(ip, 0, 4);
  put(ip, 64, 1);
  put(ip, protocol, 1);
  put(ip, 0, 2);
  put(ip, from);
  put(ip, to);
  set_checksum(ip, 10, checksum(ip));
  return ip;
}

std::string text(const Answer& answer, const std::array<std::uint8_t, 16>& which) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(answer.six ? AF_INET6 : AF_INET, which.data(), buffer.data(), buffer.size());
  return buffer.data();
}

}  // namespace

std::string name_of(Answer::Kind kind) {
  constexpr const char* kNames[] = {"syn-ack", "rst", "tcp", "icmp", "arp", "other"};
  return kNames[static_cast<int>(kind)];
}

std::string describe(const Answer& answer) {
  return fmt::format("{} from {} {} to {} {}", name_of(answer.kind), text(answer, answer.from),
                     answer.from_port, text(answer, answer.to), answer.to_port);
}

std::optional<Answer> read_answer(Bytes frame) {
  const std::size_t at = type_at(frame);
  if (at + 2 > frame.size()) return std::nullopt;
  const Bytes packet = frame.subspan(at + 2);
  switch (u16(frame, at)) {
    case kIpv4:
      return read_ipv4(packet);
    case kIpv6:
      return read_ipv6(packet);
    case kArp:
      return read_arp(packet);
    default:
      return Answer{};
  }
}

std::vector<std::uint8_t> reply_to(const Answer& answer, Segment what, Bytes like) {
  std::vector<std::uint8_t> frame;
  put(frame, like.first(type_at(like)));
  put(frame, answer.six ? kIpv6 : kIpv4, 2);
  const auto tcp = segment(answer, what);
  if (answer.six) {
    put(frame, 0x60000000, 4);
    put(frame, static_cast<std::uint32_t>(tcp.size()), 2);
    put(frame, kTcp, 1);
    put(frame, 64, 1);
    put(frame, answer.to);
    put(frame, answer.from);
  } else {
    put(frame,
        ipv4_header(Bytes(answer.to).first(4), Bytes(answer.from).first(4), kTcp, tcp.size()));
  }
  put(frame, tcp);
  return frame;
}

std::vector<std::uint8_t> frame_of(const Ping& ping) {
  std::vector<std::uint8_t> icmp, frame;
  put(icmp, 0x0800, 2);
  put(icmp, 0, 2);
  put(icmp, kPingId, 2);
  put(icmp, ping.number, 2);
  set_checksum(icmp, 2, checksum(icmp));
  put(frame, ping.to_mac);
  put(frame, ping.from_mac);
  put(frame, kIpv4, 2);
  put(frame, ipv4_header(ping.from, ping.to, kIcmp, icmp.size()));
  put(frame, icmp);
  return frame;
}

bool is_echo_of(const Ping& ping, Bytes frame) {
  return frame.size() >= 42 && u16(frame, 12) == kIpv4 && frame[23] == kIcmp && frame[34] == 0 &&
         u16(frame, 38) == kPingId && u16(frame, 40) == ping.number;
}

}  // namespace moat::testing
