// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/outage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "control/cli/output.h"
#include "control/history/trial.h"

namespace moat {
namespace {

constexpr auto to_start = "systemctl start moatd";

// "on eth0, eth1", "by the backstop alone"
std::string where(const PinnedGuard& guard) {
  if (guard.interfaces.empty()) return "by the backstop alone";
  return fmt::format("on {}", fmt::join(guard.interfaces, ", "));
}

std::string standing_headline(const PinnedGuard& guard, const std::string& pins) {
  if (!guard.stands()) {
    return fmt::format(
        "NOTHING IS GUARDED: moatd is not running, and {} in {}.",
        guard.has_table || guard.is_closed ? "no program is attached" : "nothing is pinned", pins);
  }
  if (guard.is_closed) {
    return fmt::format(
        "moatd is not running; guarded ports are closed to everyone {} by the kernel, as the rules "
        "were taken away.",
        where(guard));
  }
  if (guard.generation == 0) {
    return fmt::format(
        "moatd is not running; rules are enforced {} by the kernel, and this moat cannot read "
        "which.",
        where(guard));
  }
  if (guard.databases == 0)
    return fmt::format(
        "NOTHING IS GUARDED: moatd is not running, and generation {} names no database.",
        guard.generation);
  return fmt::format(
      "moatd is not running; the rules of generation {} are enforced {} by the "
      "kernel{}.",
      guard.generation, where(guard),
      guard.monitored == guard.databases ? ", in monitor mode: every drop passes" : "");
}

}  // namespace

StatusView describe_standing(const PinnedGuard& guard, const std::string& pins) {
  StatusView status;
  status.headline = standing_headline(guard, pins);
  const auto add = [&status](std::string_view code, std::string subject, std::string message,
                             std::string remedy = to_start) {
    status.problems.push_back(
        make_problem(code, std::move(subject), std::move(message), std::move(remedy)));
  };
  add(code::not_running, "",
      guard.stands() ? "moatd is not running: files are not read, and no change is enforced"
                     : "moatd is not running, and everybody reaches every port");
  if (guard.stands()) {
    for (const auto& name : guard.gone) {
      add(code::interface_absent, name,
          fmt::format("{} is gone or was moved away: what comes by it is judged at sockets alone, "
                      "if at all",
                      name));
    }
    if (!guard.at_sockets) {
      status.notices.push_back(make_problem(code::no_backstop, "", "the backstop is off at sockets",
                                            "if moat.yaml wants it: systemctl start moatd"));
    }
    if (guard.monitored > 0 && guard.monitored < guard.databases) {
      status.notices.push_back(make_problem(
          code::monitor, "",
          fmt::format("{} of {} databases are in monitor mode: what would be dropped passes",
                      guard.monitored, guard.databases)));
    }
  }
  if (guard.is_elsewhere) {
    status.notices.push_back(make_problem(code::kernel_limit, "netns",
                                          "all this is of another network namespace than this one",
                                          "nsenter --net=..., into the one that moatd guards"));
  }
  sort_problems(status.problems);
  return status;
}

void add_unconfirmed(const std::string& state, StatusView& status) {
  std::error_code error;
  if (state.empty() || !std::filesystem::exists(state + "/" + std::string(trial_file), error))
    return;
  status.problems.push_back(make_problem(
      code::unconfirmed, "",
      "a change waits to be confirmed, and nothing undoes it before moatd runs again", to_start));
  sort_problems(status.problems);
}

bool Outage::covers(const CommandError& failure) {
  const bool is_gone = failure.exit == Exit::unreachable;
  if (!has_answered_ || (!is_gone && failure.exit != Exit::not_enforced)) return false;
  was_gone_ |= is_gone;
  if (!std::exchange(is_on_, true))
    tell(fmt::format("{}; waiting for it", failure.refusal.message), Colour::doubtful);
  return true;
}

bool Outage::end() {
  has_answered_ = true;
  if (std::exchange(is_on_, false)) tell("moatd answers again");
  return std::exchange(was_gone_, false);
}

}  // namespace moat
