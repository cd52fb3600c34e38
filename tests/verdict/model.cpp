// SPDX-License-Identifier: BSD-2-Clause
#include "tests/verdict/model.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace moat::testing {
namespace {

using Bytes = std::span<const std::uint8_t>;

// Big-endian numbers; nothing where the bytes end before.
std::optional<std::uint32_t> number(Bytes bytes, std::size_t at, std::size_t width) {
  if (at + width > bytes.size()) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < width; i++) value = value << 8 | bytes[at + i];
  return value;
}

enum class Options { plain, source_route, broken };

Options read_options(Bytes options) {
  while (!options.empty()) {
    const std::uint8_t type = options[0];
    if (type == 0) return Options::plain;  // end of the list
    if (type == 131 || type == 137) return Options::source_route;
    std::size_t length = 1;
    if (type != 1) {  // no-operation has no length
      if (options.size() < 2 || options[1] < 2 || options[1] > options.size())
        return Options::broken;
      length = options[1];
    }
    options = options.subspan(length);
  }
  return Options::plain;
}

class Model {
 public:
  Model(const Policy& policy, WallTime now) : policy_(policy), now_(now) {}

  Expected frame(Bytes frame) const {
    std::size_t at = 12;
    auto type = number(frame, at, 2);
    int tags = 0;
    for (; type == 0x8100u || type == 0x88a8u; tags++) {
      if (tags == 4) return {MOAT_VLAN_DEPTH, nullptr, {}};
      at += 4;
      type = number(frame, at, 2);
    }
    if (!type) return {MOAT_MALFORMED, nullptr, {}};
    const Bytes packet = frame.subspan(at + 2);
    if (type == 0x0800u) return ipv4(packet);
    if (type == 0x86ddu) return ipv6(packet);
    return {MOAT_NOT_IP, nullptr, {}};
  }

 private:
  struct Header {
    Address source, destination;
    std::uint8_t protocol;
    bool fragment, later_fragment;
    Bytes options, payload;
  };

  static std::optional<Header> ipv4_header(Bytes packet) {
    if (packet.size() < 20 || packet[0] >> 4 != 4) return std::nullopt;
    const std::size_t header = packet[0] % 16 * 4u;
    std::size_t total = *number(packet, 2, 2);
    if (total == 0 && packet.size() >= 65536) total = packet.size();  // BIG TCP
    if (header < 20 || header > total || total > packet.size()) return std::nullopt;
    const auto fragment = *number(packet, 6, 2);
    return Header{Address(*number(packet, 12, 4)),
                  Address(*number(packet, 16, 4)),
                  packet[9],
                  (fragment & 0x2000) != 0 || (fragment & 0x1fff) != 0,
                  (fragment & 0x1fff) != 0,
                  packet.subspan(20, header - 20),
                  packet.subspan(header, total - header)};
  }

  Expected ipv4(Bytes packet) const {
    const auto header = ipv4_header(packet);
    if (!header) return {MOAT_MALFORMED, nullptr, {}};
    const auto guards = [&](const Database& database) {
      return !database.endpoint.address || *database.endpoint.address == header->destination;
    };
    for (const Database& database : policy_.databases)
      if (database.endpoint.all && guards(database)) return whole_address(database, *header);
    if (header->protocol != 6 || std::ranges::none_of(policy_.databases, guards))
      return {MOAT_NOT_GUARDED, nullptr, {}};
    return tcp(*header);
  }

  Expected whole_address(const Database& database, const Header& header) const {
    if (const auto refused = options(database, header)) return *refused;
    if (is_martian(header.source)) return {MOAT_MARTIAN, &database, {}};
    if (!header.later_fragment && header.protocol == 1) {
      const auto type = number(header.payload, 0, 1);
      if (type == 3u || type == 11u || type == 12u) return {MOAT_EXEMPT, &database, {}};
    }
    if (!header.later_fragment && header.protocol == 17 &&
        number(header.payload, 0, 4) == (67u << 16 | 68u))
      return {MOAT_EXEMPT, &database, {}};
    return source(database, header.source);
  }

  Expected tcp(const Header& header) const {
    if (header.fragment) return {MOAT_FRAGMENT, nullptr, {}};
    if (header.payload.size() < 20) return {MOAT_MALFORMED, nullptr, {}};
    const std::size_t length = header.payload[12] / 16 * 4u;
    if (length < 20 || length > header.payload.size()) return {MOAT_MALFORMED, nullptr, {}};
    const auto port = static_cast<std::uint16_t>(*number(header.payload, 2, 2));
    const Database* database = find_guard(policy_, header.destination, port);
    if (!database) return {MOAT_NOT_GUARDED, nullptr, {}};
    if (const auto refused = options(*database, header)) return *refused;
    if (is_martian(header.source)) return {MOAT_MARTIAN, database, {}};
    return source(*database, header.source);
  }

