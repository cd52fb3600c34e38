// SPDX-License-Identifier: BSD-2-Clause
// moat fleet push, confirm, status, history, rollback, bundle
#pragma once

#include <cstdint>
#include <string>

namespace moat {

struct FleetOptions {
  std::string config = "/etc/moat/agent.yaml";  // whose `fleet` says which store it is
  std::string folder;
  std::string message;
  std::string canary;           // "1%,10%,100%"; empty: all hosts at once
  std::string confirm;          // within which it is to be confirmed: "60s"; empty: it stays
  std::string wait = "30s";     // for the receipts of each part
  std::uint64_t max_ended = 0;  // sessions that a part of the hosts may end; 0: any number
  std::uint64_t to = 0;         // of a rollback
  std::uint64_t serial = 0;     // of a bundle
  bool is_dry = false;
  bool waits = true;  // for receipts
  bool is_new_store = false;
};

// Each gives the exit status.
[[nodiscard]] int push_fleet(const FleetOptions& options);
[[nodiscard]] int confirm_fleet(const FleetOptions& options);
[[nodiscard]] int show_fleet_status(const FleetOptions& options);
[[nodiscard]] int show_fleet_history(const FleetOptions& options);
[[nodiscard]] int roll_back_fleet(const FleetOptions& options);
[[nodiscard]] int print_fleet_bundle(const FleetOptions& options);

}  // namespace moat
