// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/status_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string_view>

#include "control/files/host_checks.h"
#include "control/policy/coverage.h"
#include "control/resolve/placeholders.h"

namespace moat {
namespace {

constexpr std::size_t max_named = 3;  // databases, in the first sentence

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

// What of the backstop is off that should be on, and why.
std::vector<Problem> backstop_problems(const StatusView::Backstop& backstop) {
  const auto off = [](std::string_view code, std::string_view where, const std::string& why) {
    return make_problem(code, "", fmt::format("the backstop is off{}: {}", where, why));
  };
  if (!backstop.wanted) return {};
  const bool is_off_before = backstop.before_expected && !backstop.before_sockets;
  if (!backstop.at_sockets && is_off_before && backstop.not_at == backstop.not_before)
    return {off(code::backstop_off, "", backstop.not_at)};
  std::vector<Problem> all;
  if (!backstop.at_sockets)
    all.push_back(off(code::backstop_off_at_sockets, " at sockets", backstop.not_at));
  if (is_off_before)
    all.push_back(off(code::backstop_off_before_sockets, " before sockets", backstop.not_before));
  return all;
}

// The same in a few words; empty if all is on.
std::string backstop_gap(const StatusView::Backstop& backstop) {
  const auto problems = backstop_problems(backstop);
  if (problems.empty()) return "";
  if (problems.size() > 1) return "the backstop is off";
  return std::string(find_problem_kind(problems.front().code)->one);
}

// Whether moat.yaml itself has nothing judge packets: no interface is named, or had the program
// from before, and neither the backstop nor the fast path is wanted.
bool is_nothing_wanted(const StatusView& status) {
  return status.settings.interfaces.empty() && status.interfaces.empty() &&
         !status.backstop.wanted && !status.fast_path.is_wanted;
}

std::string_view fast_path_code(const FastPathStatus& fast_path) {
  if (!fast_path.is_connected) return code::fast_path_unreached;
  return fast_path.is_behind ? code::fast_path_behind : code::fast_path;
}

// What is wrong with the fast path in a few words; empty: nothing.
std::string fast_path_gap(const FastPathStatus& fast_path) {
  if (fast_path.problem.empty()) return "";
  return std::string(find_problem_kind(fast_path_code(fast_path))->one);
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
  const auto& name = interface.name;
  std::string_view code = interface.foreign ? code::interface_foreign : code::interface_unattached;
  std::string message;
  if (interface.moved) {
    code = code::interface_moved;
    message =
        fmt::format("{} was moved away (into a container?): {}, which drops there by these rules",
                    name, interface.reason);
  } else if (!interface.present) {
    code = code::interface_absent;
    message =
        fmt::format("{}: the host has no such interface; it is guarded once it appears", name);
  } else if (has_backstop) {
    message = fmt::format("Moat's program is not on {}: {}. The backstop judges what comes by it",
                          name, why_not_on(interface));
  } else {
    message = fmt::format("{} is NOT GUARDED: {}", name, why_not_on(interface));
  }
  into.push_back(make_problem(code, name, std::move(message), interface.remedy));
}

std::string subject_of(const FileStatus& file) {
  return file.id.empty() ? file.path : fmt::format("{} ({})", file.id, file.path);
}

// Whether the database of a file is among the ids, also if the file does not tell which that is.
bool names(const std::vector<std::string>& ids, const FileStatus& file) {
  return std::ranges::find(ids, placeholder_base(file.id, file.path)) != ids.end();
}

std::string check_command(const FileStatus& file) { return "moat check " + file.path; }

std::string what_stays(const StatusView& status, const FileStatus& file) {
  if (names(status.placeholders, file)) {
    return names(status.monitored, file) ? "nobody is allowed, and monitor mode lets everybody pass"
                                         : "guarded, and nobody is allowed";
  }
  return names(status.shadowed, file) ? "its ports are guarded for others"
                                      : "what was last enforced stays";
}

void add_file_problems(const StatusView& status, std::vector<Problem>& into) {
  for (const auto& file : status.files) {
    if (file.state == FileState::not_guarded) {
      into.push_back(make_problem(
          code::not_guarded, file.path,
          fmt::format("NOT GUARDED: {}: its ports are open until this is mended", subject_of(file)),
          check_command(file), file.faults));
    } else if (file.state == FileState::held_back) {
      into.push_back(
          make_problem(code::held_back, file.path,
                       fmt::format("held back: {}: {}", subject_of(file), what_stays(status, file)),
                       check_command(file), file.faults));
    } else if (file.state == FileState::vanished) {
      into.push_back(make_problem(
          code::vanished, file.path,
          fmt::format("vanished: {}: what was last enforced stays", subject_of(file)),
          file.id.empty()
              ? ""
              : fmt::format("bring it back, or end the guard: moat databases forget {}", file.id),
          file.faults));
    }
  }
  for (const auto& id : status.withdrawn) {
    into.push_back(make_problem(
        code::range_withdrawn, id,
        fmt::format("managed range {} is withdrawn: rules name it, so its last CIDRs stay allowed",
                    id)));
  }
}

std::string describe(const Propagation& change) {
  return change.path.empty() ? "a change of the clock or an expiry" : change.path;
}

// What is said of it by the beginning of the first sentence.
bool is_in_subject(const StatusView& status, std::string_view code) {
  const auto is_any = [code](std::initializer_list<std::string_view> codes) {
    return std::ranges::find(codes, code) != codes.end();
  };
  if (is_any({code::nothing_enforced, code::nothing_configured, code::no_database})) return true;
  const bool is_of_interface = is_any({code::interface_moved, code::interface_absent,
                                       code::interface_foreign, code::interface_unattached});
  return is_of_interface && interface_names(status, true).empty();
}

std::string subjects_of(const std::vector<Problem>& problems, std::string_view code) {
  std::vector<std::string> subjects;
  for (const auto& problem : problems)
    if (problem.code == code) subjects.push_back(problem.subject);
  return fmt::format("{}", fmt::join(subjects, ", "));
}

std::string monitor_phrase(const StatusView& status) {
  if (status.monitored.empty() || status.monitored.size() == status.databases)
    return "monitor mode: nothing is dropped";
  return fmt::format("monitor mode: nothing is dropped for {}", fmt::join(status.monitored, ", "));
}

// What the first sentence says of so many problems of a kind; empty: they are among the others.
std::string phrase_of(const StatusView& status, const ProblemKind& kind, std::size_t number) {
  if (kind.code.starts_with("interface-") && kind.is_problem) {
    return fmt::format("{} {}", kind.code == code::interface_open ? "OPEN by" : "NOT on",
                       subjects_of(status.problems, kind.code));
  }
  if (number <= max_named && kind.code == code::no_rules) {
    return fmt::format("nobody is allowed to {}: {}", subjects_of(status.notices, kind.code),
                       number == 1 ? "it has no rules" : "they have no rules");
  }
  if (number <= max_named && kind.code == code::all_expired)
    return fmt::format("all rules of {} have expired", subjects_of(status.problems, kind.code));
  if (kind.code == code::outside_backstop)
    return fmt::format("the backstop does NOT guard {}", outside_ports(status));
  if (kind.code == code::monitor) return monitor_phrase(status);
  return kind.several.empty() ? std::string(kind.one) : count(number, kind.one, kind.several);
}

void add_guard_problems(const StatusView& status, std::vector<Problem>& into) {
  if (status.generation == 0) {
    into.push_back(
        make_problem(code::nothing_enforced, "", "NOT GUARDED: no rules are enforced yet"));
  } else if (status.databases == 0 && count_files(status, FileState::not_guarded) == 0) {
    into.push_back(
        make_problem(code::no_database, "", "NOT GUARDED: no rule file names a database"));
  }
  if (is_nothing_wanted(status)) {
    into.push_back(make_problem(
        code::nothing_configured, "",
        "NOT GUARDED: moat.yaml names no interface and has `backstop: false`: all ports are open"));
  }
  if (!status.open_interfaces.empty()) {
    const auto names = list_interfaces(status.open_interfaces);
    into.push_back(make_problem(
        code::interface_open, names,
        fmt::format("NOT GUARDED: what comes by {}: moat.yaml does not name it, and the backstop "
                    "is off",
                    names)));
  }
}

void add_change_problems(const StatusView& status, std::vector<Problem>& into) {
  for (const auto& change : status.pending) {
    if (!change.overdue) continue;
    into.push_back(make_problem(code::overdue, change.path,
                                fmt::format("overdue: {} is not enforced within {:.0f} s",
                                            describe(change), status.bound.count() / 1000)));
  }
  if (!status.trial) return;
  into.push_back(make_problem(
      code::unconfirmed, "",
      fmt::format("what was changed since generation {} is undone in {:.0f} s unless it is "
                  "confirmed: by {}",
                  status.trial->generation, std::ceil(status.trial->left.count() / 1000),
                  status.trial->author)));
}

void add_fast_path_problems(const FastPathStatus& fast_path, std::vector<Problem>& into) {
  if (!fast_path.problem.empty()) {
    into.push_back(make_problem(fast_path_code(fast_path), "",
                                "the fast path: " + fast_path.problem, fast_path.remedy));
  }
  for (const auto& port : fast_path.ports) {
    if (port.problem.empty()) continue;
    into.push_back(
        make_problem(code::fast_path_port, port.name,
                     fmt::format("the fast path's port {}: {}", port.name, port.problem)));
  }
}

void add_outside_problems(const StatusView& status, std::vector<Problem>& into) {
  for (const auto& [port, cgroup] : status.outside_backstop) {
    into.push_back(make_problem(
        code::outside_backstop, fmt::format("{}", port),
        fmt::format("port {} is NOT GUARDED by the backstop: what listens there is in {}, and "
                    "backstop-cgroup is {}",
                    port, cgroup.empty() ? "a cgroup that is gone" : "cgroup " + cgroup,
                    status.backstop.cgroup)));
  }
}

void add_wide_problems(const StatusView& status, std::vector<Problem>& into) {
  for (const auto& [database, addresses, is_all] : status.wide) {
    into.push_back(make_problem(
        is_all ? code::open_to_all : code::open_to_most, database,
        is_all ? fmt::format("database {} is OPEN TO EVERY ADDRESS by its rules", database)
               : fmt::format("database {} is open to {} addresses by its rules, {} % of all",
                             database, addresses, addresses * 100 / kClientAddresses),
        "moat rules list --database " + database));
  }
}

// Of a database in monitor mode, or of the host, if `id` is empty: with a look first at what it
// would end. A database without rules of its own would be closed to everyone.
std::string way_to_enforce(const StatusView& status, std::string id) {
  if (id.empty() && status.monitored.size() == 1) id = status.monitored.front();
  if (std::ranges::find(status.placeholders, id) == status.placeholders.end())
    return fmt::format("moat preflight; then, to drop: moat databases enforce {}",
                       id.empty() ? "ID, for each database" : id);
  const auto file = std::ranges::find_if(status.files, [&](const FileStatus& each) {
    return placeholder_base(each.id, each.path) == id;
  });
  return file == status.files.end() ? "mend its file first: moat check"
                                    : "mend its file first: " + check_command(*file);
}

void add_notices(const StatusView& status, std::vector<Problem>& into) {
  for (const auto& change : status.pending) {
    if (change.overdue) continue;
    into.push_back(
        make_problem(code::pending, change.path,
                     fmt::format("pending: {} is not enforced yet: what it said before stays",
                                 describe(change))));
  }
  if (status.mode == Mode::monitor && status.monitored.size() == status.databases) {
    into.push_back(make_problem(code::monitor, "",
                                "monitor mode: what would be dropped is counted and passes",
                                way_to_enforce(status, "")));
  } else {
    for (const auto& id : status.monitored) {
      into.push_back(make_problem(
          code::monitor, id,
          fmt::format("database {} is in monitor mode: what would be dropped is counted and passes",
                      id),
          way_to_enforce(status, id)));
    }
  }
  for (const auto& interface : status.interfaces) {
    if (!interface.is_attached()) continue;
    if (interface.mode == AttachMode::native && status.settings.attach == WantedAttach::generic)
      into.push_back(make_problem(
          code::native_mode, interface.name,
          fmt::format("{} runs in native mode, though `attach: generic` is set: that counts when "
                      "Moat attaches anew",
                      interface.name),
          interface.remedy));
    if (interface.mode != AttachMode::generic) continue;
    into.push_back(
        make_problem(code::generic_mode, interface.name,
                     fmt::format("{} runs in generic mode, which is slower: {}", interface.name,
                                 interface.reason.empty() ? "as configured" : interface.reason),
                     interface.remedy));
  }
  for (const auto& file : status.files) {
    if (file.state != FileState::active || file.faults.empty()) continue;
    into.push_back(make_problem(code::file_warnings, file.path,
                                fmt::format("warnings: {}", subject_of(file)), check_command(file),
                                file.faults));
  }
}

}  // namespace

bool is_well(const StatusView& status) {
  return status.monitored.empty() && status.pending.empty() && status.problems.empty() &&
         std::ranges::find(status.notices, code::no_rules, &Problem::code) == status.notices.end();
}

std::string headline(const StatusView& status) {
  if (status.generation == 0) return "NOT GUARDING anything: no rules are enforced yet.";
  std::vector<std::string> wrong;
  std::size_t others = 0;
  for (const auto& kind : problem_kinds()) {
    const auto& all = kind.is_problem ? status.problems : status.notices;
    const auto number =
        static_cast<std::size_t>(std::ranges::count(all, kind.code, &Problem::code));
    if (number == 0 || is_in_subject(status, kind.code)) continue;
    if (auto phrase = phrase_of(status, kind, number); !phrase.empty()) {
      wrong.push_back(std::move(phrase));
    } else if (kind.is_problem) {
      others += number;
    }
  }
  // Of a moatd that knows more kinds.
  others +=
      static_cast<std::size_t>(std::ranges::count_if(status.problems, [](const Problem& problem) {
        return find_problem_kind(problem.code) == nullptr;
      }));
  if (others > 0) {
    wrong.push_back(wrong.empty() ? count(others, "problem", "problems")
                                  : count(others, "other problem", "other problems"));
  }
  if (!wrong.empty()) return fmt::format("{}; {}.", subject(status), fmt::join(wrong, "; "));
  if (!is_well(status)) return fmt::format("{}.", subject(status));
  if (status.expired_rules == 0) return fmt::format("{}; all rules enforced.", subject(status));
  return fmt::format("{}; all rules enforced, {} expired.", subject(status),
                     status.expired_rules == 1
                         ? "of which 1 has"
                         : fmt::format("of which {} have", status.expired_rules));
}

void add_problems(StatusView& status) {
  auto& problems = status.problems;
  add_guard_problems(status, problems);
  add_file_problems(status, problems);
  for (const auto& interface : status.interfaces)
    add_interface_problem(interface, backstop_judges(status), problems);
  add_change_problems(status, problems);
  add_fast_path_problems(status.fast_path, problems);
  std::ranges::move(backstop_problems(status.backstop), std::back_inserter(problems));
  add_outside_problems(status, problems);
  add_wide_problems(status, problems);
  add_notices(status, status.notices);
  sort_problems(problems);
  sort_problems(status.notices);
  status.headline = headline(status);
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

std::vector<std::string> judged_alone(const StatusView& status) {
  if (status.generation == 0 || backstop_judges(status)) return {};
  return guarded_names(status);
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