  static std::optional<Expected> options(const Database& database, const Header& header) {
    switch (read_options(header.options)) {
      case Options::source_route:
        return Expected{MOAT_SOURCE_ROUTE, &database, {}};
      case Options::broken:
        return Expected{MOAT_MALFORMED, &database, {}};
      case Options::plain:
        break;
    }
    return std::nullopt;
  }

  Expected source(const Database& database, Address source) const {
    const auto match = find_match(policy_, database, source, now_);
    if (!match) return {MOAT_NO_RULE, &database, {}};
    return {MOAT_ALLOWED, &database, match->rule->id};
  }

  Expected ipv6(Bytes packet) const {
    const auto has_ports = [](const Database& database) {
      return !database.endpoint.ports.empty() || database.endpoint.ipv6 == Ipv6::closed;
    };
    if (std::ranges::none_of(policy_.databases, has_ports)) return {MOAT_NOT_GUARDED, nullptr, {}};
    if (packet.size() < 40 || packet[0] >> 4 != 6) return {MOAT_IPV6, nullptr, {}};
    const std::size_t payload = *number(packet, 4, 2);
    const Bytes rest = packet.subspan(40);
    return chain(packet[6], payload == 0 ? rest : rest.first(std::min(payload, rest.size())));
  }

  static bool is_extension(unsigned number) {
    for (const unsigned known : {0, 43, 51, 60, 135, 139, 140})
      if (number == known) return true;
    return false;
  }

  // `rest` begins with a header of kind `next`.
  Expected chain(unsigned next, Bytes rest) const {
    constexpr unsigned kTcp = 6, kFragment = 44, kAuthentication = 51;
    Expected closed{MOAT_IPV6, nullptr, {}}, open{MOAT_NOT_GUARDED, nullptr, {}};
    bool fragmented = false;
    for (int walked = 0;; walked++) {
      if (next == kTcp) return fragmented ? closed : tcp6(rest);
      if (next != kFragment && !is_extension(next)) return open;
      if (walked == 8 || rest.size() < 8) return closed;
      std::size_t length = (rest[1] + 1u) * 8;
      if (next == kAuthentication) length = (rest[1] + 2u) * 4;
      const unsigned following = rest[0];
      if (next == kFragment) {
        length = 8;
        const auto field = *number(rest, 2, 2);
        fragmented = fragmented || field % 2 == 1;
        if (field >= 8)  // a later fragment
          return following == kTcp || following == kFragment || is_extension(following) ? closed
                                                                                        : open;
      }
      next = following;
      rest = rest.subspan(std::min(length, rest.size()));
    }
  }

  Expected tcp6(Bytes segment) const {
    const auto port = number(segment, 2, 2);
    if (!port) return {MOAT_IPV6, nullptr, {}};
    std::vector<const Database*> guards;
    for (const Database& database : policy_.databases)
      if (database.endpoint.ipv6 == Ipv6::closed ||
          std::ranges::find(database.endpoint.ports, *port) != database.endpoint.ports.end())
        guards.push_back(&database);
    if (guards.empty()) return {MOAT_NOT_GUARDED, nullptr, {}};
    if (guards.size() == 1) return {MOAT_IPV6, guards.front(), {}};
    const bool is_enforced = std::ranges::any_of(guards, [this](const Database* database) {
      return policy_.mode_of(*database) == Mode::enforce;
    });
    return {MOAT_IPV6, nullptr, {}, is_enforced ? Mode::enforce : Mode::monitor};
  }

  const Policy& policy_;
  WallTime now_;
};

}  // namespace

Expected expect(const Policy& policy, std::span<const std::uint8_t> frame, WallTime now) {
  return Model(policy, now).frame(frame);
}

bool is_drop(moat_reason reason) {
  return reason != MOAT_NOT_IP && reason != MOAT_NOT_GUARDED && reason != MOAT_ALLOWED &&
         reason != MOAT_EXEMPT;
}

bool is_monitored(const Policy& policy, const Expected& expected) {
  if (!is_drop(expected.reason)) return false;
  if (expected.mode) return *expected.mode == Mode::monitor;
  if (expected.database) return policy.mode_of(*expected.database) == Mode::monitor;
  // It may be for any database: passed only where all of them, and the host, monitor.
  if (policy.mode != Mode::monitor) return false;
  return std::ranges::all_of(policy.databases, [&policy](const Database& database) {
    return policy.mode_of(database) == Mode::monitor;
  });
}

std::uint32_t slot_of(const Policy& policy, const SlotMap& slots, const Expected& expected) {
  if (expected.reason == MOAT_ALLOWED) return slots.rule(expected.database->id, expected.rule);
  const unsigned owner = expected.database ? slots.owner(expected.database->id) : 0;
  const unsigned monitored = is_monitored(policy, expected) ? 1 : 0;
  return MOAT_OUTCOME_SLOT(owner, monitored, static_cast<unsigned>(expected.reason));
}

}  // namespace moat::testing
