// SPDX-License-Identifier: BSD-2-Clause
// News of the host's network interfaces by rtnetlink: one appears, goes, is renamed, comes up or
// goes down. And the way by which an address is reached.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
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

// The way that packets to an address take.
struct Route {
  std::uint32_t ifindex = 0;  // by which they leave
  Address source;             // that they get where the sender leaves it open; IPv4 alone
};

// By which interface packets leave for sessions' peers. Made for one look at many sessions: what it
// has asked the kernel it does not ask again.
class Routes {
 public:
  Routes();
  ~Routes();
  Routes(const Routes&) = delete;
  Routes& operator=(const Routes&) = delete;

  // Its index.
  [[nodiscard]] Result<std::uint32_t> interface_to_peer(const Session& session);

  // Error: there is none, or it leads nowhere (unreachable, blackhole, prohibit).
  [[nodiscard]] Result<Route> route_to(Address address);

 private:
  [[nodiscard]] Result<Route> look_up(const Session& session);

  // Both addresses, and the interface that the session is bound to.
  using Ends = std::tuple<Address, Address6, Address, Address6, std::uint32_t>;
  struct Socket;

  std::unique_ptr<Socket> socket_;  // none before the first question
  std::map<Ends, Result<Route>> known_;
};

}  // namespace moat
