// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/agent_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "control/files/agent_files.h"
#include "control/service/problem.h"

namespace moat {
namespace {

// "7 min", "3 h", "5 d"
std::string format_age(std::chrono::system_clock::duration age) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(age).count();
  if (minutes < 120) return fmt::format("{} min", std::max<std::int64_t>(minutes, 0));
  if (minutes < 48 * 60) return fmt::format("{} h", minutes / 60);
  return fmt::format("{} d", minutes / (24 * 60));
}

}  // namespace

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
  const auto because = [](const std::string& error) { return error.empty() ? "" : ": " + error; };
  for (const auto& source : (*status)->sources) {
    if (source.is_stale(now)) {
      const auto when =
          source.fetched ? fmt::format("was last checked {} ago", format_age(now - *source.fetched))
                         : std::string("could not be fetched yet");
      view.problems.push_back(make_problem(
          code::range_stale, source.range,
          fmt::format("managed range {} {}{}", source.range, when,
                      source.error.empty() ? "; does moat-agent run?" : because(source.error))));
    } else if (!source.error.empty()) {
      view.notices.push_back(make_problem(
          code::range_unfetched, source.range,
          fmt::format("managed range {} stays as it was{}", source.range, because(source.error))));
    }
  }
  const auto& fleet = (*status)->fleet;
  if (!fleet) return;
  if (fleet->is_stale(now)) {
    view.problems.push_back(make_problem(
        code::fleet_stale, fleet->name,
        fmt::format("fleet {} was last heard of {}{}", fleet->name,
                    fleet->listed ? format_age(now - *fleet->listed) + " ago" : "never",
                    fleet->error.empty() ? "; does moat-agent run?" : because(fleet->error))));
  } else if (!fleet->error.empty()) {
    view.notices.push_back(
        make_problem(code::fleet_unreached, fleet->name,
                     fmt::format("fleet {}{}", fleet->name, because(fleet->error))));
  }
  for (const auto& sentence : fleet->held_back)
    view.problems.push_back(
        make_problem(code::fleet_held_back, fleet->name,
                     fmt::format("fleet {} holds back: {}", fleet->name, sentence)));
}

}  // namespace moat
