// SPDX-License-Identifier: BSD-2-Clause
// What others ask of the daemon.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>

#include "control/daemon/daemon.h"
#include "control/daemon/refuse.h"
#include "control/files/agent_files.h"
#include "control/os/log.h"
#include "control/os/process.h"
#include "control/policy/coverage.h"
#include "control/text/fnv1a.h"

namespace moat {
namespace {

using namespace std::chrono_literals;
using Kind = Refusal::Kind;

constexpr auto by_number_alone =
    "this kernel, locked down, lets the backstop know trusted interfaces by number alone: one that "
    "gets the number of another while moatd is stopped is trusted in its place";
constexpr auto time_for_farewell = 2s;  // to send the last answer after detach()

std::string describe(const Peer& peer) {
  return fmt::format("{} (uid {}, pid {})", peer.user, peer.uid, peer.pid);
}

// `unsaved`: what is wrong with the state; empty: nothing. Says what holds all the same.
void warn_of_state(ChangeView& view, const std::string& unsaved, const std::string& file,
                   std::string_view what_holds) {
  if (unsaved.empty()) return;
  view.warnings.push_back({Severity::warning, {file, 0, 0}, unsaved, "", std::string(what_holds)});
}

// Those in monitor mode, of the file at `path` alone unless that is empty.
std::vector<std::string> monitored_databases(const EnforcedState* enforced,
                                             const std::string& path) {
  std::vector<std::string> ids;
  if (enforced == nullptr) return ids;
  for (const auto* database : find_monitored(enforced->policy))
    if (path.empty() || database->place.file == path) ids.push_back(database->id);
  return ids;
}

}  // namespace

Cause cause_of(std::string what, const Peer& peer) {
  return {std::move(what), describe(peer), command_line(peer.pid)};
}

StatusView::Backstop Daemon::backstop_view() const {
  const auto& [at, before] = std::tie(backstop_.at_sockets, backstop_.before_sockets);
  return {.wanted = settings_.config().backstop,
          .at_sockets = at.on,
          .cgroup = backstop_.cgroup,
          .not_at = at.reason,
          .before_sockets = before.on,
          .before_expected = before.expected,
          .not_before = before.reason};
}

std::string_view Daemon::code_of(Step step) {
  switch (step) {
    case Step::table:
      return code::table_not_live;
    case Step::pins:
      return code::unpinned;
    case Step::socket:
      return code::no_socket;
    case Step::metrics:
      return code::no_metrics;
    case Step::fast_path:
      return code::fast_path;
    case Step::save:
      return code::state_not_saved;
    case Step::trial:
      return code::trial_not_kept;
    case Step::end_sessions:
      return code::sessions_not_ended;
    case Step::history:
    case Step::events:
      return code::history_incomplete;
    case Step::sample:
      return code::counters_unread;
    case Step::drops:
      return code::drops_unread;
  }
  return "";
}

DaemonFacts Daemon::facts() const {
  DaemonFacts facts;
  facts.is_ready = is_ready_;
  facts.since = since_;
  facts.backstop = backstop_view();
  facts.fast_path = path_->fast_path();
  for (const auto& [step, what] : problems_) {
    // The fast path's is told by its own status.
    if (step == Step::fast_path) continue;
    facts.problems.push_back(make_problem(code_of(step), "", what.message, what.remedy));
  }
  const auto add = [&facts](std::string_view code, const std::vector<std::string>& sentences) {
    for (const auto& what : sentences) facts.problems.push_back(make_problem(code, "", what));
  };
  if (!watch_.problem().empty()) add(code::files_unwatched, {watch_.problem()});
  add(code::backstop_doubtful, backstop_.problems);
  add(code::pins_doubtful, path_->pin_problems());
  add(code::state_lost, state_problems_);
  add_notices(facts.notices);
  if (trial_) facts.trial = trial_view(*trial_);
  return facts;
}

void Daemon::add_notices(std::vector<Problem>& notices) const {
  for (const auto& name : removed_interfaces_) {
    notices.push_back(make_problem(
        code::interface_removed, name,
        fmt::format("interface {} is no longer guarded: it was taken out of moat.yaml", name)));
  }
  const auto& trusted = settings_.config().trusted_interfaces;
  const bool trusts_others =
      std::ranges::any_of(trusted, [](const auto& name) { return name != "lo"; });
  if (trusts_others && backstop_.at_sockets.on && !backstop_.knows_names)
    notices.push_back(make_problem(code::kernel_limit, "trusted-interfaces", by_number_alone));
  if (backstop_.at_sockets.on && !backstop_.as_nat_left.empty()) {
    notices.push_back(
        make_problem(code::kernel_limit, "nat",
                     "packets are judged as NAT left them: " + backstop_.as_nat_left));
  }
  for (const auto& [what, mend] : mends_) {
    notices.push_back(make_problem(
        code::mended, what,
        fmt::format("{}; mended at {}{}", what, format_time_ms(mend.latest),
                    mend.times == 1 ? "" : fmt::format(", the latest of {} times", mend.times))));
  }
}

// Looks first: that a program was taken off by hand, nobody else tells before the next reconcile.
StatusView Daemon::status() {
  if (!is_detached_) {
    ensure_table();
    ensure_guards();
    tell_ready();
  }
  auto view = views_.status(facts());
  if (!is_detached_) tell_problems(view);
  return view;
}

// Whoever asks for hits wants those of now, not of the last sample.
ServiceResult<std::vector<DatabaseView>> Daemon::databases() {
  if (auto known = views_.check_policy(); !known) return std::unexpected(known.error());
  sample();
  auto views = views_.databases();
  for (auto& view : views) view.version = version_of(view.id);
  return views;
}

ServiceResult<std::vector<RuleView>> Daemon::rules(const std::string& database) {
  if (auto known = views_.check_known(database); !known) return std::unexpected(known.error());
  sample();
  return views_.rules(database);
}

ServiceResult<std::vector<ManagedRangeView>> Daemon::managed_ranges() {
  if (auto known = views_.check_policy(); !known) return std::unexpected(known.error());
  return views_.managed_ranges();
}

ServiceResult<ManagedRangeView> Daemon::managed_range(const std::string& id) {
  if (auto known = views_.check_policy(); !known) return std::unexpected(known.error());
  return views_.managed_range(id);
}

ServiceResult<std::vector<NetPeeringView>> Daemon::net_peerings(const std::string& database) {
  if (auto known = views_.check_known(database); !known) return std::unexpected(known.error());
  sample();
  return views_.net_peerings(database);
}

ServiceResult<std::vector<NetworkView>> Daemon::network(const std::string& database) {
  if (auto known = views_.check_known(database); !known) return std::unexpected(known.error());
  return views_.network(database);
}

ServiceResult<EndpointsView> Daemon::endpoints(const std::string& database) {
  if (auto known = views_.check_known(database); !known) return std::unexpected(known.error());
  return views_.endpoints(database, facts());
}

ServiceResult<std::string> Daemon::version(const std::string& database) {
  if (auto known = views_.check_known(database); !known) return std::unexpected(known.error());
  return version_of(database);
}

// Of the file's bytes, or of all files' if no database is named.
std::string Daemon::version_of(const std::string& database) const {
  Fnv1a hash;
  for (const auto& file : scanner_.files().databases) {
    const auto& id = file.reading.id;
    if (!database.empty() && (!id || *id != database)) continue;
    hash.add(file.path);
    hash.add(std::uint8_t{0});
    if (file.bytes) hash.add(*file.bytes);
    hash.add(std::uint8_t{0});
  }
  return fmt::format("{:016x}", hash.value());
}

// The files have just been read. `database` empty: the host's only one.
ServiceResult<void> Daemon::check_version(const std::string& database, const Peer& peer) const {
  if (peer.versions.empty()) return {};
  const auto* enforced = publisher_.enforced();
  const bool has_one = enforced != nullptr && enforced->policy.databases.size() == 1;
  const auto id = database.empty() && has_one ? enforced->policy.databases.front().id : database;
  const auto is_now = [&](const std::string& version) {
    return version == version_of("") || (!id.empty() && version == version_of(id));
  };
  if (std::ranges::any_of(peer.versions, is_now)) return {};
  return refuse(Kind::changed, "somebody has changed the rules since they were read",
                "read them again, and make the change anew if it is still right");
}

ServiceResult<EventsView> Daemon::events(std::uint64_t since) {
  EventsView view{events_.since(since), events_.next()};
  if (view.events.size() == EventJournal::max_at_once) view.next = view.events.back().number + 1;
  return view;
}

void Daemon::read_all_drops() {
  drops_.read();
  // Without, a row has fewer packets than it might: not worth a refusal.
  if (const auto suppressed = path_->suppressed_drops()) drops_.note_suppressed(*suppressed);
}

ServiceResult<std::vector<WhyView>> Daemon::why(const std::string& source,
                                                const std::string& database) {
  if (!is_detached_) ensure_table();
  read_all_drops();
  return views_.why(source, database);
}

ServiceResult<CountersView> Daemon::counters(const std::string& database) {
  if (auto known = views_.check_database(database); !known) return std::unexpected(known.error());
  sample();
  return views_.counters(database);
}

ServiceResult<DropsView> Daemon::drops(const std::string& database, std::uint64_t since) {
  if (auto known = views_.check_database(database); !known) return std::unexpected(known.error());
  sample();
  if (since == 0) {
    read_all_drops();
  } else {  // asked again and again
    drops_.read();
  }
  return drops_.table().view(database, since);
}

ServiceResult<std::vector<SessionView>> Daemon::sessions(const std::string& database) {
  if (auto known = views_.check_known(database); !known) return std::unexpected(known.error());
  if (publisher_.enforced() == nullptr) return {};
  const auto& config = settings_.config();
  const auto found = guarded_sessions(publisher_.enforced()->policy,
                                      {config.trusted_interfaces, config.interfaces}, *path_);
  if (!found) return refuse(Kind::unavailable, found.error().message, found.error().remedy);
  return views_.sessions(*found, database);
}

// Those to which nobody is allowed by their rules, with files that are in order.
std::set<std::string> Daemon::closed_databases() const {
  std::set<std::string> closed;
  const auto* enforced = publisher_.enforced();
  if (enforced == nullptr) return closed;
  const auto& policy = enforced->policy;
  for (const auto& database : policy.databases) {
    if (!database.is_placeholder && policy.mode_of(database) == Mode::enforce &&
        lets_nobody_in(policy, database, publisher_.expiry_time()))
      closed.insert(database.id);
  }
  return closed;
}

ServiceResult<void> Daemon::begin_change() {
  ended_.clear();
  closed_before_ = closed_databases();
  if (is_detached_) return refuse(Kind::unavailable, "the guard has ended");
  return {};
}

ServiceResult<void> Daemon::begin_edit(const std::string& database, const Peer& peer) {
  if (auto may = begin_change(); !may) return may;
  log_.debug("an edit is asked for by {}{}", describe(peer),
             peer.is_dry_run ? ", as a dry run" : "");
  if (auto may = check_trial(peer); !may) return may;
  scanner_.scan(noticed_.value_or(WallClock::now()), publisher_.expiry_time());
  on_files_changed();  // what was heard meanwhile
  if (auto may = check_basis(peer); !may) return may;
  return check_version(database, peer);
}

EditBasis Daemon::edit_basis() const {
  const auto time = publisher_.resolve_time();
  return {.files = scanner_.files(),
          .mode = settings_.config().mode,
          .enforced = publisher_.enforced(),
          .forgotten = publisher_.state().forgotten,
          .now = time.now,
          .wall = std::chrono::floor<std::chrono::seconds>(WallClock::now()),
          .known = time.known,
          .updates = enforcer_.resolve_input().updates};
}

ChangeView Daemon::change_view(const ApplyResult& applied, Steady::time_point begun) {
  ChangeView view;
  view.enforced = applied.enforced;
  view.is_behind = applied.is_behind;
  view.generation = applied.generation;
  const auto end = applied.enforced ? std::max(applied.enforced_at, begun) : Steady::now();
  view.took = Milliseconds(end - begun);
  view.bound = settings_.config().bound;
  view.why_not = applied.why_not;
  std::ranges::set_difference(closed_databases(), closed_before_, std::back_inserter(view.closed));
  view.monitored = monitored_databases(publisher_.enforced(), "");
  constexpr std::size_t max_peers = 20;
  for (const auto& [whose, sessions] : std::exchange(ended_, {})) {
    view.ended_sessions += sessions;
    if (view.ended.size() < max_peers) view.ended.push_back({whose.first, whose.second, sessions});
  }
  return view;
}

ServiceResult<ChangeView> Daemon::carry_out(const ServiceResult<Edit>& edit, const char* what,
                                            const Peer& peer, Steady::time_point begun) {
  if (!edit) return std::unexpected(edit.error());
  if (peer.is_dry_run) {
    auto view = preview({{*edit}, edit->warnings});
    if (view) view->unchanged = edit->unchanged;
    return view;
  }
  const auto noticed = WallClock::now();
  if (auto written = write_edit(*edit); !written) return std::unexpected(written.error());
  const auto applied = turn(cause_of(what, peer), noticed);
  if (edit->unchanged.empty()) tell_written(applied);
  auto view = change_view(applied, begun);
  view.path = edit->path;
  if (!edit->path.empty()) view.monitored = monitored_databases(publisher_.enforced(), edit->path);
  view.rule_id = edit->rule_id;
  view.unchanged = edit->unchanged;
  view.warnings = edit->warnings;
  warn_of_state(
      view, problem(Step::save), edit->path,
      view.enforced ? "the file is changed, and what it says is enforced" : "the file is changed");
  return view;
}

ServiceResult<ChangeView> Daemon::edit(
    const std::string& database, const char* what, const Peer& peer,
    const std::function<ServiceResult<Edit>(const EditBasis&)>& plan) {
  const auto begun = Steady::now();
  if (auto may = begin_edit(database, peer); !may) return std::unexpected(std::move(may.error()));
  return carry_out(plan(edit_basis()), what, peer, begun);
}

ServiceResult<ChangeView> Daemon::add_rule(const NewRule& rule, const Peer& peer) {
  return edit(rule.database, "rule added", peer,
              [&](const EditBasis& basis) { return plan_add_rule(basis, rule); });
}

ServiceResult<ChangeView> Daemon::set_rule(const RuleName& rule, const RuleChange& change,
                                           const Peer& peer) {
  return edit(rule.database, "rule changed", peer,
              [&](const EditBasis& basis) { return plan_set_rule(basis, rule, change); });
}

ServiceResult<ChangeView> Daemon::remove_rule(const RuleName& rule, const Peer& peer) {
  return edit(rule.database, "rule removed", peer,
              [&](const EditBasis& basis) { return plan_remove_rule(basis, rule); });
}

ServiceResult<ChangeView> Daemon::add_net_peering(const NewNetPeering& peering, const Peer& peer) {
  return edit(peering.database, "net peering added", peer,
              [&](const EditBasis& basis) { return plan_add_peering(basis, peering); });
}

ServiceResult<ChangeView> Daemon::remove_net_peering(const NetPeeringName& peering,
                                                     const Peer& peer) {
  return edit(peering.database, "net peering removed", peer,
              [&](const EditBasis& basis) { return plan_remove_peering(basis, peering); });
}

ServiceResult<ChangeView> Daemon::set_mode(const std::string& database, Mode mode,
                                           const Peer& peer) {
  const auto* what = mode == Mode::monitor ? "set to monitor mode" : "set to enforce mode";
  return edit(database, what, peer,
              [&](const EditBasis& basis) { return plan_set_mode(basis, database, mode); });
}

// Why the file is held back, if it is.
Faults Daemon::faults_of(const std::string& path) const {
  const auto& resolution = enforcer_.resolution();
  if (!resolution) return {};
  const auto file = std::ranges::find(resolution->files, path, &FileStatus::path);
  return file == resolution->files.end() || file->state == FileState::active ? Faults{}
                                                                             : file->faults;
}

// The digest is that of the version somebody has seen: another one that came meanwhile is not
// meant.
ServiceResult<ChangeView> Daemon::accept_range(const std::string& id,
                                               const AcceptedVersion& version, const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_edit("", peer); !may) return std::unexpected(std::move(may.error()));
  if (auto known = views_.check_policy(); !known) return std::unexpected(known.error());
  if (version.digest.empty())
    return refuse(Kind::invalid, "no version is named", "give the digest of the one that is meant");
  const auto held = resolve(enforcer_.resolve_input()).held_versions;
  const auto wanted = held.find(id);
  if (wanted == held.end()) return leave_range(id, version.digest, peer, begun);
  if (wanted->second.digest != version.digest) {
    return refuse(Kind::conflict,
                  fmt::format("another version of managed range {} is there by now: it {}", id,
                              wanted->second.change),
                  fmt::format("if that is meant: moat managed-ranges accept {} --digest {}", id,
                              wanted->second.digest));
  }
  if (peer.is_dry_run) return preview({.edits = {}, .accepted = {{id, version.digest}}});
  publisher_.accept(id, version.digest);
  auto view =
      change_view(turn(cause_of(fmt::format("version {} of {} accepted", version.digest, id), peer),
                       WallClock::now()),
                  begun);
  if (const auto range = views_.managed_range(id)) view.path = range->path;
  view.warnings = faults_of(view.path);  // something else may hold the file back
  warn_of_state(
      view, problem(Step::save), paths_.state,
      "if moatd starts anew before the state is saved, it may hold the version back again");
  return view;
}

