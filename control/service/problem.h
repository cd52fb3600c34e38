// SPDX-License-Identifier: BSD-2-Clause
// What can be wrong with the guard, and what is worth knowing of it: each kind once, by the code
// that programs know it by. A new kind is a row here and in moatd(8), which a test compares.
//
// The order is that in which a tired person should read them: worst first. Status sorts by it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/text/fault.h"

namespace moat {

// One thing that is wrong, or worth knowing.
struct Problem {
  std::string code;     // of the list below
  std::string subject;  // which database, interface, file, range or port; empty: the host
  std::string message;  // a sentence
  std::string remedy;   // what mends it, a command where there is one
  Faults faults;        // that belong to it
};

struct ProblemKind {
  std::string_view code;
  bool is_problem = true;  // false: a notice, which makes nothing wrong
  // What the first sentence of status says after the number, of one and of several; without
  // `several` it says `one` as it is. Without both, it counts it among the other problems.
  std::string_view one;
  std::string_view several;
  std::string_view meaning;
  std::string_view remedy;  // of one that has none of its own
};

// X(NAME, CODE, IS_PROBLEM, ONE, SEVERAL, MEANING, REMEDY)
#define MOAT_PROBLEM_LIST(X)                                                                       \
  X(not_running, "not-running", true, "moatd is not running", "",                                  \
    "moatd is not running, or does not answer. Only moat status can tell, by the pins.",           \
    "systemctl start moatd, or restart")                                                           \
  X(nothing_enforced, "nothing-enforced", true, "", "", "No rules are enforced yet.",              \
    "moat check; journalctl -u moatd")                                                             \
  X(nothing_configured, "nothing-configured", true, "", "",                                        \
    "moat.yaml has nothing judge packets: it names no interface, and the backstop is off.",        \
    "name the interface of the clients in `interfaces`, or write `backstop: true`")                \
  X(no_database, "no-database", true, "", "", "No rule file names a database.",                    \
    "write a file for each database, see moat.yaml(5)")                                            \
  X(not_guarded, "not-guarded", true, "database file is NOT GUARDED",                              \
    "database files are NOT GUARDED",                                                              \
    "A new file has errors and does not tell the endpoint: its ports are open.", "moat check")     \
  X(interface_moved, "interface-moved", true, "", "",                                              \
    "An interface is in another network namespace by now, with Moat's program.", "ip link")        \
  X(interface_absent, "interface-absent", true, "", "",                                            \
    "The host has no interface of a name in moat.yaml. It is guarded once it appears.", "ip link") \
  X(interface_foreign, "interface-foreign", true, "", "",                                          \
    "Somebody else's XDP program is on an interface, and is left there.",                          \
    "take it off by the tool that put it there: bpftool net")                                      \
  X(interface_unattached, "interface-unattached", true, "", "",                                    \
    "Moat's program is not on an interface, for the reason given.",                                \
    "moat reload; journalctl -u moatd")                                                            \
  X(interface_open, "interface-open", true, "", "",                                                \
    "An interface is up that moat.yaml does not name, and the backstop is off.",                   \
    "name it in `interfaces`, or write `backstop: true`; if that is meant, name it in "            \
    "`trusted-interfaces`")                                                                        \
  X(open_to_all, "open-to-all", true, "database is OPEN TO EVERY ADDRESS",                         \
    "databases are OPEN TO EVERY ADDRESS", "The rules of a database let every address in.",        \
    "moat rules list")                                                                             \
  X(open_to_most, "open-to-most", true, "database is open to most addresses",                      \
    "databases are open to most addresses",                                                        \
    "The rules of a database let in half of all addresses or more.", "moat rules list")            \
  X(port_exposed, "port-exposed", true, "port, once guarded, is open",                             \
    "ports, once guarded, are open",                                                               \
    "Something listens on a port that a database guarded once and that everybody reaches now.",    \
    "name it in a database's endpoint, or stop what listens")                                      \
  X(address_gone, "address-gone", true, "database is OPEN, as the host has not its address",       \
    "databases are OPEN, as the host has not their addresses",                                     \
    "No interface has the address of an endpoint, and its ports are open at another.",             \
    "write the address that it has as `address`")                                                  \
  X(open_ipv6, "open-ipv6", true, "database is open by IPv6", "databases are open by IPv6",        \
    "An endpoint with ports: all leaves the host's IPv6 ports open.",                              \
    "write `ipv6: closed` in its endpoint, or `ipv6: open` if that is meant")                      \
  X(nat_past_guard, "nat-past-guard", true, "NAT leads past the guard", "",                        \
    "NAT rules lead past the guard. Only moat status looks for them, and no metric counts them.",  \
    "moat check")                                                                                  \
  X(host_closed, "host-closed", true, "database closes all ports of this host",                    \
    "databases close all ports of this host",                                                      \
    "A database with ports: all has the only address of the host: SSH is closed to all but its "   \
    "rules.",                                                                                      \
    "name the ports, or give the database an address of its own")                                  \
  X(nobody_allowed, "nobody-allowed", true, "nobody is allowed", "",                               \
    "The kernel takes none of the rules, and guarded ports are closed to everyone.",               \
    "journalctl -u moatd")                                                                         \
  X(table_not_live, "table-not-live", true, "", "",                                                \
    "Somebody took the table away: guarded ports are closed to everyone.", "journalctl -u moatd")  \
  X(not_enforced, "not-enforced", true, "", "",                                                    \
    "A change cannot be enforced. What was enforced before stays.", "journalctl -u moatd")         \
  X(overdue, "overdue", true, "change is overdue", "changes are overdue",                          \
    "A change is not enforced within the bound.", "moat reload")                                   \
  X(unconfirmed, "unconfirmed", true, "a change waits to be confirmed", "",                        \
    "A change is undone unless it is confirmed in time.", "moat confirm, or moat undo")            \
  X(held_back, "held-back", true, "rule file is held back", "rule files are held back",            \
    "A file has errors. What was last enforced of it stays.", "moat check")                        \
  X(vanished, "vanished", true, "rule file has vanished", "rule files have vanished",              \
    "A file was deleted. What was last enforced of it stays.",                                     \
    "bring it back, or end the guard: moat databases forget ID")                                   \
  X(expectation_broken, "expectation-broken", true, "expectation is broken",                       \
    "expectations are broken",                                                                     \
    "An expectation of a database does not hold, as time has ended what made it hold.",            \
    "moat rules add")                                                                              \
  X(range_withdrawn, "range-withdrawn", true, "managed range is withdrawn",                        \
    "managed ranges are withdrawn",                                                                \
    "A managed range is gone while rules name it. Its last CIDRs stay allowed.",                   \
    "bring it back, or take it out of the rules")                                                  \
  X(range_stale, "range-stale", true, "managed range is stale", "managed ranges are stale",        \
    "moat-agent has not got a managed range for longer than max-age. Its last CIDRs stay "         \
    "allowed.",                                                                                    \
    "systemctl status moat-agent; moat managed-ranges refresh ID")                                 \
  X(fleet_stale, "fleet-stale", true, "the fleet is not heard of", "",                             \
    "moat-agent has not reached the fleet's store. The last rule files stay.",                     \
    "systemctl status moat-agent")                                                                 \
  X(fleet_held_back, "fleet-held-back", true, "", "",                                              \
    "What the fleet has for this host has errors. The rule files before it stay.",                 \
    "mend it, and push it anew: moat fleet push")                                                  \
  X(all_expired, "all-expired", true, "database has no rule left that has not expired",            \
    "databases have no rule left that has not expired",                                            \
    "All rules of a database have expired: nobody is allowed.", "moat rules list")                 \
  X(clock_set_back, "clock-set-back", true, "", "",                                                \
    "The clock was set back. Rules that had expired stay expired.",                                \
    "if it is right now: moat clock reset")                                                        \
  X(fast_path_unreached, "fast-path-unreached", true, "the fast path is not reached", "",          \
    "moat-dpdk is not reached.", "systemctl status moat-dpdk")                                     \
  X(fast_path_behind, "fast-path-behind", true, "the fast path does NOT have these rules", "",     \
    "moat-dpdk judges by another generation.", "systemctl status moat-dpdk")                       \
  X(fast_path, "fast-path", true, "the fast path has a problem", "",                               \
    "Something else is wrong with moat-dpdk.", "systemctl status moat-dpdk")                       \
  X(fast_path_port, "fast-path-port", true, "", "", "Something is wrong with one of its ports.",   \
    "systemctl status moat-dpdk")                                                                  \
  X(backstop_off, "backstop-off", true, "the backstop is off", "", "The backstop is off.",         \
    "moat reload; journalctl -u moatd")                                                            \
  X(backstop_off_at_sockets, "backstop-off-at-sockets", true, "the backstop is off at sockets",    \
    "", "The backstop is off at sockets, and on before them if the kernel can.",                   \
    "moat reload; journalctl -u moatd")                                                            \
  X(backstop_off_before_sockets, "backstop-off-before-sockets", true,                              \
    "the backstop is off before sockets", "",                                                      \
    "The backstop is off before sockets though the kernel has a place for it.",                    \
    "moat reload; journalctl -u moatd")                                                            \
  X(outside_backstop, "outside-backstop", true, "", "",                                            \
    "What listens on a guarded port is in a cgroup that backstop-cgroup does not hold.",           \
    "name the database's cgroup, or leave backstop-cgroup out")                                    \
  X(backstop_doubtful, "backstop-doubtful", true, "", "",                                          \
    "Something is wrong with the backstop though it is on.", "journalctl -u moatd")                \
  X(unpinned, "unpinned", true, "the guard ends when moatd ends", "",                              \
    "Nothing can be pinned: the guard would end with moatd.", "see PINS in moatd(8)")              \
  X(pins_doubtful, "pins-doubtful", true, "", "",                                                  \
    "Pins that another user made or has may keep an earlier program on an interface.",             \
    "see PINS in moatd(8)")                                                                        \
  X(sessions_not_ended, "sessions-not-ended", true, "", "",                                        \
    "Sessions of peers that are no longer allowed may go on. Their packets are dropped.",          \
    "journalctl -u moatd")                                                                         \
  X(files_unwatched, "files-unwatched", true, "", "",                                              \
    "Files cannot be watched. Each reconcile looks at them.", "journalctl -u moatd")               \
  X(no_socket, "no-socket", true, "", "",                                                          \
    "No control socket can be made: nobody can ask or command moatd.", "journalctl -u moatd")      \
  X(no_metrics, "no-metrics", true, "", "",                                                        \
    "Nothing can listen at the address that moat.yaml names in metrics.",                          \
    "name another port in `metrics`")                                                              \
  X(state_not_saved, "state-not-saved", true, "", "",                                              \
    "What is enforced cannot be saved. A restart goes by what was saved last.",                    \
    "df /var/lib/moat; journalctl -u moatd")                                                       \
  X(state_lost, "state-lost", true, "", "",                                                        \
    "What was enforced before moatd's start is not known, or not all of it.",                      \
    "journalctl -u moatd")                                                                         \
  X(trial_not_kept, "trial-not-kept", true, "", "",                                                \
    "A change that waits to be confirmed could not be written down, or not be undone.",            \
    "journalctl -u moatd")                                                                         \
  X(history_incomplete, "history-incomplete", true, "", "",                                        \
    "The history or the journal of events lacks something.", "df /var/lib/moat")                   \
  X(counters_unread, "counters-unread", true, "", "", "Counters cannot be read.",                  \
    "journalctl -u moatd")                                                                         \
  X(drops_unread, "drops-unread", true, "", "", "Drops cannot be shown.", "journalctl -u moatd")   \
  X(pending, "pending", false, "change is pending", "changes are pending",                         \
    "A change was noticed and is not enforced yet. What was enforced before stays.",               \
    "moat reload")                                                                                 \
  X(monitor, "monitor", false, "", "",                                                             \
    "Monitor mode: what would be dropped is counted and passes.", "moat preflight")                \
  X(generic_mode, "generic-mode", false, "", "",                                                   \
    "An interface runs in generic mode, which is slower.", "use a driver that has XDP")            \
  X(native_mode, "native-mode", false, "", "",                                                     \
    "An interface runs in native mode, though generic mode is set.",                               \
    "set `attach: auto`, if native mode will do")                                                  \
  X(unnamed_interface, "unnamed-interface", false, "", "",                                         \
    "An interface is guarded that moat.yaml does not name.", "name it there")                      \
  X(mended, "mended", false, "", "", "Somebody had undone something, and it was put right.",       \
    "see when: moat events; Moat cannot see who")                                                  \
  X(file_warnings, "file-warnings", false, "", "", "A file has warnings.", "moat check")           \
  X(range_unfetched, "range-unfetched", false, "", "",                                             \
    "moat-agent could not get a managed range this time.", "systemctl status moat-agent")          \
  X(fleet_unreached, "fleet-unreached", false, "", "",                                             \
    "moat-agent does not reach the fleet's store at present.", "systemctl status moat-agent")      \
  X(agent_unread, "agent-unread", false, "", "", "What moat-agent tells cannot be read.",          \
    "systemctl status moat-agent")                                                                 \
  X(rules_expiring, "rules-expiring", false, "", "", "Rules expire within a day.",                 \
    "moat rules set RULE --expires WHEN")                                                          \
  X(rules_expired, "rules-expired", false, "", "", "Rules have expired.", "moat rules list")       \
  X(no_rules, "no-rules", false, "database has no rule: nobody is allowed",                        \
    "databases have no rules: nobody is allowed",                                                  \
    "A database in enforce mode has no rule that lets anybody in.", "moat rules add")              \
  X(expectation_ending, "expectation-ending", false, "", "",                                       \
    "An expectation of a database will not hold any more, as what makes it hold ends.",            \
    "moat rules set RULE --expires WHEN")                                                          \
  X(held_down, "held-down", false, "", "",                                                         \
    "Prefixes have left a managed range, and stay allowed for a while.",                           \
    "moat managed-ranges show ID")                                                                 \
  X(not_held_down, "not-held-down", false, "", "",                                                 \
    "Prefixes have left a managed range, and there is no room to keep them allowed for a while.",  \
    "moat managed-ranges show ID")                                                                 \
  X(clock_ahead, "clock-ahead", false, "", "",                                                     \
    "The clock has jumped ahead, and rules expired by it.", "if the clock is wrong, set it right") \
  X(interface_removed, "interface-removed", false, "", "",                                         \
    "An interface was taken out of moat.yaml, and is guarded no longer.",                          \
    "name it in `interfaces` if that was not meant")                                               \
  X(trusted_absent, "trusted-absent", false, "", "", "A trusted interface is not there.",          \
    "ip link")                                                                                     \
  X(readers_absent, "readers-absent", false, "", "",                                               \
    "The host has no group of the name in socket-readers.", "groupadd; see /etc/group")            \
  X(no_backstop, "no-backstop", false, "", "", "moat.yaml has the backstop off.",                  \
    "write `backstop: true`")                                                                      \
  X(file_passed_over, "file-passed-over", false, "", "",                                           \
    "Something lies beside the rule files that is not read.", "moat check")                        \
  X(address_absent, "address-absent", false, "", "",                                               \
    "No interface has the address of an endpoint, and nothing listens at another.",                \
    "nothing, where the address moves here later")                                                 \
  X(mptcp_open, "mptcp-open", false, "", "",                                                       \
    "An MPTCP endpoint with a port that no database guards.", "guard its port as well")            \
  X(unguarded_listener, "unguarded-listener", false, "", "",                                       \
    "Something listens on a TCP port that no database guards.",                                    \
    "if it leads to a database, name it in an endpoint")                                           \
  X(kernel_limit, "kernel-limit", false, "", "", "This kernel cannot do something.",               \
    "see BACKSTOP in moatd(8)")                                                                    \
  X(host_unread, "host-unread", false, "", "",                                                     \
    "Something about the host cannot be read, and what depends on it is not told.",                \
    "journalctl -u moatd")                                                                         \
  X(nat_unread, "nat-unread", false, "", "",                                                       \
    "NAT rules cannot be read. Only moat status looks for them.", "run it as root")

// The codes, for who names one: code::held_back.
namespace code {
#define MOAT_X(name, word, ...) inline constexpr std::string_view name = word;
MOAT_PROBLEM_LIST(MOAT_X)
#undef MOAT_X
}  // namespace code

// Worst first.
[[nodiscard]] std::span<const ProblemKind> problem_kinds();
[[nodiscard]] const ProblemKind* find_problem_kind(std::string_view code);

void sort_problems(std::vector<Problem>& problems);

// Without a remedy of its own it has that of its kind.
[[nodiscard]] Problem make_problem(std::string_view code, std::string subject, std::string message,
                                   std::string remedy = {}, Faults faults = {});

}  // namespace moat
