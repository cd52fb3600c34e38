// SPDX-License-Identifier: BSD-2-Clause
// By which interface the packets of TCP sessions come in, as the kernel keeps it with each socket.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

class Arrivals {
 public:
  // Interface index by socket cookie, for each TCP socket of this network namespace that has
  // received a packet; not for handshakes under way, nor for what is in TIME_WAIT. The program that
  // reads it is loaded at the first call. Needs CAP_BPF and CAP_PERFMON.
  [[nodiscard]] Result<std::unordered_map<std::uint64_t, std::uint32_t>> read();

 private:
  [[nodiscard]] Result<> load();

  Fd iterator_;
};

}  // namespace moat
