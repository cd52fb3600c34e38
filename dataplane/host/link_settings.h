// SPDX-License-Identifier: BSD-2-Clause
// One network interface: what it is set to, and setting it. All of it is about the network
// namespace that the calling thread is in.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

struct LinkState {
  std::uint32_t ifindex = 0;
  std::string name;
  bool is_up = false;        // switched on
  bool has_carrier = false;  // and there is somebody at the other end
  bool is_promiscuous = false;
  std::uint32_t mtu = 0;
  std::array<std::uint8_t, 6> address{};
};

// Nothing: there is no such interface.
[[nodiscard]] Result<std::optional<LinkState>> link_state(const std::string& name);
[[nodiscard]] Result<std::optional<LinkState>> link_state(std::uint32_t ifindex);

// Whether a default route leads out by it.
[[nodiscard]] Result<bool> has_default_route(std::uint32_t ifindex);

[[nodiscard]] Result<> set_link_up(std::uint32_t ifindex);
[[nodiscard]] Result<> set_link_carrier(std::uint32_t ifindex, bool has_carrier);
[[nodiscard]] Result<> set_link_mtu(std::uint32_t ifindex, std::uint32_t mtu);
// To another network namespace: it loses its addresses and routes, and is switched off.
[[nodiscard]] Result<> move_link(std::uint32_t ifindex, int netns);

// Takes XDP programs off that a process has left there; what a bpf link holds stays.
void remove_xdp_programs(std::uint32_t ifindex);

// What people set on an interface, to be set on another or on the next one of its name: MTU,
// whether it is up, addresses, routes by it, and neighbours that were not learnt. Not what the
// kernel derives from these.
class LinkSettings {
 public:
  [[nodiscard]] static Result<LinkSettings> read(std::uint32_t ifindex);
  // From bytes(); nothing where they are not such.
  [[nodiscard]] static std::optional<LinkSettings> parse(std::string bytes);

  // Sets all of it that can be set; the error names what could not.
  [[nodiscard]] Result<> apply(std::uint32_t ifindex) const;

  [[nodiscard]] bool has_addresses() const;
  // Netlink messages one after the other, as `ip address save` writes them.
  [[nodiscard]] const std::string& bytes() const { return messages_; }

  friend bool operator==(const LinkSettings&, const LinkSettings&) = default;

 private:
  std::string messages_;
};

// Tells that something which LinkSettings reads, or an interface's state, has changed.
class SettingsMonitor {
 public:
  [[nodiscard]] static Result<SettingsMonitor> open();
  SettingsMonitor(SettingsMonitor&&) noexcept;
  SettingsMonitor& operator=(SettingsMonitor&&) noexcept;
  SettingsMonitor(const SettingsMonitor&) = delete;
  SettingsMonitor& operator=(const SettingsMonitor&) = delete;
  ~SettingsMonitor();

  // Readable when there is news.
  [[nodiscard]] int fd() const;
  // Whether there was news since the last call.
  [[nodiscard]] bool drain();

 private:
  struct Socket;
  explicit SettingsMonitor(std::unique_ptr<Socket> socket);
  std::unique_ptr<Socket> socket_;
};

}  // namespace moat
