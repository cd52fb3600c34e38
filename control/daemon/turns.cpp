// SPDX-License-Identifier: BSD-2-Clause
// What the daemon does when something has happened.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <utility>

#include "control/daemon/daemon.h"
#include "control/enforce/end_sessions.h"
#include "control/os/log.h"

namespace moat {
namespace {

using namespace std::chrono_literals;

constexpr auto sample_interval = 10s;
constexpr auto save_interval = 60s;
constexpr std::chrono::milliseconds first_retry = 500ms;
// Events that keep coming put a turn off no longer than this many settling times, or this long.
constexpr int max_settles = 10;
constexpr std::chrono::milliseconds min_patience = 500ms;
// Past the deadline for the table's clock, which ticks every few milliseconds, to have reached it.
constexpr auto after_expiry = 20ms;

}  // namespace

ApplyResult Daemon::turn(const Cause& cause, WallClock::time_point noticed, bool is_asked_for) {
  if (is_detached_) return {};
  log_.debug("a turn: {}{}{}", cause.what.empty() ? "files have changed" : cause.what,
             cause.who.empty() ? "" : ", by ", cause.who);
  scan(noticed, is_asked_for);
  return enforce(cause);
}

// Reads the files, and looks again when what was left out will be there.
void Daemon::scan(WallClock::time_point noticed, bool is_asked_for) {
  noticed_.reset();
  scanner_.scan(noticed, publisher_.expiry_time(), is_asked_for);
  log_.debug("files were looked at: {}", scanner_.is_stale()
                                             ? fmt::format("{} changed", scanner_.changed().size())
                                             : std::string("nothing has changed"));
  settle_timer_.stop();
  if (const auto end = scanner_.writers_end()) {
    settle_timer_.set_after(
        std::chrono::duration_cast<std::chrono::microseconds>(*end - Steady::now()) + 1ms);
  }
  on_files_changed();  // what was heard meanwhile
}

ApplyResult Daemon::enforce(const Cause& cause) {
  ensure_table();  // or what is not live would be called enforced
  path_->want_fast_path(settings_.config().fast_path.has_value());
  auto applied = enforcer_.apply(cause);
  log_.debug("generation {}: {}", applied.generation,
             !applied.enforced   ? applied.why_not
             : applied.committed ? "enforced"
                                 : "enforced, as it was");
  if (applied.enforced) {
    retry_timer_.stop();
    retry_delay_ = {};
  } else {
    retry_later();
  }
  // Only once there is something to enforce: a program without a table judges nothing.
  const bool is_first = !has_guards_ && publisher_.generation() != 0;
  const bool is_live = applied.enforced || applied.is_behind;
  if (is_live) publisher_.keep_settings(settings_.bytes_in_force());
  note_fast_path();
  if (is_first || applied.settings_changed) ensure_guards();
  // Or a shorter interval would begin when the longer one has passed.
  if (applied.settings_changed) reconcile_timer_.set_after(settings_.config().reconcile);
  if (applied.settings_changed || applied.committed) end_sessions();
  finish();
  note_settings(cause, applied);
  record(applied);
  if (!modes_) tell_modes("", "");
  rearm();
  tell_ready();
  if (applied.settings_changed) {
    admit_peers();
    ensure_metrics();
  }
  look_for_problems();
  return applied;
}

ApplyResult Daemon::renew(const std::string& why, bool forced) {
  auto applied = enforcer_.renew(why, forced);
  if (!applied.enforced) retry_later();
  note_fast_path();
  finish();
  record(applied, forced ? event_kind::change : event_kind::expiry);
  rearm();
  look_for_problems();
  return applied;
}

void Daemon::finish() {
  const auto done = publisher_.finish();
  set_problem(Step::save, done, "the state is not saved");
  last_save_ = Steady::now();
  if (done) end_state_problems();
  keep_history();
  keep_events();
}

// Once what is enforced is known and on disk, nothing is wrong any more with the state.
void Daemon::end_state_problems() {
  if (!publisher_.knows_policy() || publisher_.enforced() == nullptr) return;
  for (const auto& problem : std::exchange(state_problems_, {})) note_mend(problem);
}

void Daemon::save() {
  set_problem(Step::save, publisher_.save(), "the state is not saved");
  last_save_ = Steady::now();
}

// Logged when it begins and when it ends, and kept for the status meanwhile.
void Daemon::set_problem(Step step, const Result<>& result, const char* what) {
  const auto before = problem(step);
  if (result) {
    if (!before.empty()) log_.about(LogEvent::problem_over).info("no longer: {}", before);
    problems_.erase(step);
    return;
  }
  Error now{fmt::format("{}: {}", what, result.error().message), result.error().remedy};
  if (format_error(now) != before) log_.about(LogEvent::problem).error("{}", format_error(now));
  problems_[step] = std::move(now);
}

// Empty: none.
std::string Daemon::problem(Step step) const {
  const auto found = problems_.find(step);
  return found == problems_.end() ? "" : format_error(found->second);
}

void Daemon::retry_later() {
  const auto most = settings_.config().reconcile;
  retry_delay_ = std::min(most, std::max(first_retry, retry_delay_ * 2));
  retry_timer_.set_after(retry_delay_);
}

// Whoever undid it may do so again, and what came in meanwhile came in: that stays in the status.
void Daemon::note_mend(const std::string& what) {
  log_.about(LogEvent::mended).warn("{}; mended", what);
  tell(event_kind::mend, what + "; mended");
  auto& mend = mends_[what];
  mend.latest = WallClock::now();
  mend.times++;
}

// Whoever has root can empty a slot or fill it: to ask which table is there takes microseconds.
void Daemon::ensure_table() {
  const auto live = publisher_.is_live();
  if (!live) {
    republish(live.error().message);
  } else if (!*live) {
    republish("the live table had been taken out of its slot");
  } else {
    set_problem(Step::table, {}, "");
  }
}

void Daemon::republish(const std::string& wrong) {
  log_.about(LogEvent::problem).error("{}; it is published anew", wrong);
  renew("the live table was not what it should be", true);
  const auto live = publisher_.is_live();
  const bool is_live = live && *live;
  set_problem(Step::table, is_live ? Result<>() : std::unexpected(Error{enforcer_.failure(), {}}),
              "the table is not live, and guarded ports are closed to everyone");
  if (!is_live) return;
  note_mend("the live table was not what it should be");
  end_sessions();
}

void Daemon::ensure_guards() {
  const auto& config = settings_.config();
  if (publisher_.generation() == 0) return;
  // The last settings that are known of may be older than those by which all this was put there.
  if (settings_.has_fallen_back() && !publisher_.knows_policy()) return;
  has_guards_ = true;
  path_->want_fast_path(config.fast_path.has_value());
  auto changes = interfaces_.ensure(config);
  for (auto& name : changes.removed) removed_interfaces_.insert(std::move(name));
  for (const auto& name : config.interfaces) removed_interfaces_.erase(name);
  for (const auto& what : changes.mended) note_mend(what);
  tell_interfaces();
  const bool was_open = ensure_backstop();
  if (changes.attached || was_open) end_sessions();  // who came in meanwhile
  ensure_pins();
  log_trusted();
}

void Daemon::log_trusted() {
  const auto& trusted = settings_.config().trusted_interfaces;
  if (trusted == trusted_) return;
  trusted_ = trusted;
  if (trusted.empty()) {
    log_.info("no interface is trusted any more");
  } else {
    log_.warn("trusted interfaces: {}; what comes by them reaches local sockets without rules",
              fmt::join(trusted, ", "));
  }
}

// The words go to the log; the status tells of the fast path by itself.
void Daemon::note_fast_path() {
  const auto status = path_->fast_path();
  set_problem(
      Step::fast_path,
      status.problem.empty() ? Result<>() : std::unexpected(Error{status.problem, status.remedy}),
      "the fast path");
}

void Daemon::ensure_pins() {
  auto pinned = path_->ensure_pins();
  const char* what_is_wrong = "the guard ends when moatd ends: nothing can be pinned";
  if (pinned) {
    pinned = path_->check_pins_last();
    what_is_wrong = "the guard ends when moatd ends: its pins go with it";
  }
  set_problem(Step::pins, pinned, what_is_wrong);
  for (const auto& what : path_->take_mended()) note_mend(what);
  // On disk at once: the next daemon tells what of these is missing.
  const auto before = publisher_.state().pins;
  publisher_.keep_pins(paths_.bpffs, path_->pinned());
  if (publisher_.state().pins != before) save();
}

// After the interfaces: it leaves to them what they have counted. True if a part of it is on and
// was not, or somebody had meddled with it.
bool Daemon::ensure_backstop() {
  const auto& config = settings_.config();
  const auto before = std::exchange(backstop_, {});
  if (!config.backstop) {
    path_->remove_backstop();
    if (before.at_sockets.on || before.before_sockets.on)
      log_.about(LogEvent::backstop).warn("the backstop is off: moat.yaml says so");
    return false;
  }
  backstop_ = path_->ensure_backstop(config.backstop_cgroup, config.trusted_interfaces);
  for (const auto& what : backstop_.mended) note_mend(what);
  for (const auto& problem : backstop_.problems)
    if (std::ranges::find(before.problems, problem) == before.problems.end())
      log_.about(LogEvent::backstop).error("{}", problem);
  const auto is_news = [](const BackstopStatus::Part& was, const BackstopStatus::Part& is) {
    return was.on != is.on || was.reason != is.reason;
  };
  if (is_news(before.at_sockets, backstop_.at_sockets) || before.cgroup != backstop_.cgroup)
    log_part(
        fmt::format("at sockets{}", backstop_.cgroup.empty() ? "" : ", cgroup " + backstop_.cgroup),
        backstop_.at_sockets);
  if (is_news(before.before_sockets, backstop_.before_sockets))
    log_part("before sockets", backstop_.before_sockets);
  return !backstop_.mended.empty() || (backstop_.at_sockets.on && !before.at_sockets.on) ||
         (backstop_.before_sockets.on && !before.before_sockets.on);
}

void Daemon::log_part(std::string_view where, const BackstopStatus::Part& part) {
  const auto log = log_.about(LogEvent::backstop);
  if (part.on) {
    log.info("the backstop is on {}", where);
  } else if (part.expected) {
    log.error("the backstop is OFF {}: {}", where, part.reason);
  } else {
    log.warn("the backstop is not {}: {}", where, part.reason);
  }
}

void Daemon::end_sessions() {
  if (!settings_.config().drop_sessions || publisher_.generation() == 0) return;
  if (publisher_.enforced() == nullptr || !publisher_.is_compiled()) return;
  const Generation live{publisher_.enforced()->policy, publisher_.table(),
                        publisher_.clocks().monotonic};
  const auto& config = settings_.config();
  const auto done =
      moat::end_sessions(live, {config.trusted_interfaces, config.interfaces}, *path_);
  Result<> all_ended;
  if (!done) all_ended = std::unexpected(done.error());
  if (done && !done->doubt.empty()) all_ended = std::unexpected(Error{done->doubt, {}});
  set_problem(Step::end_sessions, all_ended,
              "sessions of peers that are no longer allowed may go on");
  if (!done) return;
  note_ended(done->sessions);
  if (done->count > 0) {
    log_.about(LogEvent::sessions_ended)
        .info("generation {}: {} ended, as no rule allows the peer", publisher_.generation(),
              done->count == 1 ? "1 session" : fmt::format("{} sessions", done->count));
  }
}

// For whoever asked for the change.
void Daemon::note_ended(const std::vector<Session>& sessions) {
  if (ended_.empty()) ended_since_ = Steady::now();
  const auto& policy = publisher_.enforced()->policy;
  for (const auto& session : sessions) {
    const auto* guard =
        session.ipv6 ? nullptr : find_guard(policy, session.local, session.local_port);
    ended_[{format_peer(session), guard != nullptr ? guard->id : ""}]++;
  }
}

void Daemon::reconcile() {
  reconcile_timer_.set_after(settings_.config().reconcile);
  if (is_detached_) return;
  log_.debug("reconcile: files, pins, table, interfaces and backstop are looked at");
  scan(noticed_.value_or(WallClock::now()));
  if (scanner_.is_stale()) enforce({});
  ensure_pins();
  if (const auto wrong = publisher_.inspect()) republish(*wrong);
  ensure_guards();
  on_time_passed("the clocks have moved against each other");
  check_overdue();
  if (problems_.contains(Step::save) || problems_.contains(Step::history) ||
      problems_.contains(Step::events))
    finish();
  ensure_socket();
  ensure_metrics();
  tell_ready();
  look_for_problems();
}

// The clocks say something else than when the live table was compiled.
void Daemon::on_time_passed(const char* why) {
  if (is_detached_) return;
  observe_clock();
  if (publisher_.is_due()) {
    renew(why, false);
    end_sessions();
  }
  rearm();
}

void Daemon::observe_clock() {
  using Course = ExpiryClock::Course;
  publisher_.observe_clock();
  const auto course = publisher_.expiry_clock().standing().course;
  if (std::exchange(clock_course_, course) == course) return;
  const auto latest = format_time(publisher_.expiry_clock().latest().time);
  const auto now = format_time(std::chrono::floor<std::chrono::seconds>(WallClock::now()));
  const auto log = log_.about(LogEvent::clock);
  if (course == Course::back) {
    log.warn("the clock was set back to {}: rules that expire before {} stay expired", now, latest);
  } else if (course == Course::ahead) {
    log.warn(
        "the clock has jumped to {}, and time is known to have passed until {}: rules expire "
        "by the clock, and it is believed once that has lasted {} min",
        now, latest, kAheadLasts.count());
  } else {
    log.info("the clock is believed: {}", now);
  }
}

void Daemon::sample() {
  sample_timer_.set_after(sample_interval);
  if (is_detached_) return;
  ensure_table();
  set_problem(Step::sample, publisher_.sample(), "the counters cannot be read");
  drops_.note_counters();
  if (Steady::now() - last_save_ >= save_interval) save();
}

void Daemon::rearm() {
  if (const auto next = publisher_.next_expiry()) {
    expiry_timer_.set_at(in_ns(*next) + after_expiry);
  } else {
    expiry_timer_.stop();
  }
  if (const auto next = scanner_.propagation().next_deadline()) {
    overdue_timer_.set_at(*next + 1ms);
  } else {
    overdue_timer_.stop();
  }
}

void Daemon::check_overdue() {
  const auto bound = std::chrono::duration<double>(settings_.config().bound).count();
  for (const auto& change : scanner_.propagation().mark_overdue(WallClock::now())) {
    const auto why = why_not_enforced();
    log_.about(LogEvent::not_enforced)
        .error("{} was changed more than {} s ago and is not enforced{}{}", change.path, bound,
               why.empty() ? "" : ": ", why);
    look_for_problems();
  }
  rearm();
}

std::string Daemon::why_not_enforced() const {
  const auto everywhere = publisher_.check_everywhere();
  if (!enforcer_.failure().empty() || everywhere) return enforcer_.failure();
  return format_error(everywhere.error());
}

void Daemon::on_files_changed() {
  const auto news = watch_.drain();
  if (!news.changed || is_detached_) return;
  if (news.overflow) log_.warn("inotify's queue was overrun: all files are looked at");
  const auto settle = settings_.config().settle;
  log_.debug("a file has changed: read once nothing has for {} ms", settle.count());
  const auto now = Steady::now();
  if (!noticed_) {
    noticed_ = WallClock::now();
    patience_ends_ = now + std::max(settle * max_settles, min_patience);
  }
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(patience_ends_ - now);
  settle_timer_.set_after(std::clamp<std::chrono::microseconds>(settle, 0us, std::max(left, 0us)));
}

void Daemon::on_settled() {
  scan(noticed_.value_or(WallClock::now()));
  if (scanner_.is_stale()) enforce({});
}

void Daemon::on_links_changed() {
  const auto news = links_->read();
  if (is_detached_ || (news.events.empty() && !news.overrun)) return;
  log_.debug("{} of interfaces", news.overrun ? "too many events" : "events");
  ensure_guards();
  tell_ready();
  look_for_problems();
}

// Its kernel port is another one after its process has been started anew.
void Daemon::on_fast_path_changed() {
  if (is_detached_) return;
  note_fast_path();
  ensure_guards();
  look_for_problems();
  if (!enforcer_.is_behind() || !publisher_.check_everywhere()) return;
  log_.info("the fast path has generation {}", publisher_.generation());
  enforce({});
  end_sessions();  // of those it let in meanwhile
}

void Daemon::run_api() {
  if (!api_) return;
  api_->run();
  if (is_detached_ && api_->connections() == 0) loop_.stop();
  if (const auto timeout = api_->timeout()) {
    api_timer_.set_after(*timeout);
  } else {
    api_timer_.stop();
  }
}

void Daemon::run_metrics_api() {
  if (!metrics_api_) return;
  metrics_api_->run();
  if (const auto timeout = metrics_api_->timeout()) {
    metrics_timer_.set_after(*timeout);
  } else {
    metrics_timer_.stop();
  }
}

void Daemon::reload_on_signal() {
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
             static_cast<unsigned long long>(publisher_.clocks().monotonic / 1000));
  turn({"SIGHUP", "", ""}, WallClock::now(), true);
  ensure_guards();
  if (has_started_) sd_notify(0, "READY=1");
}

