// SPDX-License-Identifier: BSD-2-Clause
// What becomes of a frame on a host with listeners, handshake included; and no trace of it is left
// for the next one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/error.h"
#include "tests/e2e/frames/answer.h"
#include "tests/e2e/frames/sweep.h"
#include "tests/e2e/frames/wire.h"

namespace moat::testing {

inline constexpr const char* kSilent = "silent";  // TCP was handed nothing
inline constexpr const char* kHeard = "heard";    // TCP was, and said nothing
inline constexpr const char* kNotSent = "not sent";

struct BenchResult {
  std::string what;  // one of the above, or what the host said first, or "accepted"
  std::vector<Answer> answers;
  bool reached_tcp = false;
};

class Bench {
 public:
  Bench(Wire wire, Listeners listeners)
      : wire_(std::move(wire)), listeners_(std::move(listeners)) {}

  // Sends the frames in order; where that was answered as a client hopes, ends the handshake.
  [[nodiscard]] Result<BenchResult> show(std::span<const std::vector<std::uint8_t>> frames);

  // See sweep.h.
  [[nodiscard]] Result<Swept> sweep_numbers(Bytes syn4, Bytes syn6);

 private:
  [[nodiscard]] Result<> complete(Bytes frame, BenchResult& outcome);

  Wire wire_;
  Listeners listeners_;
};

}  // namespace moat::testing
