// SPDX-License-Identifier: BSD-2-Clause
// News of the host's network interfaces by rtnetlink: one appears, goes, is renamed, comes up or
// goes down. And the interface by which an address is reached.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/host/sessions.h"

namespace moat {

struct LinkEvent {
  std::uint32_t ifindex = 0;
  std::string name;      // the present one; of an interface that went, its last
  bool present = false;  // false: it went
  bool up = false;
};

class LinkMonitor {
 public:
  [[nodiscard]] static Result<LinkMonitor> open();
  LinkMonitor(const LinkMonitor&) = delete;
  LinkMonitor& operator=(const LinkMonitor&) = delete;
  LinkMonitor(LinkMonitor&&) noexcept;
  LinkMonitor& operator=(LinkMonitor&&) noexcept;
  ~LinkMonitor();

  // Readable when there is news.
  [[nodiscard]] int fd() const;

  struct News {
    std::vector<LinkEvent> events;
    bool overrun = false;  // some were lost: look at every interface
  };
  // What has happened since the last call, without waiting.
  [[nodiscard]] News read();

 private:
  struct Socket;
  explicit LinkMonitor(std::unique_ptr<Socket> socket);
  std::unique_ptr<Socket> socket_;
};

// Index of the interface by which packets of the session leave for its peer.
[[nodiscard]] Result<std::uint32_t> route_interface(const Session& session);

}  // namespace moat
