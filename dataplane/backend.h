// SPDX-License-Identifier: BSD-2-Clause
// What enforces a generation. The daemon knows this interface only; XDP and DPDK are behind it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/table/table.h"

namespace moat {

enum class WantedAttach : std::uint8_t { automatic, native, generic };
enum class AttachMode : std::uint8_t { none, native, generic };

// One interface as it is now, not as it was meant to be.
struct InterfaceStatus {
  std::string name;
  bool present = false;                // the host has an interface of this name
  AttachMode mode = AttachMode::none;  // how our program is attached
  std::uint32_t program_id = 0;        // of the program attached, ours or not; 0: none
  bool foreign = false;                // the attached program is somebody else's; left alone
  std::string reason;                  // why generic or none: the driver's or kernel's words
  std::string remedy;
};

struct Live {
  std::uint64_t generation = 0;  // 0: nothing is enforced
  std::uint64_t digest = 0;
  std::uint32_t size = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Stages the image, reads it back, commits it with one write. Returns when no packet is judged by
  // the old generation any more. On an error the old generation is still the live one.
  [[nodiscard]] virtual Result<> publish(const Image& image) = 0;

  // What is live now, read from the packet path itself and checked against its digest.
  [[nodiscard]] virtual Result<Live> live() = 0;

  // Whether the packet path still reads what publish() made live. Quick, as it asks which table
  // that is and not what is in it: whoever says that rules are enforced asks this first.
  [[nodiscard]] virtual Result<bool> is_live() = 0;

  // Sums over all CPUs, MOAT_COUNTER_SLOTS of them, by slot.
  [[nodiscard]] virtual Result<std::vector<moat_counter>> counters() = 0;

  // Zeroes counters that no live generation names.
  [[nodiscard]] virtual Result<> clear_counters(const std::vector<std::uint32_t>& slots) = 0;
};

}  // namespace moat
