// SPDX-License-Identifier: BSD-2-Clause
#include "tests/e2e/frames/sweep.h"

#include <array>
#include <vector>

namespace moat::testing {
namespace {

constexpr std::size_t kTypeAt = 12, kIpv4At = 14, kProtocol4At = 23, kNextHeader6At = 20;
constexpr unsigned kBatch = 64;  // a veth queues 256

class Sweep {
 public:
  explicit Sweep(Wire& wire) : wire_(wire) {}

  // The frame with each number of so many bits in place of what stands at `at`.
  Result<> numbers(std::vector<std::uint8_t> frame, std::size_t at, unsigned bits) {
    for (unsigned number = 0; number < 1u << bits; number++) {
      if (bits == 16) frame[at] = static_cast<std::uint8_t>(number >> 8);
      frame[at + bits / 8 - 1] = static_cast<std::uint8_t>(number);
      if (bits == 8 && at == kProtocol4At) correct_header(frame);
      if (auto sent = wire_.send(frame); !sent) return std::unexpected(sent.error());
      if (++swept_.frames % kBatch == 0)
        if (auto done = settle(); !done) return done;
    }
    return settle();
  }

  [[nodiscard]] const Swept& swept() const { return swept_; }

 private:
  Result<> settle() {
    auto said = wire_.settle();
    if (!said) return std::unexpected(said.error());
    for (const Answer& answer : *said)
      if (answer.kind == Answer::Kind::syn_ack || answer.kind == Answer::Kind::rst)
        swept_.answers++;
    return {};
  }

  // A kernel drops what has a wrong sum before it looks at the protocol.
  static void correct_header(std::vector<std::uint8_t>& frame) {
    std::uint32_t sum = 0;
    frame[kIpv4At + 10] = frame[kIpv4At + 11] = 0;
    for (std::size_t i = 0; i < 20; i += 2)
      sum += static_cast<std::uint32_t>(frame[kIpv4At + i] << 8 | frame[kIpv4At + i + 1]);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    frame[kIpv4At + 10] = static_cast<std::uint8_t>(~sum >> 8);
    frame[kIpv4At + 11] = static_cast<std::uint8_t>(~sum);
  }

  Wire& wire_;
  Swept swept_;
};

}  // namespace

Result<Swept> sweep(Wire& wire, Bytes syn4, Bytes syn6) {
  constexpr std::array<std::uint8_t, 4> priority_tag = {0, 0, 8, 0};  // VID 0, then IPv4
  const std::vector<std::uint8_t> frame4(syn4.begin(), syn4.end()),
      frame6(syn6.begin(), syn6.end());
  std::vector<std::uint8_t> tagged = frame4;
  tagged.insert(tagged.begin() + kIpv4At, priority_tag.begin(), priority_tag.end());

  const auto before = wire.segments();
  Sweep all(wire);
  const struct {
    const std::vector<std::uint8_t>& frame;
    std::size_t at;
    unsigned bits;
  } numbers[] = {{frame4, kTypeAt, 16},
                 {tagged, kTypeAt, 16},
                 {frame6, kTypeAt, 16},
                 {frame4, kProtocol4At, 8},
                 {frame6, kNextHeader6At, 8}};
  for (const auto& [frame, at, bits] : numbers)
    if (auto done = all.numbers(frame, at, bits); !done) return std::unexpected(done.error());
  const auto after = wire.segments();
  if (!before || !after) return std::unexpected(Error{"no statistics of TCP", {}});
  Swept swept = all.swept();
  swept.segments = *after - *before;
  return swept;
}

}  // namespace moat::testing
