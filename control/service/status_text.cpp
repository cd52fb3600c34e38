// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/status_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "control/files/host_checks.h"
#include "control/policy/coverage.h"
#include "control/resolve/placeholders.h"

namespace moat {
namespace {

std::vector<std::string> interface_names(const StatusView& status, bool attached) {
  std::vector<std::string> names;
  for (const auto& interface : status.interfaces) {
    if (interface.is_attached() == attached) names.push_back(interface.name);
  }
  return names;
}

// Interfaces by which packets come in judged, be it by the program there or by the fast path.
std::vector<std::string> guarded_names(const StatusView& status) {
  auto names = interface_names(status, true);
  const auto& ports = status.fast_path.ports;
  if (status.fast_path.generation != 0 && !ports.empty()) names.push_back(ports.back().interface);
  return names;
}

std::size_t count_files(const StatusView& status, FileState state) {
  return static_cast<std::size_t>(std::ranges::count(status.files, state, &FileStatus::state));
}

std::string count(std::size_t number, std::string_view one, std::string_view several) {
  return number == 1 ? fmt::format("1 {}", one) : fmt::format("{} {}", number, several);
}

// "port 5432", "ports 5432, 6432"
std::string outside_ports(const StatusView& status) {
  std::set<std::uint16_t> ports;
  for (const auto& outside : status.outside_backstop) ports.insert(outside.port);
  return fmt::format("{} {}", ports.size() == 1 ? "port" : "ports", fmt::join(ports, ", "));
}

// "Guarding 2 databases on eth0, eth1"
std::string subject(const StatusView& status) {
  const auto what = count(status.databases, "database", "databases");
  const auto attached = guarded_names(status);
  const bool only_watches = status.monitored.size() == status.databases;
  const std::string_view verb = only_watches ? "Only watching" : "Guarding";
  if (status.databases == 0) {
    return count_files(status, FileState::not_guarded) == 0
               ? "NOT GUARDING anything: no rule file names a database"
               : "NOT GUARDING anything";
  }
  const bool has_backstop = status.backstop.at_sockets || status.backstop.before_sockets;
  if (attached.empty() && !has_backstop) {
    return fmt::format("NOT GUARDING {}: Moat's program is on no interface", what);
  }
  if (attached.empty() && !status.outside_backstop.empty()) {
    return fmt::format("NOT GUARDING {}: Moat's program is on no interface", outside_ports(status));
  }
  if (attached.empty()) return fmt::format("{} {} by the backstop alone", verb, what);
  return fmt::format("{} {} on {}", verb, what, fmt::join(attached, ", "));
}

std::string with_remedy(std::string text, std::string_view remedy) {
  if (!remedy.empty()) text += fmt::format(" ({})", remedy);
  return text;
}

// What of the backstop is off that should be on, and why.
std::vector<Problem> backstop_problems(const StatusView::Backstop& backstop) {
  const auto off = [](std::string_view where, const std::string& why) {
    return Problem{fmt::format("the backstop is off{}: {}", where, why), {}};
  };
  if (!backstop.wanted) return {};
  const bool is_off_before = backstop.before_expected && !backstop.before_sockets;
  if (!backstop.at_sockets && is_off_before && backstop.not_at == backstop.not_before)
    return {off("", backstop.not_at)};
  std::vector<Problem> all;
  if (!backstop.at_sockets) all.push_back(off(" at sockets", backstop.not_at));
  if (is_off_before) all.push_back(off(" before sockets", backstop.not_before));
  return all;
}

// The same in a few words; empty if all is on.
std::string backstop_gap(const StatusView::Backstop& backstop) {
  if (backstop_problems(backstop).empty()) return "";
  if (backstop.at_sockets) return "the backstop is off before sockets";
  return backstop.before_sockets ? "the backstop is off at sockets" : "the backstop is off";
}

// Whether moat.yaml itself has nothing judge packets: no interface is named, or had the program
// from before, and neither the backstop nor the fast path is wanted.
bool is_nothing_wanted(const StatusView& status) {
  return status.settings.interfaces.empty() && status.interfaces.empty() &&
         !status.backstop.wanted && !status.fast_path.is_wanted;
}

// What is wrong with the fast path in a few words; empty: nothing.
std::string fast_path_gap(const FastPathStatus& fast_path) {
  if (fast_path.problem.empty()) return "";
  if (!fast_path.is_connected) return "the fast path is not reached";
  return fast_path.is_behind ? "the fast path does NOT have these rules"
                             : "the fast path has a problem";
}

// Why Moat's program is not on it.
std::string why_not_on(const InterfaceStatus& interface) {
  if (interface.moved) return interface.reason;
  if (!interface.present) return "the host has no such interface";
  if (interface.foreign)
    return fmt::format("somebody else's XDP program ({}) is on it", interface.program_id);
  return interface.reason.empty() ? "no program is attached" : interface.reason;
}

// Whether the backstop judges what comes by an interface without Moat's program.
bool backstop_judges(const StatusView& status) {
  const bool is_on = status.backstop.at_sockets || status.backstop.before_sockets;
  return is_on && status.outside_backstop.empty();
}

void add_interface_problem(const InterfaceStatus& interface, bool has_backstop,
                           std::vector<Problem>& into) {
  if (interface.is_attached()) return;
  std::string text;
  if (interface.moved) {
    text =
        fmt::format("{} was moved away (into a container?): {}, which drops there by these rules",
                    interface.name, interface.reason);
  } else if (!interface.present) {
    text = fmt::format("{}: the host has no such interface; it is guarded once it appears",
                       interface.name);
  } else if (has_backstop) {
    text = fmt::format("Moat's program is not on {}: {}. The backstop judges what comes by it",
                       interface.name, why_not_on(interface));
  } else {
    text = fmt::format("{} is NOT GUARDED: {}", interface.name, why_not_on(interface));
  }
  into.push_back({with_remedy(std::move(text), interface.remedy), {}});
}

std::string subject_of(const FileStatus& file) {
  return file.id.empty() ? file.path : fmt::format("{} ({})", file.id, file.path);
}

// Whether the database of a file is among the ids, also if the file does not tell which that is.
bool names(const std::vector<std::string>& ids, const FileStatus& file) {
  return std::ranges::find(ids, placeholder_base(file.id, file.path)) != ids.end();
}

void add_file_problems(const StatusView& status, std::vector<Problem>& into) {
  for (const auto& file : status.files) {
    if (file.state == FileState::not_guarded) {
      into.push_back({fmt::format("NOT GUARDED: {}: its ports are open until this is mended",
                                  subject_of(file)),
                      file.faults});
    }
  }
  for (const auto& file : status.files) {
    if (file.state == FileState::held_back) {
      into.push_back(
          {fmt::format("held back: {}: {}", subject_of(file),
                       names(status.placeholders, file)
                           ? (names(status.monitored, file)
                                  ? "nobody is allowed, and monitor mode lets everybody pass"
                                  : "guarded, and nobody is allowed")
                       : names(status.shadowed, file) ? "its ports are guarded for others"
                                                      : "what was last enforced stays"),
           file.faults});
    } else if (file.state == FileState::vanished) {
      into.push_back({fmt::format("vanished: {}: what was last enforced stays", subject_of(file)),
                      file.faults});
    }
  }
  for (const auto& id : status.withdrawn) {
    into.push_back({fmt::format("managed range {} is withdrawn: rules name it, so its last CIDRs "
                                "stay allowed (bring it back, or take it out of the rules)",
                                id),
                    {}});
  }
}

std::string describe(const Propagation& change) {
  return change.path.empty() ? "a change of the clock or an expiry" : change.path;
}

}  // namespace

std::string headline(const StatusView& status) {
  if (status.generation == 0) return "NOT GUARDING anything: no rules are enforced yet.";
  std::vector<std::string> wrong;
  const auto add = [&wrong](std::size_t number, std::string_view one, std::string_view several) {
    if (number != 0) wrong.push_back(count(number, one, several));
  };
  add(count_files(status, FileState::not_guarded), "database file is NOT GUARDED",
      "database files are NOT GUARDED");
  const auto missing = interface_names(status, false);
  if (!missing.empty() && missing.size() < status.interfaces.size()) {
    wrong.push_back(fmt::format("NOT on {}", fmt::join(missing, ", ")));
  }
  if (!status.open_interfaces.empty())
    wrong.push_back(fmt::format("OPEN by {}", list_interfaces(status.open_interfaces)));
  add(static_cast<std::size_t>(std::ranges::count(status.pending, true, &Propagation::overdue)),
      "change is overdue", "changes are overdue");
  add(static_cast<std::size_t>(std::ranges::count(status.pending, false, &Propagation::overdue)),
      "change is pending", "changes are pending");
  add(count_files(status, FileState::held_back), "rule file is held back",
      "rule files are held back");
  add(count_files(status, FileState::vanished), "rule file has vanished",
      "rule files have vanished");
  if (status.trial) wrong.emplace_back("a change waits to be confirmed");
  add(status.withdrawn.size(), "managed range is withdrawn", "managed ranges are withdrawn");
  if (auto gap = fast_path_gap(status.fast_path); !gap.empty()) wrong.push_back(std::move(gap));
  if (auto gap = backstop_gap(status.backstop); !gap.empty()) wrong.push_back(std::move(gap));
  if (!status.unpinned.empty()) wrong.emplace_back("the guard ends when moatd ends");
  if (!status.outside_backstop.empty()) {
    wrong.push_back(fmt::format("the backstop does NOT guard {}", outside_ports(status)));
  }
  if (wrong.empty()) {
    add(status.problems.size(), "problem", "problems");
  } else {
    add(status.problems.size(), "other problem", "other problems");
  }
  if (status.monitored.size() == status.databases && status.databases != 0) {
    wrong.emplace_back("monitor mode lets every drop pass");
  } else if (!status.monitored.empty()) {
    wrong.push_back(
        fmt::format("monitor mode lets every drop of {} pass", fmt::join(status.monitored, ", ")));
  } else if (status.mode == Mode::monitor && status.databases == 0) {
    wrong.emplace_back("monitor mode lets drops pass that concern no database");
  }
  add(status.exposed.size(), "port, once guarded, is open", "ports, once guarded, are open");
  add(status.address_gone.size(), "database is OPEN, as the host has not its address",
      "databases are OPEN, as the host has not their addresses");
  add(status.open_ipv6.size(), "database is open by IPv6", "databases are open by IPv6");
  const auto all =
      static_cast<std::size_t>(std::ranges::count(status.wide, true, &StatusView::Wide::is_all));
  add(all, "database is OPEN TO EVERY ADDRESS", "databases are OPEN TO EVERY ADDRESS");
  add(status.wide.size() - all, "database is open to most addresses",
      "databases are open to most addresses");
  if (!status.past_guard.empty()) {
    const auto ports = status.ports_past_guard;
    wrong.push_back(fmt::format("NAT leads {} past the guard",
                                ports == 0 ? "ports" : count(ports, "port", "ports")));
  }
  if (!wrong.empty()) return fmt::format("{}; {}.", subject(status), fmt::join(wrong, "; "));
  if (!is_well(status)) return fmt::format("{}.", subject(status));
  if (status.expired_rules == 0) return fmt::format("{}; all rules enforced.", subject(status));
  return fmt::format("{}; all rules enforced, {} expired.", subject(status),
                     status.expired_rules == 1
                         ? "of which 1 has"
                         : fmt::format("of which {} have", status.expired_rules));
}

bool is_well(const StatusView& status) {
  return status.monitored.empty() && status.pending.empty() && count_problems(status) == 0;
}

std::size_t count_problems(const StatusView& status) {
  const auto count = problems(status).size();
  const bool guards_nothing = status.generation == 0 || status.databases == 0;
  return count == 0 && guards_nothing ? 1 : count;
}

std::vector<Problem> problems(const StatusView& status) {
  std::vector<Problem> all;
  if (is_nothing_wanted(status)) {
    all.push_back(
        {"NOT GUARDED: moat.yaml names no interface and has `backstop: false`: all ports "
         "are open (name the interface of the clients in `interfaces`, or write "
         "`backstop: true`)",
         {}});
  }
  if (!status.open_interfaces.empty()) {
    all.push_back({fmt::format("NOT GUARDED: what comes by {}: moat.yaml does not name it, and the "
                               "backstop is off (name it in `interfaces`, or write `backstop: "
                               "true`; if that is meant, name it in `trusted-interfaces`)",
                               list_interfaces(status.open_interfaces)),
                   {}});
  }
  add_file_problems(status, all);
  // What is not guarded at all comes before what is held back.
  std::vector<Problem> interfaces;
  for (const auto& interface : status.interfaces)
    add_interface_problem(interface, backstop_judges(status), interfaces);
  const auto first_held = std::ranges::find_if(
      all, [](const Problem& problem) { return !problem.text.starts_with("NOT GUARDED"); });
  all.insert(first_held, interfaces.begin(), interfaces.end());
  for (const auto& change : status.pending) {
    if (!change.overdue) continue;
    all.push_back({fmt::format("overdue: {} is not enforced within {:.0f} s", describe(change),
                               status.bound.count() / 1000),
                   {}});
  }
  if (status.trial) {
    all.push_back({fmt::format("what was changed since generation {} is undone in {:.0f} s unless "
                               "it is confirmed: by {} (moat confirm, or moat undo)",
                               status.trial->generation,
                               std::ceil(status.trial->left.count() / 1000), status.trial->author),
                   {}});
  }
  if (const auto& fast_path = status.fast_path; !fast_path.problem.empty())
    all.push_back({with_remedy("the fast path: " + fast_path.problem, fast_path.remedy), {}});
  for (const auto& port : status.fast_path.ports) {
    if (!port.problem.empty())
      all.push_back({fmt::format("the fast path's port {}: {}", port.name, port.problem), {}});
  }
  for (auto& problem : backstop_problems(status.backstop)) all.push_back(std::move(problem));
  if (!status.unpinned.empty())
    all.push_back({fmt::format("the guard ends when moatd ends: {}", status.unpinned), {}});
  for (const auto& [port, cgroup] : status.outside_backstop) {
    all.push_back(
        {fmt::format("port {} is NOT GUARDED by the backstop: what listens there is in {}, "
                     "and backstop-cgroup is {} (name the database's cgroup, or leave "
                     "backstop-cgroup out)",
                     port, cgroup.empty() ? "a cgroup that is gone" : "cgroup " + cgroup,
                     status.backstop.cgroup),
         {}});
  }
  for (const auto& [database, addresses, is_all] : status.wide) {
    all.push_back({is_all
                       ? fmt::format("database {} is OPEN TO EVERY ADDRESS by its rules", database)
                       : fmt::format("database {} is open to {} addresses by its rules, {} % of "
                                     "all",
                                     database, addresses, addresses * 100 / kClientAddresses),
                   {}});
  }
  for (const auto* sentences : {&status.address_gone, &status.problems, &status.exposed,
                                &status.open_ipv6, &status.past_guard}) {
    for (const auto& sentence : *sentences) all.push_back({sentence, {}});
  }
  return all;
}

std::vector<Problem> remarks(const StatusView& status) {
  std::vector<Problem> all;
  for (const auto& change : status.pending) {
    if (change.overdue) continue;
    all.push_back({fmt::format("pending: {} is not enforced yet: what it said before stays",
                               describe(change)),
                   {}});
  }
  if (status.mode == Mode::monitor && status.monitored.size() == status.databases) {
    all.push_back({"monitor mode: what would be dropped is counted and passes", {}});
  } else {
    for (const auto& id : status.monitored) {
      all.push_back({fmt::format("database {} is in monitor mode: what would be dropped is counted "
                                 "and passes",
                                 id),
                     {}});
    }
  }
  for (const auto& interface : status.interfaces) {
    if (!interface.is_attached() || interface.mode != AttachMode::generic) continue;
    const auto text = fmt::format("{} runs in generic mode, which is slower: {}", interface.name,
                                  interface.reason.empty() ? "as configured" : interface.reason);
    all.push_back({with_remedy(text, interface.remedy), {}});
  }
  for (const auto& notice : status.notices) all.push_back({notice, {}});
  for (const auto& file : status.files) {
    if (file.state != FileState::active || file.faults.empty()) continue;
    all.push_back({fmt::format("warnings: {}", subject_of(file)), file.faults});
  }
  return all;
}

std::string unjudged(const StatusView& status) {
  const auto attached = guarded_names(status);
  if (status.generation == 0) return "no rules are enforced yet: the packet gets in";
  if (backstop_judges(status)) return "";
  const std::string_view backstop = status.outside_backstop.empty()
                                        ? "there is no backstop"
                                        : "the backstop does not cover what listens";
  if (attached.empty()) {
    return fmt::format("Moat's program is on no interface, and {}: the packet gets in", backstop);
  }
  return fmt::format("Moat's program is on {} alone, and {}: by {} the packet gets in",
                     fmt::join(attached, ", "), backstop,
                     status.open_interfaces.empty() ? "another interface"
                                                    : list_interfaces(status.open_interfaces));
}

std::string not_enforced_by(const StatusView& status) {
  std::vector<std::string> gaps;
  for (const auto& interface : status.interfaces) {
    if (interface.is_attached()) continue;
    gaps.push_back(fmt::format("NOT on {}: {}", interface.name, why_not_on(interface)));
  }
  if (auto gap = fast_path_gap(status.fast_path); !gap.empty()) gaps.push_back(std::move(gap));
  if (auto gap = backstop_gap(status.backstop); !gap.empty()) gaps.push_back(std::move(gap));
  for (const auto& change : status.pending)
    gaps.push_back(fmt::format("NOT what {} says now", describe(change)));
  if (is_nothing_wanted(status))
    gaps.emplace_back("NOTHING is guarded: moat.yaml names no interface and has `backstop: false`");
  return fmt::format("{}", fmt::join(gaps, "; "));
}

std::string unknown_policy(std::uint64_t generation) {
  return fmt::format(
      "generation {} is enforced, but what it says is not known: the state that tells "
      "is lost or older, and the rule files cannot take its place",
      generation);
}

}  // namespace moat