// Of a managed range of which nothing is held back: that version may be in force already, or wait
// for something else that holds its file back.
ServiceResult<ChangeView> Daemon::leave_range(const std::string& id, const std::string& digest,
                                              const Peer& peer, Steady::time_point begun) {
  const auto range = views_.managed_range(id);
  if (!range) return std::unexpected(range.error());
  const auto& accepted = publisher_.state().accepted;
  const auto before = accepted.find(id);
  const bool is_accepted = before != accepted.end() && before->second == digest;
  if (range->digest != digest && !is_accepted) {
    return refuse(Kind::conflict,
                  fmt::format("no version of managed range {} is held back; version {} is enforced",
                              id, range->digest),
                  fmt::format("see `moat managed-ranges show {}`", id));
  }
  auto view = peer.is_dry_run ? preview({})
                              : ServiceResult<ChangeView>(change_view(
                                    turn(cause_of("reload", peer), WallClock::now()), begun));
  if (!view) return view;
  view->unchanged = fmt::format("version {} of managed range {} is {} already", digest, id,
                                is_accepted ? "accepted" : "enforced");
  view->path = range->path;
  view->warnings = faults_of(range->path);
  return view;
}

ServiceResult<RefreshView> Daemon::refresh_range(const std::string& id, const Peer& peer) {
  const auto range = managed_range(id);
  if (!range) return std::unexpected(range.error());
  if (!range->source) {
    return refuse(Kind::conflict, fmt::format("moat-agent does not keep {}", id),
                  "name its source in agent.yaml, see agent.yaml(5)");
  }
  // As it is written, in milliseconds.
  const auto now = std::chrono::floor<std::chrono::milliseconds>(WallClock::now());
  if (auto asked = ask_agent_to_refresh(settings_.folders().ranges, id, now); !asked)
    return refuse(Kind::unavailable, asked.error().message, asked.error().remedy);
  log_.info("moat-agent is asked for the list of {}, by {}", id, peer.user);
  return RefreshView{id, now};
}

