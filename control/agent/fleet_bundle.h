// SPDX-License-Identifier: BSD-2-Clause
// A fleet as one file, for a web server instead of a store:
//
//   {"fleet": "prod", "serial": 12, "databases": {"orders": "database: orders\n..."},
//    "labels": {"orders": "production\n"}, "ranges": {"mr-own": "192.0.2.0/24\n"}}
//
// A folder of files, of which such a file is made, is what people edit:
//
//   databases.d/orders.yaml    as on a host
//   ranges/mr-own.txt          CIDRs, one a line
//   labels.yaml                orders: [production, eu]
//   removed.yaml               databases: [old], ranges: [mr-old]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/agent/fleet_files.h"
#include "control/text/fault.h"
#include "dataplane/error.h"

namespace moat {

struct FleetBundle {
  std::string fleet;
  std::uint64_t serial = 0;
  FleetContent content;
};

[[nodiscard]] std::string to_json(const FleetBundle& bundle);
[[nodiscard]] Result<FleetBundle> parse_bundle(std::string_view json);

// Reads the folder and checks each file as a host would. All faults are in `faults`.
[[nodiscard]] Result<FleetContent> read_fleet_folder(const std::string& folder, Faults& faults);

}  // namespace moat
