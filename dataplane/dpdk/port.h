// SPDX-License-Identifier: BSD-2-Clause
// A DPDK port with as many queues each way as there are lcores.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dataplane/dpdk/channel.h"
#include "dataplane/error.h"

struct rte_mempool;

namespace moat {

class Port {
 public:
  // The only port that there is, or the one that `device` names after it was added.
  [[nodiscard]] static Result<Port> only();
  [[nodiscard]] static Result<Port> add(const std::string& device);

  // Sets up `queues` each way, spread over by RSS where there are several, and starts. Errors: the
  // port has fewer queues, or DPDK's own.
  [[nodiscard]] Result<> start(unsigned queues, rte_mempool* buffers);
  void close();

  [[nodiscard]] std::uint16_t number() const { return number_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::array<std::uint8_t, 6> address() const;
  [[nodiscard]] bool has_link() const;
  [[nodiscard]] std::uint32_t mtu() const;
  [[nodiscard]] Result<> set_mtu(std::uint32_t mtu) const;
  [[nodiscard]] Result<> set_promiscuous(bool is_promiscuous) const;
  // Without what only its lcores and the kernel know.
  [[nodiscard]] PortStatus status() const;

 private:
  Port(std::uint16_t number, std::string name) : number_(number), name_(std::move(name)) {}

  std::uint16_t number_;
  std::string name_;
};

}  // namespace moat
