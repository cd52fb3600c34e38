// SPDX-License-Identifier: BSD-2-Clause
// moat-dpdk: ports, lcores, and what moatd asks of them.
#pragma once

#include <memory>

#include "dataplane/dpdk/settings.h"
#include "dataplane/error.h"

namespace moat {

class Worker {
 public:
  // Has the NIC in its namespace and both ports running, closed, before it returns.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> start(const DpdkSettings& settings);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // Until SIGTERM or SIGINT, or an error that ends it all: a port is gone.
  [[nodiscard]] Result<> run();

 private:
  struct Parts;
  explicit Worker(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace moat
