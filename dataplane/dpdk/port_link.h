// SPDX-License-Identifier: BSD-2-Clause
// Keeps the NIC and the kernel port alike: the NIC's link state shows at the kernel port, and what
// people set at that (MTU, promiscuous mode) is set at the NIC. And keeps a copy of the kernel
// port's settings, by which the next one is set: it goes with the process, addresses and routes and
// all.
#pragma once

#include <optional>
#include <string>

#include "dataplane/dpdk/nic_netns.h"
#include "dataplane/dpdk/port.h"
#include "dataplane/host/link_settings.h"

namespace moat {

class PortLink {
 public:
  struct Ends {
    Port nic;
    Port kernel_port;
    std::string nic_interface;  // the kernel's, in `there`; empty where it has none
    std::uint32_t max_mtu = 0;  // that buffers have room for
  };
  // `home` is where the kernel port is, and the thread that calls this.
  [[nodiscard]] static Result<PortLink> make(Ends ends, const std::string& interface, Netns home,
                                             Netns there, std::string settings_file);

  // Has the next kernel port set so: before a NIC that the host used is taken from it.
  [[nodiscard]] static Result<> keep(const LinkSettings& settings, const std::string& file);
  // Sets the kernel port as the file says, if there is one.
  [[nodiscard]] Result<> restore();

  // To wait on: readable when follow() has something to do.
  [[nodiscard]] int home_fd() const { return home_news_.fd(); }
  [[nodiscard]] int there_fd() const { return there_news_.fd(); }
  // Brings the ends into line. Error: one of them is gone.
  [[nodiscard]] Result<> follow();
  // Whether nobody tells of the NIC's link state, so that it has to be looked at.
  [[nodiscard]] bool is_silent() const { return ends_.nic_interface.empty(); }
  // Keeps the kernel port's settings, if there was news since the last time: it reads the host's
  // routes, so not on all of it.
  [[nodiscard]] Result<> save();

  // Where each is: a port gives back what it set at its interface. No lcore may use them any more.
  void close_ports();

  [[nodiscard]] std::uint32_t ifindex() const { return ifindex_; }
  [[nodiscard]] PortStatus nic_status() const;
  [[nodiscard]] PortStatus kernel_status() const;

 private:
  PortLink(Ends ends, Netns home, Netns there, SettingsMonitor home_news,
           SettingsMonitor there_news);
  [[nodiscard]] Result<> follow_nic();
  [[nodiscard]] Result<> follow_kernel_port();
  void set_nic_mtu(std::uint32_t mtu);

  Ends ends_;
  Netns home_, there_;
  SettingsMonitor home_news_, there_news_;
  std::string settings_file_;
  std::uint32_t ifindex_ = 0;
  LinkState kernel_state_;
  std::optional<bool> nic_carrier_, nic_promiscuous_;
  std::uint32_t nic_mtu_ = 0;
  bool has_news_ = true;
  std::optional<LinkSettings> saved_;
  std::string problem_;  // of the NIC's, for people
};

}  // namespace moat
