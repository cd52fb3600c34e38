// SPDX-License-Identifier: BSD-2-Clause
// Has an interface unpack what comes in: see unpack.bpf.c.
#pragma once

#include <memory>
#include <string>

#include "dataplane/error.h"

namespace moat::testing {

class Unpacker {
 public:
  // On an interface of the calling thread's network namespace, for as long as the object lives.
  [[nodiscard]] static Result<Unpacker> attach(const std::string& interface);
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;
  Unpacker(Unpacker&&) noexcept;
  Unpacker& operator=(Unpacker&&) = delete;
  ~Unpacker();

 private:
  struct Parts;
  explicit Unpacker(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace moat::testing
