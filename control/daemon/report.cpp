// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/report.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "control/daemon/agent_report.h"
#include "control/daemon/refuse.h"
#include "control/files/host_checks.h"
#include "control/files/mptcp_joins.h"
#include "control/os/local_names.h"
#include "control/policy/coverage.h"
#include "control/resolve/expectations.h"
#include "control/resolve/hold_down.h"
#include "control/service/explain.h"
#include "control/service/judge_session.h"
#include "control/service/status_text.h"
#include "dataplane/host/cgroups.h"
#include "dataplane/host/netlink.h"
#include "dataplane/host/sessions.h"

namespace moat {
namespace {

struct Reason {
  std::uint32_t number;
  const char* text;
  bool drops;
};
constexpr std::array reasons = {
#define MOAT_X(name, text, drops) Reason{MOAT_##name, text, (drops) != 0},
    MOAT_REASON_LIST(MOAT_X)
#undef MOAT_X
};

// The clock may be set back by as much before anybody is told that rules stay expired.
constexpr std::chrono::seconds small_step{60};

void add(Counts& to, const Counts& from) {
  to.packets += from.packets;
  to.bytes += from.bytes;
}

Counts counts_of(const moat_counter& counter) { return {counter.packets, counter.bytes}; }

bool is_zero(const Counts& counts) { return counts.packets == 0; }

// Something about the host, that cannot be told.
Problem unread(const Error& error) {
  return make_problem(code::host_unread, "", error.message, error.remedy);
}

// What moat.yaml has no error for and yet leaves other than one may think.
void add_config_notices(const Config& config, std::vector<Problem>& notices) {
  if (!config.backstop) {
    notices.push_back(make_problem(
        code::no_backstop, "",
        "without the backstop (backstop: false), an interface that appears is open until the "
        "program is on it, a few milliseconds later; one that moat.yaml does not name stays open"));
  }
  if (const auto& readers = config.socket_readers; !readers.empty() && !find_group(readers)) {
    notices.push_back(make_problem(
        code::readers_absent, readers,
        fmt::format("socket-readers: the host has no group {} in /etc/group", readers)));
  }
  // Nearly always all are there, and the list, of thousands on some hosts, is not needed.
  const auto is_there = [](const std::string& name) { return if_nametoindex(name.c_str()) != 0; };
  if (std::ranges::all_of(config.trusted_interfaces, is_there)) return;
  const auto interfaces = list_link_names();
  if (!interfaces) {
    notices.push_back(unread(interfaces.error()));
    return;
  }
  for (const auto& name : config.trusted_interfaces) {
    if (has_interface(*interfaces, name)) continue;
    notices.push_back(
        make_problem(code::trusted_absent, name,
                     fmt::format("trusted-interfaces: the host has no interface {}", name),
                     interface_remedy(name, *interfaces, config.trusted_interfaces)));
  }
}

// What to do about an interface that is not there: most likely its name is mistyped.
void add_nearest_names(const std::vector<std::string>& named,
                       std::vector<InterfaceStatus>& interfaces) {
  if (std::ranges::all_of(interfaces, &InterfaceStatus::present)) return;
  const auto links = list_link_names();
  if (!links) return;
  for (auto& interface : interfaces) {
    if (!interface.present && !interface.moved)
      interface.remedy = interface_remedy(interface.name, *links, named);
  }
}

// By which everybody gets in for want of a backstop. Where nothing is named, nothing is guarded,
// and that is told.
std::vector<std::string> find_open_interfaces(const Config& config,
                                              const std::vector<InterfaceStatus>& interfaces) {
  if (config.backstop || config.interfaces.empty()) return {};
  const auto links = list_links();
  if (!links) return {};
  std::vector<std::string> known = config.interfaces;
  if (config.fast_path) known.push_back(config.fast_path->kernel_port);  // moat-dpdk judges it
  for (const auto& interface : interfaces) known.push_back(interface.name);
  return open_interfaces(*links, known, config.trusted_interfaces);
}

std::vector<StatusView::OutsideBackstop> outside_backstop(const Policy& policy,
                                                          const std::vector<Session>& listeners,
                                                          const std::string& cgroup) {
  std::vector<StatusView::OutsideBackstop> views;
  const auto outside = listeners_outside(policy, listeners, cgroups_below(cgroup));
  if (outside.empty()) return views;
  const auto all = cgroups_below(find_cgroup2().value_or(""));
  for (const auto& listener : outside) {
    const auto folder = all.find(listener.cgroup);
    views.push_back({listener.local_port, folder == all.end() ? "" : folder->second});
  }
  return views;
}

// The peer of a session, as far as a route to it goes.
std::optional<Session> session_with(const std::string& source) {
  Session session;
  if (const auto address = parse_source(source)) {
    session.peer = *address;
    return session;
  }
  session.ipv6 = true;
  const auto address = parse_address6(source);
  if (!address) return std::nullopt;
  session.peer_ipv6 = *address;
  return session;
}

// The trusted interface by which the source seems to come, as the route back to it tells; empty:
// none. Not one that has Moat's program, which drops there; what is the host's own is told apart.
std::string find_trusted_way(const std::string& source, const Config& config,
                             const std::vector<InterfaceStatus>& interfaces) {
  const auto session = session_with(source);
  if (!config.backstop || !session) return {};
  const auto way = Routes().interface_to_peer(*session);
  if (!way) return {};
  const auto is_it = [&](const std::string& name) { return if_nametoindex(name.c_str()) == *way; };
  const bool is_judged = std::ranges::any_of(interfaces, [&](const InterfaceStatus& interface) {
    return interface.is_attached() && is_it(interface.name);
  });
  if (is_judged || is_it("lo")) return {};
  const auto trusted = std::ranges::find_if(config.trusted_interfaces, is_it);
  return trusted == config.trusted_interfaces.end() ? std::string() : *trusted;
}

WallTime wall_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

}  // namespace

Views::Views(const Settings& settings, const FileScanner& scanner, const Enforcer& enforcer,
             const Publisher& publisher, const Interfaces& interfaces, const DropTable& drops)
    : settings_(settings),
      scanner_(scanner),
      enforcer_(enforcer),
      publisher_(publisher),
      interfaces_(interfaces),
      drops_(drops) {}

const Policy& Views::policy() const {
  return publisher_.enforced() ? publisher_.enforced()->policy : nothing_;
}

StatusView Views::status(const DaemonFacts& facts) const {
  StatusView view;
  view.version = MOAT_VERSION;
  if (publisher_.table()) {
    const auto& header = publisher_.table().header();
    view.generation = header.generation;
    view.table_bytes = header.size;
    view.prefixes = header.prefixes;
    view.databases = header.databases;
  }
  view.policy_known = publisher_.knows_policy();
  view.mode = policy().mode;
  view.settings = settings_.config();
  view.ready = facts.is_ready;
  view.since = facts.since;
  view.interfaces = interfaces_.status();
  add_nearest_names(settings_.config().interfaces, view.interfaces);
  view.backstop = facts.backstop;
  view.open_interfaces = find_open_interfaces(settings_.config(), view.interfaces);
  view.fast_path = facts.fast_path;
  if (settings_.is_held_back() || settings_.is_being_written()) {
    const auto state = settings_.is_held_back() ? FileState::held_back : FileState::active;
    view.files.push_back({settings_.path(), "", state, settings_.faults()});
  }
  if (const auto& resolution = enforcer_.resolution()) {
    view.files.insert(view.files.end(), resolution->files.begin(), resolution->files.end());
    view.withdrawn.assign(resolution->withdrawn.begin(), resolution->withdrawn.end());
    for (const auto& [id, version] : resolution->held_versions) view.guarded_ranges.push_back(id);
  }
  if (const auto* enforced = publisher_.enforced()) {
    for (const auto& database : enforced->policy.databases) {
      if (database.is_placeholder) view.placeholders.push_back(database.id);
    }
    for (const auto& placeholder : enforced->placeholders) {
      if (enforced->policy.find(placeholder.base) == nullptr)
        view.shadowed.push_back(placeholder.base);
    }
  }
  view.last = scanner_.propagation().last();
  view.pending = scanner_.pending();
  view.bound = settings_.config().bound;
  view.propagation = scanner_.propagation().times();
  view.trial = facts.trial;
  if (!enforcer_.failure().empty()) {
    view.problems.push_back(
        publisher_.is_closed()
            ? make_problem(code::nobody_allowed, "",
                           fmt::format("nobody is allowed, as the rules cannot be enforced: {}",
                                       enforcer_.failure()))
            : make_problem(code::not_enforced, "",
                           fmt::format("changes are not enforced, generation {} stays: {}",
                                       publisher_.generation(), enforcer_.failure())));
  }
  view.problems.insert(view.problems.end(), facts.problems.begin(), facts.problems.end());
  view.notices = facts.notices;
  add_agent(settings_.folders().ranges, view);
  add_notices(view);
  add_problems(view);
  return view;
}

void Views::add_notices(StatusView& view) const {
  add_clock(view);
  for (const auto& fault : scanner_.files().passed_over) {
    view.notices.push_back(make_problem(
        code::file_passed_over, fault.place.file,
        fmt::format("{}: {}: {}", fault.place.file, fault.message, fault.value), fault.remedy));
  }
  add_config_notices(settings_.config(), view.notices);
  add_unnamed(view);
  for (const auto* database : find_monitored(policy())) view.monitored.push_back(database->id);
  add_coverage(view);
  add_taken_address(view);
  add_expiries(view);
  add_expectations(view);
  add_held_down(view);
  add_mptcp_notices(view);
  add_listeners(view);
}

// Taken out of moat.yaml while moatd was dead, renamed, or kept until another one is there.
void Views::add_unnamed(StatusView& view) const {
  const auto& named = settings_.config().interfaces;
  for (const auto& interface : view.interfaces) {
    if (!interface.is_attached() || std::ranges::find(named, interface.name) != named.end())
      continue;
    view.notices.push_back(make_problem(
        code::unnamed_interface, interface.name,
        fmt::format("{} is guarded: {}", interface.name, interface.reason), interface.remedy));
  }
}

// What listens where the rules do not reach.
void Views::add_listeners(StatusView& view) const {
  const auto open = listeners();
  if (!open) {
    view.notices.push_back(unread(open.error()));
    return;
  }
  const auto add = [](std::vector<Problem>& to, std::string_view code,
                      const std::vector<Opening>& all) {
    for (const auto& [database, message, remedy] : all)
      to.push_back(make_problem(code, database, message, remedy));
  };
  add(view.problems, code::port_exposed,
      enforcer_.exposed().open(policy(), *open, host_addresses(), publisher_.expiry_time()));
  const auto absent = absent_addresses(policy(), *open, host_addresses());
  add(view.problems, code::address_gone, absent.open);
  add(view.notices, code::address_absent, absent.standby);
  add(view.problems, code::open_ipv6, open_ipv6(policy(), *open));
  if (view.backstop.at_sockets && !settings_.config().backstop_cgroup.empty()) {
    view.outside_backstop = outside_backstop(policy(), *open, view.backstop.cgroup);
  }
  if (!view.policy_known) return;  // nor what is guarded
  if (const auto ports = unguarded_listeners(policy(), *open); !ports.empty()) {
    view.notices.push_back(
        make_problem(code::unguarded_listener, "",
                     fmt::format("something listens on TCP ports that no database guards: {}",
                                 list_ports(ports))));
  }
}

void Views::add_coverage(StatusView& view) const {
  for (const auto& database : policy().databases) {
    const auto now = publisher_.expiry_time();
    if (const auto count = wide_coverage(policy(), database, now))
      view.wide.push_back({database.id, *count, *count == kClientAddresses});
    const bool has_expired = std::ranges::any_of(
        database.rules, [now](const Rule& rule) { return rule.is_expired(now); });
    const bool is_told = database.is_placeholder || has_expired;
    if (is_told || policy().mode_of(database) == Mode::monitor ||
        !lets_nobody_in(policy(), database, now))
      continue;
    view.notices.push_back(make_problem(
        code::no_rules, database.id,
        fmt::format("nobody is allowed to {}: {}", database.id,
                    database.rules.empty() ? "it has no rules" : "its rules name no address"),
        fmt::format("moat rules add --database {} --cidr ...", database.id)));
  }
}

// moat check calls it an error. It is enforced all the same, as it may be meant.
void Views::add_taken_address(StatusView& view) const {
  for (const auto& database : policy().databases) {
    if (!database.endpoint.all || policy().mode_of(database) == Mode::monitor ||
        !takes_only_address(database.endpoint, host_addresses()))
      continue;
    view.problems.push_back(make_problem(code::host_closed, database.id,
                                         describe_taken_address(database.id, "closes")));
  }
}

// Those that have expired, and those that are about to: who is cut off by it has been told before.
void Views::add_expiries(StatusView& view) const {
  const auto now = publisher_.expiry_time();
  const auto soon = now + std::chrono::days(1);
  for (const auto& database : policy().databases) {
    std::uint32_t expired = 0, expiring = 0;
    const Rule* first = nullptr;  // to expire
    for (const auto& rule : database.rules) {
      if (rule.is_expired(now)) {
        expired++;
      } else if (rule.is_expired(soon)) {
        expiring++;
        if (first == nullptr || *rule.expires < *first->expires) first = &rule;
      }
    }
    view.expired_rules += expired;
    view.expiring_rules += expiring;
    if (expiring > 0) {
      view.notices.push_back(make_problem(
          code::rules_expiring, database.id,
          fmt::format("{} of {} within a day, the first at {}",
                      expiring == 1 ? "a rule" : fmt::format("{} rules", expiring),
                      database.id + (expiring == 1 ? " expires" : " expire"),
                      format_time(*first->expires)),
          fmt::format("moat rules set --database {} {} --expires 7d", database.id, first->id)));
    }
    if (expired == 0) continue;
    if (expired == database.rules.size()) {
      view.problems.push_back(make_problem(
          code::all_expired, database.id,
          fmt::format("all rules of {} have expired: {}", database.id,
                      policy().mode_of(database) == Mode::enforce
                          ? "nobody is allowed"
                          : "enforce mode would let nobody in"),
          fmt::format("add rules, or take the expired ones out of {}", database.place.file)));
    } else {
      view.notices.push_back(
          make_problem(code::rules_expired, database.id,
                       fmt::format("{} of {} expired",
                                   expired == 1 ? "a rule" : fmt::format("{} rules", expired),
                                   database.id + (expired == 1 ? " has" : " have")),
                       "moat rules list --database " + database.id));
    }
  }
}

// Those that no file could be held back for, as time alone has ended them, or will.
void Views::add_expectations(StatusView& view) const {
  for (const auto& database : policy().databases) {
    for (const auto& outlook : judge_expectations(policy(), database, publisher_.expiry_time())) {
      const auto& expectation = *outlook.expectation;
      const auto expects =
          fmt::format("{} expects {} to be {} ({}:{})", database.id, expectation.name(),
                      expectation.allowed ? "allowed" : "denied", expectation.place.file,
                      expectation.place.line);
      if (!outlook.holds && expectation.allowed) {
        view.problems.push_back(
            make_problem(code::expectation_broken, database.id,
                         expects + ", and it is denied, as what let it in has ended",
                         fmt::format("moat rules add --database {} --cidr {}/32", database.id,
                                     format_address(expectation.source))));
      } else if (!outlook.holds) {
        view.problems.push_back(
            make_problem(code::expectation_broken, database.id,
                         fmt::format("{}, and {} lets it in", expects, outlook.by),
                         "moat why " + format_address(expectation.source)));
      } else if (outlook.ends) {
        view.notices.push_back(
            make_problem(code::expectation_ending, database.id,
                         fmt::format("{}, and it is so until {} alone, when {} ends", expects,
                                     format_time(*outlook.ends), outlook.by)));
      }
    }
  }
}

void Views::add_held_down(StatusView& view) const {
  const auto now = publisher_.expiry_time();
  for (const auto& [id, range] : policy().ranges) {
    StatusView::HeldDownRange held{id, 0, {}};
    for (const auto& part : range.held_down) {
      if (part.is_over(now)) continue;
      held.prefixes += part.cidrs->size();
      held.until = std::max(held.until, part.until);
    }
    const auto show = "moat managed-ranges show " + id;
    if (held.prefixes > 0) {
      view.notices.push_back(make_problem(
          code::held_down, id,
          fmt::format("{} managed range {}, and stay allowed until {} (hold-down)",
                      held.prefixes == 1 ? "1 prefix has left"
                                         : fmt::format("{} prefixes have left", held.prefixes),
                      id, format_time(held.until)),
          show));
      view.held_down.push_back(std::move(held));
    }
    const auto& histories = publisher_.enforced()->range_histories;
    const auto change = histories.find(id);
    if (change == histories.end() || change->second.not_held == 0) continue;
    if (change->second.changed + settings_.config().hold_down < now) continue;
    view.notices.push_back(make_problem(
        code::not_held_down, id,
        fmt::format(
            "{} prefixes that left managed range {} at {} are not held down, as there is no "
            "room for them: sessions from there have ended",
            change->second.not_held, id, format_time(change->second.changed)),
        show));
  }
}

void Views::add_mptcp_notices(StatusView& view) const {
  const auto endpoints = mptcp_endpoints_with_port();
  if (!endpoints) {
    view.notices.push_back(unread(endpoints.error()));
    return;
  }
  for (const auto& by : *endpoints) {
    std::vector<std::string> open;
    for (const auto& database : policy().databases) {
      if (!judges_joins(database.endpoint, by)) open.push_back(database.id);
    }
    if (open.empty()) continue;
    const auto endpoint = format_mptcp_endpoint(by);
    view.notices.push_back(make_problem(
        code::mptcp_open, endpoint,
        fmt::format("who has a session with {} may go on with it from any address by MPTCP "
                    "endpoint {}",
                    fmt::join(open, ", "), endpoint),
        mptcp_remedy(by)));
  }
}

void Views::add_clock(StatusView& view) const {
  using Course = ExpiryClock::Course;
  const auto& clock = publisher_.expiry_clock();
  const auto& [course, left] = clock.standing();
  const auto now = wall_now();
  const auto latest = clock.latest().time;
  const auto minutes = left ? std::chrono::ceil<std::chrono::minutes>(*left).count() : 0;
  if (course == Course::back && latest > now + small_step) {
    view.clock_was_at = latest;
    view.problems.push_back(make_problem(
        code::clock_set_back, "",
        fmt::format(
            "the clock says {}, and has been at {}: rules that expire before that stay expired. It "
            "is believed by itself once it has been NTP-synchronised for {} min: {}",
            format_time(now), format_time(latest), kBackLasts.count(),
            left ? fmt::format("in {} min", minutes) : "it is not synchronised")));
  }
  const auto doubtful = publisher_.doubtful_rules();
  if (course == Course::ahead && doubtful > 0) {
    view.notices.push_back(make_problem(
        code::clock_ahead, "",
        fmt::format(
            "the clock says {}, later than time is known to have passed, and by it {} expired. "
            "If it is wrong, set it right within {} min, and they are valid again",
            format_time(now), doubtful == 1 ? "a rule has" : fmt::format("{} rules have", doubtful),
            minutes)));
  }
}

FileState Views::state_of(const Database& database) const {
  const auto& resolution = enforcer_.resolution();
  if (!resolution) return FileState::active;
  // A placeholder may stand for a file that does not tell its id.
  const auto& files = resolution->files;
  auto file = std::ranges::find(files, database.place.file, &FileStatus::path);
  if (const auto by_id = std::ranges::find(files, database.id, &FileStatus::id);
      by_id != files.end() && (file == files.end() || file->id != database.id)) {
    file = by_id;
  }
  return file == files.end() ? FileState::active : file->state;
}

std::vector<DatabaseView> Views::databases() const {
  std::vector<DatabaseView> views;
  for (const auto& database : policy().databases) {
    DatabaseView view;
    view.id = database.id;
    view.endpoint = database.endpoint;
    view.mode = policy().mode_of(database);
    view.state = state_of(database);
    view.is_placeholder = database.is_placeholder;
    view.path = database.place.file;
    view.rules = static_cast<unsigned>(database.rules.size());
    view.peerings = static_cast<unsigned>(database.peerings.size());
    view.allowed = allowed(database);
    view.dropped = dropped(database);
    view.monitored = dropped(database, true);
    view.expired =
        static_cast<unsigned>(std::ranges::count_if(database.rules, [&](const Rule& rule) {
          return rule.is_expired(publisher_.expiry_time());
        }));
    for (const auto& outlook : judge_expectations(policy(), database, publisher_.expiry_time())) {
      const auto& [allowed, source, label, place] = *outlook.expectation;
      view.expectations.push_back({allowed, source, label, outlook.holds, outlook.ends, place});
    }
    views.push_back(std::move(view));
  }
  return views;
}

Counts Views::counts(std::size_t slot) const {
  const auto& all = publisher_.counters();
  return slot == 0 || slot >= all.size() ? Counts{} : counts_of(all[slot]);
}

Counts Views::allowed(const Database& database) const {
  const auto& slots = publisher_.state().slots;
  const auto& retired = publisher_.state().retired;
  Counts total;
  if (const auto entry = retired.find(database.id); entry != retired.end()) {
    add(total, counts_of(entry->second));
  }
  for (const auto& rule : database.rules) add(total, counts(slots.rule(database.id, rule.id)));
  return total;
}

Counts Views::dropped(const Database& database, bool monitored) const {
  const auto owner = publisher_.state().slots.owner(database.id);
  Counts total;
  if (owner == 0) return total;
  for (const auto& reason : reasons) {
    if (reason.drops)
      add(total, counts(MOAT_OUTCOME_SLOT(owner, monitored ? 1U : 0U, reason.number)));
  }
  return total;
}

void Views::add_hits(RuleView& view) const {
  const auto& state = publisher_.state();
  view.hits = counts(state.slots.rule(view.database, view.id));
  const auto hit = state.last_hits.find({view.database, view.id});
  if (hit != state.last_hits.end()) view.last_hit = hit->second.time;
  const auto since = state.counted_since.find({view.database, view.id});
  if (since != state.counted_since.end()) view.counted_since = since->second;
}

RuleView Views::rule_view(const Database& database, const Rule& rule) const {
  RuleView view;
  view.database = database.id;
  view.id = rule.id;
  view.type = to_string(rule.kind());
  view.source = rule.source();
  view.label = rule.label;
  view.expires = rule.expires;
  view.place = rule.place;
  view.prefixes = static_cast<std::uint32_t>(prefixes_of(policy(), database, rule).size());
  if (rule.is_expired(publisher_.expiry_time())) view.state = RuleState::expired;
  add_hits(view);
  return view;
}

std::vector<RuleView> Views::rules(const std::string& wanted) const {
  std::vector<RuleView> views;
  for (const auto& database : policy().databases) {
    if (!wanted.empty() && database.id != wanted) continue;
    const auto first = views.size();
    for (const auto& rule : database.rules) views.push_back(rule_view(database, rule));
    const auto file = state_of(database);
    for (auto i = first; i < views.size(); i++) {
      if (views[i].state != RuleState::active || file == FileState::active) continue;
      views[i].state = file == FileState::vanished ? RuleState::vanished : RuleState::held_back;
    }
  }
  return views;
}

namespace {

void add_history(ManagedRangeView& view, const RangeHistory& history) {
  if (history.changed != WallTime{}) view.enforced_at = history.changed;
  view.added = history.added;
  view.removed = history.removed;
  view.not_held = history.not_held;
  view.returned = history.returned;
  view.returned_since = history.since;
}

}  // namespace

ManagedRangeView Views::range_view(const ManagedRange& range,
                                   const std::vector<RangeSourceView>& sources) const {
  ManagedRangeView view;
  view.id = range.id;
  view.name = range.name;
  view.prefixes = range.cidrs->size();
  view.digest = publisher_.digest_of(range.cidrs);
  view.path = range.place.file;
  const auto& files = scanner_.files().ranges;
  if (const auto file = std::ranges::find(files, view.path, &RangeFile::path); file != files.end())
    view.changed = file->stamp.changed_at();
  view.withdrawn = enforcer_.resolution() && enforcer_.resolution()->withdrawn.contains(range.id);
  if (const auto* enforced = publisher_.enforced()) {
    const auto history = enforced->range_histories.find(range.id);
    if (history != enforced->range_histories.end()) add_history(view, history->second);
  }
  for (const auto& held : range.held_down) {
    if (!held.is_over(publisher_.expiry_time())) view.held_down_prefixes += held.cidrs->size();
  }
  if (const auto& resolution = enforcer_.resolution()) {
    const auto held = resolution->held_versions.find(range.id);
    if (held != resolution->held_versions.end()) view.held_version = held->second;
  }
  if (const auto source = std::ranges::find(sources, range.id, &RangeSourceView::range);
      source != sources.end())
    view.source = *source;
  for (const auto& database : policy().databases) {
    const auto& rules = database.rules;
    if (std::ranges::find(rules, range.id, &Rule::managed_range) != rules.end()) {
      view.used_by.push_back(database.id);
    }
  }
  return view;
}

std::vector<ManagedRangeView> Views::managed_ranges() const {
  std::vector<ManagedRangeView> views;
  const auto sources = agents_sources(settings_.folders().ranges);
  for (const auto& [id, range] : policy().ranges) views.push_back(range_view(range, sources));
  return views;
}

ServiceResult<ManagedRangeView> Views::managed_range(const std::string& id) const {
  const auto range = policy().ranges.find(id);
  if (range == policy().ranges.end()) {
    std::vector<std::string_view> known;
    for (const auto& [name, each] : policy().ranges) known.push_back(name);
    return refuse_unknown("managed range", id, known, "moat managed-ranges list");
  }
  auto view = range_view(range->second, agents_sources(settings_.folders().ranges));
  view.list = range->second.cidrs;
  constexpr std::size_t max_held_down = 1'000;
  for (const auto& held : range->second.held_down) {
    if (held.is_over(publisher_.expiry_time())) continue;
    for (const auto& prefix : *held.cidrs) {
      if (view.held_down.size() < max_held_down)
        view.held_down.push_back({prefix, held.since, held.until});
    }
  }
  return view;
}

ServiceResult<void> Views::check_policy() const {
  if (publisher_.knows_policy()) return {};
  return std::unexpected(Refusal{
      Refusal::Kind::conflict, unknown_policy(publisher_.generation()), "see `moat status`", {}});
}

ServiceResult<void> Views::check_known(const std::string& database) const {
  return database.empty() ? check_policy() : check_database(database);
}

ServiceResult<void> Views::check_database(const std::string& id) const {
  if (id.empty()) return {};
  if (auto known = check_policy(); !known) return known;
  if (policy().find(id) != nullptr) return {};
  std::vector<std::string_view> known;
  for (const auto& database : policy().databases) known.push_back(database.id);
  return refuse_unknown("database", id, known, "moat databases list");
}

ServiceResult<std::vector<WhyView>> Views::why(const std::string& source,
                                               const std::string& database) const {
  const auto address = parse_source(source);
  const OwnTraffic own{
      lets_own_traffic_by(settings_.config(), list_link_names().value_or(std::vector<LinkNames>{})),
      host_addresses(), host_ipv6_addresses()};
  auto of_ipv6 = address ? std::nullopt : explain_ipv6(policy(), source, database, own);
  if (!address && !of_ipv6) {
    return std::unexpected(Refusal{Refusal::Kind::invalid,
                                   fmt::format("{}: \"{}\"", address.error().message, source),
                                   address.error().remedy,
                                   {}});
  }
  if (auto known = check_known(database); !known) return std::unexpected(known.error());
  auto views = of_ipv6 ? *std::move(of_ipv6)
                       : explain(policy(), *address, database, publisher_.expiry_time(), own);
  const auto way = find_trusted_way(source, settings_.config(), interfaces_.status());
  for (auto& view : views) {
    view.generation = publisher_.generation();
    if (!view.allowed) view.trusted_way = way;
    if (address) complete(view, *address);
  }
  return views;
}

// What explain() leaves open: the live side of the answer.
void Views::complete(WhyView& view, Address source) const {
  const auto& state = publisher_.state();
  if (const auto hit = state.last_hits.find({view.database, view.rule});
      hit != state.last_hits.end()) {
    view.last_hit = hit->second.time;
  }
  view.last_drop = drops_.last_of(source, view.database);
  if (!publisher_.table()) return;
  const auto& databases = policy().databases;
  const auto entry = std::ranges::find(databases, view.database, &Database::id);
  const auto number = static_cast<std::uint32_t>(entry - databases.begin()) + 1;
  const auto& table = publisher_.table();
  const auto slot =
      entry_slot(table, source_class(table, source), number, publisher_.clocks().monotonic);
  const auto expected = view.allowed ? state.slots.rule(view.database, view.rule) : 0U;
  view.table_agrees = is_martian(source) || slot == expected;
}

std::vector<SessionView> Views::sessions(const std::vector<GuardedSession>& found,
                                         const std::string& wanted) const {
  std::vector<SessionView> views;
  for (const auto& [session, exempt] : found) {
    SessionView view;
    view.peer = format_peer(session);
    view.peer_port = session.peer_port;
    view.address = format_local(session);
    view.port = session.local_port;
    view.exempt = exempt;
    view.socket = session.inode;
    if (session.idle) view.idle = *session.idle;
    judge_session(view, policy(), publisher_.expiry_time());
    if (wanted.empty() || view.database == wanted) views.push_back(std::move(view));
  }
  return views;
}

void Views::add_reasons(CountersView& view, const std::string& owner, std::uint8_t number) const {
  for (const unsigned monitored : {0U, 1U}) {
    for (const auto& reason : reasons) {
      const auto found = counts(MOAT_OUTCOME_SLOT(number, monitored, reason.number));
      if (is_zero(found)) continue;
      view.reasons.push_back({owner, reason.text, monitored != 0, found, reason.drops});
    }
  }
}

CountersView Views::counters(const std::string& wanted) const {
  CountersView view;
  view.rules = rules(wanted);
  if (wanted.empty()) add_reasons(view, "host", 0);
  for (const auto& database : policy().databases) {
    if (!wanted.empty() && database.id != wanted) continue;
    const auto owner = publisher_.state().slots.owner(database.id);
    if (owner != 0) add_reasons(view, database.id, owner);
    view.totals.push_back({database.id, allowed(database), dropped(database),
                           policy().mode_of(database), dropped(database, true)});
  }
  const auto& all = publisher_.counters();
  if (!all.empty()) view.lost_events = all[MOAT_LOST_DROPS_SLOT].packets;
  return view;
}

}  // namespace moat
