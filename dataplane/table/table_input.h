// SPDX-License-Identifier: BSD-2-Clause
// What a table is made of.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/address.h"

namespace moat {

// Ranges and classes come from control/enforce/compile.
struct TableInput {
  struct Database {
    std::uint8_t owner = 0;            // counter slots' owner, 1..64
    bool monitor = false;              // drops are counted and passed
    std::optional<Address> address;    // nothing: any
    bool all = false;                  // every packet to `address`
    bool ipv6_closed = false;          // with it, every TCP port by IPv6
    std::vector<std::uint16_t> ports;  // host byte order
  };
  struct Range {
    std::uint32_t first = 0;  // source address, host byte order; the range ends before the next one
    std::uint16_t cls = 0;
  };

  std::uint64_t generation = 0;
  bool monitor_unknown = false;        // drops of packets whose database is not known pass
  std::uint32_t prefixes = 0;          // named by the policy; for people
  std::vector<Database> databases;     // numbers 1..64 in this order
  std::vector<Range> ranges;           // ascending, the first at 0, neighbours of different classes
  std::vector<std::uint16_t> classes;  // verdict entries, class by class, a database each; class 0
                                       // is all zero
  std::vector<moat_timed> timed;
};

}  // namespace moat
