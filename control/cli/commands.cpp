// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/commands.h"

namespace moat {
namespace {

constexpr Command all_commands[] = {
    {"", "check", "Say what is wrong with rule files; needs no daemon", command::check,
     "All faults of all files are told at once, with file, line and column. Warnings change\n"
     "nothing about the exit code. A folder without managed ranges is checked with those of the "
     "host,\n"
     "as moat apply leaves them in force; moatd tells them, if it is there.\n\n"
     "Exit: 0 no errors, 1 errors, 2 wrong use.\n\n"
     "Examples:\n"
     "  moat check\n"
     "  moat check ./config\n"
     "  moat check /etc/moat/databases.d/orders.yaml"},

    {"", "status", "Say what is guarded, and what is wrong", command::status,
     "The first sentence tells whether all is well. What is wrong follows, worst first, each\n"
     "with a !, then what is well: the generation, the latest change and how long it took,\n"
     "each interface with the mode and id of its program, each database and its rules. What mends\n"
     "a thing stands below it. Where moatd is not running, root is told what the kernel enforces\n"
     "without it.\n\n"
     "Exit: 0 nothing is wrong, 1 something is (a line with a !, or nothing is guarded),\n"
     "3 moatd not reachable, 4 it does not answer. Monitor mode, chosen, is not wrong.\n\n"
     "Examples:\n"
     "  moat status --quiet || echo look\n"
     "  moat status --json | jq '.problems[].code'"},

    {"", "databases", "List the guarded databases, set their mode, or give one up", nullptr},
    {"databases", "list", "List the guarded databases", command::list_databases,
     "Status: active, held-back (its file has errors; the last rules stay), placeholder (held\n"
     "back and never enforced before: closed to all until its file can be used) or vanished\n"
     "(its file was deleted; the last rules stay)."},
    {"databases", "monitor", "Have a database's packets counted, and none dropped",
     command::monitor_database,
     "Sets mode: monitor in the database's rule file. Everybody reaches it then; what its rules\n"
     "would drop is counted, listed by moat drops and marked as passed. The mode of the whole "
     "host\n"
     "is in moat.yaml. Asks first.\n\n"
     "Example:\n  moat databases monitor orders"},
    {"databases", "enforce", "Have a database's rules decide", command::enforce_database,
     "Sets mode: enforce in the database's rule file. What no rule allows is dropped then, and "
     "open\n"
     "sessions that no rule allows are ended: moat preflight says which.\n\n"
     "Example:\n  moat databases enforce orders"},
    {"databases", "forget", "Open the port of a database without a file to everyone",
     command::forget_database,
     "A database whose file was deleted stays guarded with its last rules. This opens its port to\n"
     "everyone. Asks first. Refused while a file names the database.\n\n"
     "Example:\n  moat databases forget orders"},

    {"", "rules", "List, add, change or remove rules: who may reach a database", nullptr},
    {"rules", "list", "List who may reach the databases", command::list_rules,
     "Status: active (it lets its source in) or expired. Of a file that is held back for errors or "
     "was\n"
     "deleted, the last good rules stay in force: (file held back), (file deleted).\n"
     "Hits are packets that the rule let pass. Last hit is sampled, so that it may lag by ten\n"
     "seconds. --unused lists rules that have been counted for so long, without a hit since.\n\n"
     "Examples:\n"
     "  moat rules list --database orders\n"
     "  moat rules list --unused 30d"},
    {"rules", "add", "Allow a source, in the database's rule file", command::add_rule,
     "The file's comments and layout stay. Prints the new rule's id when the kernel enforces it.\n"
     "\nExit: 0 enforced, 1 refused and nothing changed, 2 wrong use, 3 moatd not reachable,\n"
     "4 accepted but not enforced within the bound. With --if-absent, 0 too where a rule names "
     "the\n"
     "source already, which stays as it is.\n\n"
     "Examples:\n"
     "  moat rules add --database orders --cidr 198.51.100.25/32 --label 'My workstation'\n"
     "  moat rules add --managed-range mr-scalingo-osc-fr1 --expires 12h\n"
     "  moat rules add --database orders --net-peering pcx-123456789\n"
     "  moat rules add --database orders --me --expires 8h"},
    {"rules", "set", "Give a rule another label or end, in its place", command::set_rule,
     "The rule keeps its id, its hits and its sessions, and the file its comments and layout. A "
     "rule\n"
     "that has expired is valid again with a later end, or without one.\n\n"
     "Examples:\n"
     "  moat rules set --database orders r-1a2b3c4d --expires 7d\n"
     "  moat rules set --cidr 198.51.100.25/32 --label 'At home' --no-expires"},
    {"rules", "remove", "Take a rule out of the database's rule file", command::remove_rule,
     "Open sessions that no other rule allows are ended (see drop-sessions in moat.yaml(5)). The\n"
     "beginning of an id will do, of 4 characters or more, if no other id begins like that.\n\n"
     "Examples:\n"
     "  moat rules remove --database orders r-1a2b3c4d\n"
     "  moat rules remove --cidr 198.51.100.25/32"},

    {"rules", "suggest", "Write rules for those who were refused lately", command::suggest_rules,
     "Prints a rule for each source that moat drops lists and that a rule could let in, in "
     "monitor\n"
     "mode or not, as a database file that moat check accepts; nothing is changed. Sources close\n"
     "together are one network, of /24 at most. Look at each before you take it over: among those "
     "that\n"
     "were refused are those that should be. Left out, and counted: what no rule can let in, and\n"
     "what `expect` says is to be denied.\n\n"
     "Example:\n  moat rules suggest --database orders"},

    {"", "sessions", "Show who is connected to guarded ports now", command::sessions,
     "For each session its peer, database, rule, how long the peer has sent nothing, and, as "
     "root,\n"
     "the process that has it. exempt: no rule is asked, as the host is connected with itself or\n"
     "the session comes by a trusted interface.\n\n"
     "Examples:\n"
     "  moat sessions --database orders\n"
     "  moat sessions --config ./config"},
    {"", "preflight", "Say what enforcing now would end", command::preflight,
     "Which sessions would end if the rules were enforced, whatever the mode now: for a host or a\n"
     "database in monitor mode, or, with --config, for rule files that are not in force yet. Your\n"
     "own address, that of the SSH session, comes first. With --config, also what would be "
     "open.\n"
     "Last, how many sources that monitor mode has let pass would be refused: a client that is\n"
     "not connected just now is told there alone.\n\n"
     "Exit: 0 no session would end, 1 some would, or the files have errors, 3 moatd not "
     "reachable.\n\n"
     "Examples:\n"
     "  moat preflight\n"
     "  moat preflight --config ./config"},

    {"", "managed-ranges", "List the named networks that rules can refer to, or show one", nullptr},
    {"managed-ranges", "list", "List the managed ranges", command::list_ranges,
     "Managed ranges are kept by their provider, in the files of managed-ranges.d; a\n"
     "withdrawn one is named by rules but by no file any more, and keeps its last CIDRs."},
    {"managed-ranges", "show", "Print the CIDRs of a managed range", command::show_range,
     "The output has the form of a cidrs-file. What was enforced when, who uses it, what has left "
     "it\n"
     "and stays allowed for a while (held down), and what is held back, are comments in it.\n\n"
     "Example:\n  moat managed-ranges show mr-scalingo-osc-fr1"},
    {"managed-ranges", "refresh", "Have moat-agent look at a managed range's source now",
     command::refresh_range,
     "Waits until it has. Whatever the source says, the last good list stays in force until there\n"
     "is a better one.\n\n"
     "Exit: 0 the list is as the source has it, 1 it could not be fetched or was refused, 4 the\n"
     "agent does not answer."},
    {"managed-ranges", "accept", "Enforce a version that changes too much at once",
     command::accept_range,
     "A version that gains or loses more addresses than `guard` in moat.yaml allows is held back\n"
     "until it is accepted here. Its digest, as moat status and managed-ranges show tell it, says\n"
     "which version is meant; without it, the version that is there is shown, and you are "
     "asked.\n\n"
     "Example:\n"
     "  moat managed-ranges accept mr-scalingo-osc-fr1 --digest 0123456789abcdef"},

    {"", "net-peerings", "List, register or remove the peered networks of a database", nullptr},
    {"net-peerings", "list", "List the peered networks", command::list_net_peerings,
     "A net peering is registered and admits nobody by that: a rule lets it in. Status: active (a\n"
     "rule lets it in, or some of it, and the host has a route to it), no-rule or no-route. Hits "
     "are\n"
     "packets that the rule for it, and rules for networks in it, let pass."},
    {"net-peerings", "add", "Register a peered network, in the database's rule file",
     command::add_net_peering,
     "Admits nobody: moat rules add --net-peering does. The file's comments and layout stay.\n\n"
     "Examples:\n"
     "  moat net-peerings add --database orders --id pcx-123456789 --cidr 10.42.0.0/16\n"
     "  moat rules add --database orders --net-peering pcx-123456789"},
    {"net-peerings", "remove", "Take a peered network out of the database's rule file",
     command::remove_net_peering,
     "Refused while a rule names it.\n\n"
     "Example:\n  moat net-peerings remove --database orders pcx-123456789"},

    {"", "network-configuration", "Show a database's addresses, networks and interfaces",
     command::network_configuration,
     "And, for each net peering, the private address by which its clients reach the database: the\n"
     "one that this host has on the route to it.\n\n"
     "Example:\n  moat network-configuration --database orders"},
    {"", "endpoints", "Show where a database is reached, and whether that is guarded",
     command::endpoints,
     "Type: private-peering (a private address on the route to a net peering) or public (any "
     "other).\n"
     "Guarded: yes, by eth0 only (nothing is dropped of what comes by another interface), open to "
     "all\n"
     "by its rules, monitor (what the rules would drop passes) or no. Listeners that no database "
     "guards are named below.\n\n"
     "Example:\n  moat endpoints --database orders"},

    {"", "why", "Say what a source gets, and because of what", command::why,
     "Names the rule that matches, and the file that says so; without one, a rule that has\n"
     "expired, the network just beside the source, or the command that would let it in. There\n"
     "are no IPv6 rules: for an IPv6 address the endpoint decides. A line with a ! tells what\n"
     "makes it other than said: a way in that nothing judges, or a clock that was set back.\n\n"
     "Examples:\n"
     "  moat why 192.0.2.77\n"
     "  moat why 192.0.2.77 --config ./config"},

    {"", "counters", "Show packets and bytes, by rule and by reason", command::counters,
     "Totals include what removed rules let pass. They never fall, until a detach or a boot: then\n"
     "counters begin at 0. Reasons of a drop: no-rule, martian, fragment, malformed, "
     "source-route,\n"
     "vlan-depth, ipv6, backstop; see moatd(8). Passed in monitor: what no rule allows, and passed "
     "in\n"
     "monitor mode. What passed without a rule is listed apart.\n\n"
     "Examples:\n"
     "  moat counters --database orders\n"
     "  moat counters --watch"},

    {"", "drops", "Show who was refused lately, and why", command::drops,
     "One row for each source, database (or port), reason, interface and VLAN, the newest first;\n"
     "the latest 4,096 of them. Under a flood only some are listed: all are counted, see\n"
     "moat counters. With --follow --json, one object a line.\n\n"
     "Examples:\n"
     "  moat drops --database orders\n"
     "  moat drops --follow"},

    {"", "events", "Show what has happened: changes, problems, mends", command::events,
     "Generations that were enforced, with who changed what; rules that expired; modes; problems "
     "as\n"
     "they begin and end; what was put right; interfaces that come and go; moatd's start and end.\n"
     "moatd keeps the latest 1 MiB of them. With --follow --json, one object a line.\n\n"
     "Examples:\n"
     "  moat events --since 2h\n"
     "  moat events --follow"},

    {"", "diff", "Compare what is enforced with a folder's rule files, or two generations",
     command::diff,
     "Says what would change if these files were the host's: + added, - removed, ~ changed;\n"
     "of moat.yaml too, where the folder has one. A line with a ! is wrong on the host by now,\n"
     "as moat status says, or names a database without a file there, whose last rules stay.\n"
     "With numbers: what changed in the database files from one generation\n"
     "of the history to another, or to the newest.\n\n"
     "Exit: 0 no difference and nothing wrong, 1 different, wrong, or the files have errors,\n"
     "3 moatd not reachable.\n\n"
     "Examples:\n"
     "  moat diff ./config && echo in force\n"
     "  moat diff 17 18"},

    {"", "apply", "Make a folder's rule files the host's, all at once", command::apply,
     "Shows what changes, as moat diff does, and asks. Takes the database files of the folder,\n"
     "and its moat.yaml if it has one; managed ranges are their provider's and stay. All of it is\n"
     "enforced in one generation, or nothing changes. A database whose file is not in the folder\n"
     "loses it, and stays guarded with its last rules until moat databases forget.\n\n"
     "Exit: 0 enforced or no difference, 1 refused or the files have errors, 2 nobody to ask,\n"
     "3 moatd not reachable, 4 not enforced within the bound.\n\n"
     "Examples:\n"
     "  moat apply ./config --dry-run\n"
     "  moat apply ./config --confirm 60s"},

    {"", "import", "Print a rule file from what another firewall has; needs no daemon",
     command::import_rules,
     "KIND is ufw (its user.rules), nft (what nft -j list ruleset prints), iptables (what\n"
     "iptables-save prints), pg_hba (pg_hba.conf) or security-group (what aws ec2\n"
     "describe-security-groups prints of one). What FILE is certain to let in to the port is "
     "taken\n"
     "over; all else is left out, and stderr says why: host names, IPv6, interfaces, rates.\n\n"
     "Exit: 0 printed, 1 nothing could be taken over from the file, 2 wrong use.\n\n"
     "Examples:\n"
     "  moat import ufw /etc/ufw/user.rules --database orders\n"
     "  nft -j list ruleset | moat import nft -\n"
     "  moat import pg_hba /etc/postgresql/15/main/pg_hba.conf --port 5432"},

    {"", "history", "Show what was enforced before, and who changed it", command::history,
     "The newest 100 generations, with the database files as they were then.\n\n"
     "Examples:\n"
     "  moat history\n"
     "  moat history 17"},
    {"", "rollback", "Bring back the database files of an earlier generation", command::roll_back,
     "Writes the files as they were, comments too, and enforces them as a new generation. Managed\n"
     "ranges stay as their provider has them, and so does a database that had no file then.\n\n"
     "Example:\n  moat rollback 17 --confirm 60s"},
    {"", "trial", "Have what is changed from now on undone, unless it is confirmed", command::trial,
     "For changes by hand, of moat.yaml too. Commands that change something have --confirm for\n"
     "the same. Neither the end of moatd nor a reboot makes a change stay.\n\n"
     "Example:\n  moat trial 5m"},
    {"", "confirm", "Keep what was changed with --confirm, or since moat trial", command::confirm},
    {"", "undo", "Undo it now, without waiting for the time to pass", command::undo},

    {"", "fleet", "Rules for many hosts: push, confirm, status, history, rollback, bundle",
     command::fleet, "moat-agent does it: see moat-agent(8)."},

    {"", "reload", "Have moatd read all files now", command::reload,
     "moatd notices changes by itself; this is for when you will not wait, or\n"
     "want to know that it has. A file that somebody is writing is not read until it is closed.\n\n"
     "Exit: 0 enforced, 1 a file is held back or NOT GUARDED, Moat's program is not on an "
     "interface,\n"
     "or the backstop is off; 3 moatd not reachable, 4 not enforced within the bound."},

    {"", "clock", "The host's clock, by which rules expire", nullptr},
    {"clock", "reset", "Say that the host's clock is right now", command::reset_clock,
     "After the clock was set back, rules that had expired stay expired, and so do\n"
     "new ones that expire before the time it had been at. This is for when the\n"
     "clock had been wrong and is right now."},

    {"", "detach", "Open all ports to everyone, and stop moatd", command::detach,
     "Everybody reaches every database then, until moatd's next start or boot. Asks first. To "
     "restart\n"
     "or upgrade moatd, do not detach: rules stay enforced without it."},

    {"", "bug-report", "Collect in one file what helps to find a fault", command::bug_report,
     "A tar archive, for root alone to read: versions, kernel, status, rules, history, log, and "
     "what\n"
     "BPF programs, maps and links there are. Says what is inside. No packets, rule files, keys "
     "or\n"
     "passwords.\n\n"
     "Example:\n  moat bug-report --hash-labels"},
    {"", "console", "Open the console, pages for a browser, in a session of its own",
     command::console,
     "Starts Cockpit's web server for you alone, on loopback, and prints the link to open. Where\n"
     "Cockpit is set up, the same pages are in its menu: Database firewall. You may do there what\n"
     "you may do by this command. Who has the link acts as you: see moat-console(7).\n\n"
     "Examples:\n"
     "  moat console\n"
     "  moat console --port 9099"},

    {"", "version", "Say the versions of moat and of moatd", command::version},

    {"", "help", "Tell more of a command or a topic", command::help},
};

}  // namespace

std::span<const Command> commands() { return all_commands; }

std::string_view without_alias(std::string_view word) {
  if (word == "ls") return "list";
  return word == "rm" ? "remove" : word;
}

Options global_options(Cli& cli) {
  return {{"--socket", "PATH", &cli.socket, "Where moatd listens"},
          {"--json", "", &cli.json, "Print JSON, for programs"},
          {"--no-pager", "", &cli.no_pager, "Print long tables as they are, on a terminal too"}};
}

}  // namespace moat