// For the service manager moatd has started once a generation is live, whether or not all is
// guarded: it would end a moatd that does not say so, for ever anew, and with it a guard that
// nothing could be pinned of.
void Daemon::tell_service_manager(bool is_ready) {
  if (publisher_.generation() == 0) {
    sd_notify(0, "STATUS=no rules are enforced yet, see `moat status`");
    return;
  }
  sd_notifyf(0, "STATUS=%s%s", in_force().c_str(),
             is_ready ? "" : "; NOT ALL IS GUARDED, see `moat status`");
  if (!std::exchange(has_started_, true)) sd_notify(0, "READY=1");
}

// Ready: policy live, backstop at sockets, and every interface that is there attached. Before
// sockets it only keeps the kernel from answering for nobody: not worth a service that does not
// start.
void Daemon::tell_ready() {
  const auto& resolution = enforcer_.resolution();
  const bool has_backstop = !settings_.config().backstop || backstop_.at_sockets.on;
  const bool is_ready = publisher_.generation() != 0 && resolution && !resolution->not_guarded &&
                        has_guards_ && interfaces_.all_attached() && has_backstop;
  tell_service_manager(is_ready);
  if (is_ready == is_ready_ && has_told_ready_) return;
  const bool was_ready = is_ready_;
  is_ready_ = is_ready;
  has_told_ready_ = true;
  if (is_ready) {
    log_.about(LogEvent::ready).info("ready: {}", in_force());
  } else {
    log_.about(LogEvent::not_ready)
        .error("not ready{}: see `moat status`", was_ready ? " any more" : "");
  }
}

}  // namespace moat
