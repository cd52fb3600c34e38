// SPDX-License-Identifier: BSD-2-Clause
// DPDK's environment: memory, lcores, devices.
#pragma once

#include <memory>

#include "dataplane/dpdk/lines.h"
#include "dataplane/dpdk/settings.h"

namespace moat {

// Ends with it.
class Eal {
 public:
  // Probes the NIC from the network namespace that the thread is in. Errors: hugepages are asked
  // for and missing, DPDK's own.
  [[nodiscard]] static Result<Eal> begin(const DpdkSettings& settings);
  Eal(Eal&& other) noexcept;
  Eal& operator=(Eal&&) = delete;
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;
  ~Eal();

  [[nodiscard]] bool has_hugepages() const { return has_hugepages_; }

 private:
  explicit Eal(bool has_hugepages) : has_hugepages_(has_hugepages) {}
  bool is_running_ = true;
  bool has_hugepages_ = false;
};

// Memory of DPDK's: hugepages where it has them.
[[nodiscard]] std::shared_ptr<std::byte> allocate_dpdk(std::size_t bytes);

}  // namespace moat