ServiceResult<ChangeView> Daemon::forget(const std::string& database, const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_edit(database, peer); !may) return std::unexpected(std::move(may.error()));
  if (auto may = check_forget(edit_basis(), database); !may) return std::unexpected(may.error());
  if (peer.is_dry_run) return preview({.edits = {}, .forgotten = database});
  publisher_.forget(database);
  auto view = change_view(
      turn(cause_of(fmt::format("{} forgotten", database), peer), WallClock::now()), begun);
  warn_of_state(view, problem(Step::save), paths_.state,
                "if moatd starts anew before the state is saved, it may guard the database again");
  return view;
}

ServiceResult<ChangeView> Daemon::reload(const Peer& peer) {
  // Whoever has just written files asks for what they have done: a turn may have read them already.
  constexpr std::chrono::seconds just_now{5};
  const auto begun = Steady::now();
  auto ended = std::exchange(ended_, {});
  if (auto may = begin_change(); !may) return std::unexpected(std::move(may.error()));
  if (begun - ended_since_ < just_now) ended_ = std::move(ended);
  auto view = change_view(turn(cause_of("reload", peer), WallClock::now(), true), begun);
  ensure_guards();
  tell_ready();
  view.warnings = settings_.faults();
  if (const auto& resolution = enforcer_.resolution()) {
    for (const auto& file : resolution->files) {
      view.warnings.insert(view.warnings.end(), file.faults.begin(), file.faults.end());
    }
  }
  return view;
}

