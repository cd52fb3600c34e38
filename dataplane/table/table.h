// SPDX-License-Identifier: BSD-2-Clause
// A generation as bytes: lays out, checks and reads the image that bpf/abi.h describes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/table/table_input.h"

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
