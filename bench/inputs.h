// SPDX-License-Identifier: BSD-2-Clause
// What the benchmarks run on: policies of a given size, the sources that ask, the frame they send.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "control/enforce/compile.h"
#include "control/policy/policy.h"
#include "dataplane/table/table.h"

namespace moat::bench {

// mixed: lengths 16 to 32, most of them 24, disjoint, spread over the unicast space.
// scattered: single addresses, each alone. world: every country's ranges, from a file.
enum class Shape : std::uint8_t { mixed, scattered, world };

// Random keys are independent draws; sequential ones are the same in ascending order.
enum class Pattern : std::uint8_t { random, sequential, single };

[[nodiscard]] const char* to_string(Shape shape);
[[nodiscard]] const char* to_string(Pattern pattern);

// `count` prefixes, the same for the same arguments, ascending. World: as many as the file
// `path` ("first,last,country" in decimal, one range a line) makes, `count` at most; none where
// there is no such file.
[[nodiscard]] Prefixes make_prefixes(Shape shape, std::size_t count);

// A policy that allows exactly these prefixes to its first database, "db00" on port 5432. 30 or
// fewer are CIDR rules; of more, 22 are, and the others make eight managed ranges. Each further
// database allows about half of the rules; of several, each has an address of its own, the first
// one 192.0.2.1.
[[nodiscard]] Policy make_policy(std::span<const Prefix> prefixes, std::size_t databases);

// The policy compiled; ends the process where it does not compile.
[[nodiscard]] Table build_policy_table(const Policy& policy);
[[nodiscard]] SlotMap make_slots(const Policy& policy);

inline constexpr std::size_t kBenchKeys = std::size_t{1} << 20;  // BENCH_KEYS of bench/bpf/keys.h

// Source addresses, host byte order, of which `hit_percent` are listed; never martians. Misses are
// spread over the whole unicast space, as a flood's forged sources are.
[[nodiscard]] std::vector<std::uint32_t> make_keys(std::span<const Prefix> prefixes,
                                                   std::size_t count, unsigned hit_percent,
                                                   Pattern pattern);

// A TCP SYN of 60 bytes, Ethernet header included, to port 5432 of 192.0.2.1.
inline constexpr std::size_t kFrameBytes = 60;
using Frame = std::array<std::uint8_t, kFrameBytes>;
[[nodiscard]] Frame make_frame(std::uint32_t source);

}  // namespace moat::bench
