// SPDX-License-Identifier: BSD-2-Clause
// Gives a random frame what a kernel asks for before it looks any further: its own Ethernet
// address, and sums that hold, of the IPv4 header and of TCP, wherever a receiver would look for
// TCP.
#pragma once

#include <cstdint>
#include <vector>

namespace moat::testing {

void mend(std::vector<std::uint8_t>& frame);

}  // namespace moat::testing
