// SPDX-License-Identifier: BSD-2-Clause
// read_config on any bytes.
#include "control/files/reading.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

void moat::testing::fuzz(std::string_view bytes) {
  using namespace std::chrono_literals;
  const auto reading = read_config("moat.yaml", bytes);
  testing::require_sound(reading.faults, reading.value.has_value(), bytes);
  if (!reading.value) return;
  const Config& config = *reading.value;
  for (const auto time : {config.bound, config.reconcile})
    testing::require(time >= 1ms && time <= 24h, "durations within their limits");
  for (const auto* names : {&config.interfaces, &config.trusted_interfaces})
    for (const std::string& name : *names)
      testing::require(!name.empty() && !find_control(name), "names of interfaces", name);
  testing::require(!config.databases.empty() && !config.managed_ranges.empty(), "folders");
}
