// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/settings_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "control/service/json.h"

namespace moat {
namespace {

std::string on_or_off(bool value) { return value ? "true" : "false"; }

std::string describe(const std::optional<FastPathSettings>& fast_path) {
  if (!fast_path) return "";
  return fmt::format("{} to {}, lcores [{}], hugepages {}", fast_path->nic, fast_path->kernel_port,
                     fmt::join(fast_path->lcores, ", "), word(fast_path->hugepages));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_fields(const Config& config) {
  const auto list = [](std::vector<std::string> names) {
    std::ranges::sort(names);
    return fmt::format("[{}]", fmt::join(names, ", "));
  };
  const auto time = [](std::chrono::milliseconds value) { return fmt::format("{}", value); };
  return {{"interfaces", list(config.interfaces)},
          {"attach", std::string(word(config.attach))},
          {"mode", std::string(to_string(config.mode))},
          {"trusted-interfaces", list(config.trusted_interfaces)},
          {"backstop", on_or_off(config.backstop)},
          {"backstop-cgroup", config.backstop_cgroup},
          {"drop-sessions", on_or_off(config.drop_sessions)},
          {"guard", config.guard == 0 ? "off" : fmt::format("{}%", config.guard)},
          {"hold-down", time(config.hold_down)},
          {"fast-path", describe(config.fast_path)},
          {"socket-readers", config.socket_readers},
          {"metrics", config.metrics},
          {"bound", time(config.bound)},
          {"reconcile", time(config.reconcile)},
          {"settle", time(config.settle)}};
}

std::string describe_settings_change(const Config& before, const Config& after) {
  const auto earlier = settings_fields(before);
  const auto now = settings_fields(after);
  const auto or_none = [](const std::string& value) { return value.empty() ? "none" : value; };
  std::vector<std::string> changes;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto& [name, value] = now[i];
    if (earlier[i].second != value)
      changes.push_back(
          fmt::format("{} {} -> {}", name, or_none(earlier[i].second), or_none(value)));
  }
  if (before.databases != after.databases)
    changes.push_back(fmt::format("databases {} -> {}", before.databases, after.databases));
  if (before.managed_ranges != after.managed_ranges)
    changes.push_back(
        fmt::format("managed-ranges {} -> {}", before.managed_ranges, after.managed_ranges));
  return fmt::format("{}", fmt::join(changes, ", "));
}

}  // namespace moat