ServiceResult<ChangeView> Daemon::reset_clock(const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_change(); !may) return std::unexpected(std::move(may.error()));
  const auto before = publisher_.expiry_time();
  publisher_.confirm_clock();
  const auto what = fmt::format("rules expire by {}, and no longer by {}",
                                format_time(publisher_.expiry_time()), format_time(before));
  log_.about(LogEvent::clock).warn("the clock is right, says {}: {}", describe(peer), what);
  tell(event_kind::change, "the clock is right: " + what, "", describe(peer));
  auto view = change_view(renew("the clock was reset", false), begun);
  end_sessions();
  return view;
}

ServiceResult<ChangeView> Daemon::detach(const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_change(); !may) return std::unexpected(std::move(may.error()));
  log_.about(LogEvent::detached).warn("the guard ends: detach, by {}", describe(peer));
  save();
  if (const auto done = path_->detach_all(); !done) {
    log_.about(LogEvent::problem).error("not all could be taken off: {}", done.error().message);
    ensure_guards();
    return refuse(Kind::unavailable, done.error().message, done.error().remedy);
  }
  tell(event_kind::detach, "the guard has ended: nothing is guarded", "", describe(peer));
  is_detached_ = true;
  publisher_.keep_pins(paths_.bpffs, {});
  save();
  exit_timer_.set_after(time_for_farewell);
  ChangeView view;
  view.is_detached = true;
  view.took = Milliseconds(Steady::now() - begun);
  view.bound = settings_.config().bound;
  return view;
}

}  // namespace moat
