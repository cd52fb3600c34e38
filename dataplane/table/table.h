// SPDX-License-Identifier: BSD-2-Clause
// A generation as bytes: lays out, checks and reads the image that bpf/abi.h describes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"

struct moat_verdict;

namespace moat {

// The bytes of one generation, 64-byte aligned, immutable once built.
class Image {
 public:
  Image() = default;
  // Takes over `size` bytes; copies nothing.
  Image(std::shared_ptr<const std::byte> bytes, std::size_t size)
      : bytes_(std::move(bytes)), size_(size) {}

  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }
  [[nodiscard]] const moat_image& header() const {
    return *reinterpret_cast<const moat_image*>(bytes_.get());
  }
  [[nodiscard]] explicit operator bool() const { return size_ != 0; }

 private:
  std::shared_ptr<const std::byte> bytes_;
  std::size_t size_ = 0;
};

// What is laid out. Ranges and classes come from control/compile.
struct TableInput {
  struct Database {
    std::uint8_t owner = 0;                // counter slots' owner, 1..64
    bool monitor = false;                  // drops are counted and passed
    std::optional<std::uint32_t> address;  // host byte order; nothing: any
    bool all = false;                      // every packet to `address`
    bool ipv6_closed = false;              // with it, every TCP port by IPv6
    std::vector<std::uint16_t> ports;      // host byte order
  };
  struct Range {
    std::uint32_t first = 0;  // source address, host byte order; the range ends before the next one
    std::uint16_t cls = 0;
  };

  std::uint64_t generation = 0;
  bool host_monitor = false;
  std::uint32_t prefixes = 0;          // named by the policy; for people
  std::vector<Database> databases;     // numbers 1..64 in this order
  std::vector<Range> ranges;           // ascending, the first at 0, neighbours of different classes
  std::vector<std::uint16_t> classes;  // verdict entries, class by class, a database each; class 0
                                       // is all zero
  std::vector<moat_timed> timed;
};

// Lays the image out. Errors: over MOAT_TIER_LARGE bytes, over MOAT_MAX_CLASSES classes, over
// MOAT_MAX_TIMED timed entries, two databases on one endpoint. Linear in ranges.
[[nodiscard]] Result<Image> build_image(const TableInput& input);

// The same generation, endpoints and modes, with nobody allowed; at most MOAT_CLOSED_BYTES.
[[nodiscard]] Result<Image> close_to_all(const Image& image);

// 64 bits of the whole image with the digest field taken as zero; what `digest` in the header must
// be. Not cryptographic: it tells damage and difference, not malice.
[[nodiscard]] std::uint64_t image_digest(std::span<const std::byte> image);

// Whether bytes found somewhere (a map, a file) are a sound image of this ABI: magic, ABI version,
// size, digest. `bytes` may be longer than the image, as a map's value is.
[[nodiscard]] Result<> check_image(std::span<const std::byte> bytes);

// The verdict of the shared function on a frame in one piece. `now`: CLOCK_MONOTONIC in ns, 0 to
// ask the clock. The image must have passed check_image.
[[nodiscard]] moat_verdict judge(const Image& image, std::span<const std::uint8_t> frame,
                                 std::uint64_t now = 0);

// The class of a source, host byte order; and the verdict entry of (class, database number 1..).
[[nodiscard]] std::uint32_t source_class(const Image& image, std::uint32_t source);
[[nodiscard]] std::uint32_t entry_slot(const Image& image, std::uint32_t cls,
                                       std::uint32_t database, std::uint64_t now);

[[nodiscard]] const char* reason_text(unsigned reason);

}  // namespace moat
