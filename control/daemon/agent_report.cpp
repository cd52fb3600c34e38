// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/agent_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "control/files/agent_files.h"
#include "control/service/problem.h"

namespace moat {
namespace {

RangeSourceView source_view(const AgentSource& source, std::chrono::system_clock::time_point now) {
  return {.range = source.range,
          .source = source.source,
          .version = source.version,
          .fetched = source.fetched,
          .changed = source.changed,
          .attempted = source.attempted,
          .next = source.next,
          .max_age = source.max_age,
          .is_stale = source.is_stale(now),
          .failures = source.failures,
          .ipv6 = source.ipv6,
          .error = source.error,
          .note = source.note};
}

FleetView fleet_view(const AgentFleet& fleet, std::chrono::system_clock::time_point now) {
  return {.name = fleet.name,
          .store = fleet.store,
          .push = fleet.push,
          .revision = fleet.revision,
          .listed = fleet.listed,
          .max_age = fleet.max_age,
          .is_stale = fleet.is_stale(now),
          .waiting = fleet.waiting,
          .error = fleet.error,
          .held_back = fleet.held_back};
}

std::string because(const std::string& error) { return error.empty() ? "" : ": " + error; }

// Why what is old is old, as far as it is known.
std::string why_old(const std::string& error) {
  return error.empty() ? "; does moat-agent run?" : because(error);
}

std::string when(std::chrono::system_clock::time_point time,
                 std::chrono::system_clock::time_point now) {
  return format_age(now - time) + " ago";
}

void add_source(const RangeSourceView& source, std::chrono::system_clock::time_point now,
                StatusView& view) {
  if (source.is_stale) {
    view.problems.push_back(
        make_problem(code::range_stale, source.range,
                     fmt::format("managed range {} {}{}", source.range,
                                 source.fetched ? "was last checked " + when(*source.fetched, now)
                                                : "could not be fetched yet",
                                 why_old(source.error))));
  } else if (!source.error.empty()) {
    view.notices.push_back(make_problem(
        code::range_unfetched, source.range,
        fmt::format("managed range {} stays as it was{}", source.range, because(source.error))));
  }
}

void add_fleet(const FleetView& fleet, std::chrono::system_clock::time_point now,
               StatusView& view) {
  if (fleet.is_stale) {
    view.problems.push_back(make_problem(
        code::fleet_stale, fleet.name,
        fmt::format("fleet {} was last heard of {}{}", fleet.name,
                    fleet.listed ? when(*fleet.listed, now) : "never", why_old(fleet.error))));
  } else if (!fleet.error.empty()) {
    view.notices.push_back(
        make_problem(code::fleet_unreached, fleet.name,
                     fmt::format("fleet {}{}", fleet.name, because(fleet.error))));
  }
  for (const auto& sentence : fleet.held_back)
    view.problems.push_back(
        make_problem(code::fleet_held_back, fleet.name,
                     fmt::format("fleet {} holds back: {}", fleet.name, sentence)));
}

}  // namespace

std::vector<RangeSourceView> agents_sources(const std::string& folder) {
  std::vector<RangeSourceView> views;
  const auto status = read_agent_status(folder);
  if (!status || !*status) return views;
  const auto now = std::chrono::system_clock::now();
  for (const auto& source : (*status)->sources) views.push_back(source_view(source, now));
  return views;
}

void add_agent(const std::string& folder, StatusView& view) {
  const auto status = read_agent_status(folder);
  if (!status) {
    view.notices.push_back(
        make_problem(code::agent_unread, folder,
                     "what moat-agent tells cannot be read: " + status.error().message));
    return;
  }
  if (!*status) return;
  const auto now = std::chrono::system_clock::now();
  for (const auto& source : (*status)->sources) {
    view.sources.push_back(source_view(source, now));
    add_source(view.sources.back(), now, view);
  }
  if (!(*status)->fleet) return;
  view.fleet = fleet_view(*(*status)->fleet, now);
  add_fleet(*view.fleet, now, view);
}

}  // namespace moat
