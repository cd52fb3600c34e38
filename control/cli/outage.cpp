// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/outage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "control/cli/output.h"
#include "control/history/trial.h"

namespace moat {
namespace {

constexpr auto to_start = "systemctl start moatd";
constexpr auto to_restart = "systemctl restart moatd";

// "on eth0, eth1 by the kernel"
std::string by_whom(const PinnedGuard& guard) {
  if (guard.interfaces.empty()) return "by the kernel, by the backstop alone";
  return fmt::format("on {} by the kernel", fmt::join(guard.interfaces, ", "));
}

// `moatd`: that it is not running, or does not answer.
std::string standing_headline(const PinnedGuard& guard, const std::string& pins,
                              std::string_view moatd) {
  if (guard.is_doubtful()) {
    return fmt::format("{}, and nobody can say whether anything is guarded: {}.", moatd,
                       why_doubtful(guard, pins));
  }
  if (!guard.stands()) {
    return fmt::format("NOTHING IS GUARDED: {}, and {} in {}.", moatd, why_nothing_stands(guard),
                       pins);
  }
  if (!guard.doubt.empty()) {
    return fmt::format("{}; {}, and nobody can say which rules are enforced there: {}.", moatd,
                       guard.interfaces.empty() ? std::string("the backstop alone is attached")
                                                : fmt::format("Moat's program is on {}",
                                                              fmt::join(guard.interfaces, ", ")),
                       guard.doubt);
  }
  if (guard.is_closed) {
    return fmt::format("{}; guarded ports are closed to everyone {}, as the rules were taken away.",
                       moatd, by_whom(guard));
  }
  if (guard.generation == 0) {
    return fmt::format("{}; rules are enforced {}, and this moat cannot read which.", moatd,
                       by_whom(guard));
  }
  if (guard.databases == 0)
    return fmt::format("NOTHING IS GUARDED: {}, and generation {} names no database.", moatd,
                       guard.generation);
  if (guard.monitored == guard.databases)
    return fmt::format("{}; generation {} is in force {}, in monitor mode: nothing is dropped.",
                       moatd, guard.generation, by_whom(guard));
  return fmt::format("{}; the rules of generation {} are enforced {}.", moatd, guard.generation,
                     by_whom(guard));
}

// A moatd that runs may hold what no pin tells of.
std::string silent_headline(const PinnedGuard& guard, const std::string& pins) {
  if (guard.stands() || guard.is_doubtful())
    return standing_headline(guard, pins, "moatd does not answer");
  return fmt::format(
      "moatd does not answer, and by the pins in {} NOTHING IS GUARDED; what it enforced without "
      "pins stays enforced unless somebody changed it in the kernel.",
      pins);
}

std::string what_is_missed(const PinnedGuard& guard, bool is_silent) {
  if (is_silent) return "moatd does not answer: it may read no files and enforce no change";
  if (guard.stands() || guard.is_doubtful())
    return "moatd is not running: files are not read, and no change is enforced";
  return "moatd is not running, and everybody reaches every port";
}

// Programs in Moat's places that are not Moat's, or may not be.
template <typename Add>
void add_strangers(const PinnedGuard& guard, Add&& add) {
  for (const auto& name : guard.foreign) {
    add(code::interface_foreign, name,
        fmt::format("another program than Moat's runs on {}: what comes by it is NOT judged there",
                    name));
  }
  for (const auto& name : guard.unknown) {
    add(code::interface_foreign, name,
        fmt::format("nobody can say whether the program on {} is Moat's: the pin xdp is gone",
                    name));
  }
  const auto add_backstop = [&](std::string_view code, Runs runs, std::string_view where,
                                std::string_view pin) {
    if (runs == Runs::another)
      add(code, "",
          fmt::format("another program than the backstop's runs {0}: what comes to sockets is NOT "
                      "judged there",
                      where));
    if (runs == Runs::unknown)
      add(code, "",
          fmt::format("nobody can say whether the program {} is the backstop's: the pin {} is gone",
                      where, pin));
  };
  add_backstop(code::backstop_off_at_sockets, guard.at_sockets, "at sockets", "backstop");
  add_backstop(code::backstop_off_before_sockets, guard.before_sockets, "before sockets", "input");
}

}  // namespace

StatusView describe_standing(const PinnedGuard& guard, const std::string& pins, bool is_silent) {
  StatusView status;
  status.headline = is_silent ? silent_headline(guard, pins)
                              : standing_headline(guard, pins, "moatd is not running");
  const auto add = [&](std::string_view code, std::string subject, std::string message) {
    status.problems.push_back(make_problem(code, std::move(subject), std::move(message),
                                           is_silent ? to_restart : to_start));
  };
  add(code::not_running, "", what_is_missed(guard, is_silent));
  add_strangers(guard, add);
  if (guard.stands()) {
    for (const auto& name : guard.gone) {
      add(code::interface_absent, name,
          fmt::format(
              "{0} is gone, was moved to another network namespace, or had its program taken off: "
              "what comes by an interface {0} here is judged at sockets alone, if at all",
              name));
    }
    if (guard.at_sockets == Runs::nothing) {
      status.notices.push_back(make_problem(
          code::no_backstop, "", "the backstop is off at sockets",
          fmt::format("if moat.yaml wants it: {}", is_silent ? to_restart : to_start)));
    }
    if (guard.monitored > 0 && guard.monitored < guard.databases) {
      status.notices.push_back(make_problem(
          code::monitor, "",
          fmt::format("{} of {} databases are in monitor mode: what would be dropped passes",
                      guard.monitored, guard.databases)));
    }
  }
  if (guard.is_elsewhere) {
    status.notices.push_back(
        make_problem(code::kernel_limit, "netns",
                     "all this is of another network namespace than this one: whether "
                     "its interfaces are still there was not looked at",
                     "nsenter --net=..., into the one that moatd guards"));
  }
  sort_problems(status.problems);
  return status;
}

Json standing_document(const PinnedGuard& guard, const StatusView& standing,
                       const CommandError& failure) {
  auto status = encode(standing);
  return document({{"running", failure.is_silent},
                   {"headline", standing.headline},
                   {"generation", guard.generation},
                   {"databases", guard.databases},
                   {"interfaces", guard.interfaces},
                   {"at_sockets", guard.at_sockets == Runs::moats},
                   {"before_sockets", guard.before_sockets == Runs::moats},
                   {"problems", status["problems"]},
                   {"notices", status["notices"]},
                   {"error", encode(failure.refusal)}});
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
