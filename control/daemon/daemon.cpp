// SPDX-License-Identifier: BSD-2-Clause
// How the daemon starts: everything that can fail before anything is changed. A state folder or a
// control socket is not among it: without them the rules are enforced all the same.
#include "control/daemon/daemon.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <tuple>

#include "control/os/log.h"

namespace moat {
namespace {

// `last`: what was in force before, for a file that has faults by now.
Result<Settings> read_settings(const std::string& path, const std::string& last, Log& log) {
  Settings settings(path);
  settings.read([](const FileStamp&, std::optional<bool> writer, const FileStamp&) {
    return writer.value_or(false) ? BeingWritten::open : BeingWritten::no;
  });
  if (!settings.is_known()) settings.fall_back(last);
  if (settings.is_known()) return settings;
  for (const auto& fault : settings.faults())
    log.about(LogEvent::held_back).error("{}", format_fault(fault));
  return std::unexpected(Error{fmt::format("{} cannot be used", settings.path()),
                               "mend it; `moat check` tells the same"});
}

}  // namespace

Daemon::Daemon(Log& log, DaemonPaths paths, Settings settings, StateStore store,
               std::unique_ptr<PacketPath> path, LoadedState loaded, KernelClocks clocks,
               EventLoop loop)
    : log_(log),
      paths_(std::move(paths)),
      boot_(clocks.read().boot),
      settings_(std::move(settings)),
      store_(std::move(store)),
      history_(paths_.state + "/history"),
      events_(paths_.state + "/history"),
      trials_(paths_.state),
      path_(std::move(path)),
      state_problems_(std::move(loaded.problems)),
      publisher_(*path_, store_, std::move(loaded.state),
                 [clocks = std::move(clocks)] { return clocks.read(); }),
      scanner_(settings_, watch_),
      enforcer_(settings_, scanner_, publisher_, log),
      interfaces_(*path_, log),
      loop_(std::move(loop)),
      drops_(loop_, publisher_),
      views_(settings_, scanner_, enforcer_, publisher_, interfaces_, drops_.table()) {
  if (settings_.is_known()) settings_told_ = settings_.config();
}

Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::start(const DaemonPaths& paths, const OpenPath& open_path,
                                              Log& log) {
  // The lock comes first: whoever holds it may use the pins.
  auto store = StateStore::open(paths.state);
  if (!store) return std::unexpected(store.error());
  auto loaded = store->load();
  for (const auto& problem : loaded.problems) log.about(LogEvent::problem).error("{}", problem);
  auto settings = read_settings(paths.config, loaded.state.settings, log);
  if (!settings) return std::unexpected(settings.error());
  auto clocks = KernelClocks::open();
  if (!clocks) return std::unexpected(clocks.error());
  auto loop = EventLoop::open();
  if (!loop) return std::unexpected(loop.error());
  const auto& last = loaded.state.pins;
  const bool is_same_boot = last.boot == clocks->read().boot && last.folder == paths.bpffs;
  auto path = open_path(paths.bpffs, is_same_boot ? last.ids : PinIds{});
  if (!path) return std::unexpected(path.error());
  auto live = (*path)->live_table();
  if (!live) return std::unexpected(live.error());

  std::unique_ptr<Daemon> daemon(new Daemon(log, paths, std::move(*settings), std::move(*store),
                                            std::move(*path), std::move(loaded), std::move(*clocks),
                                            std::move(*loop)));
  if (*live) log.set_generation(live->header().generation);
  log.about(LogEvent::started)
      .info("moatd {}: {}; {}", MOAT_VERSION, daemon->path_->adoption(),
            *live ? fmt::format("generation {} is live", live->header().generation)
                  : "what programs are attached stay as they are until rules are enforced");
  if (*live) daemon->publisher_.adopt(std::move(*live));
  if (const auto known = daemon->history_.list(); !known.empty())
    daemon->publisher_.number_after(known.front().generation);
  if (auto armed = daemon->arm(); !armed) return std::unexpected(armed.error());
  return daemon;
}

Result<> Daemon::arm() {
  auto links = LinkMonitor::open();
  if (!links) return std::unexpected(links.error());
  links_.emplace(std::move(*links));
  auto clock = ClockWatch::open();
  if (!clock) return std::unexpected(clock.error());
  clock_.emplace(std::move(*clock));
  if (auto armed = arm_timers(); !armed) return armed;
  // A guard that nobody can ask, or that tells of no drops, is a guard all the same.
  ensure_socket();
  for (const auto& problem : history_.problems())
    log_.about(LogEvent::problem).error("{}", problem);
  for (const auto& problem : events_.problems()) log_.about(LogEvent::problem).error("{}", problem);
  recall_problems();
  ensure_metrics();
  resume_trial();
  set_problem(Step::drops, drops_.start(path_->drops()), "drops cannot be shown");
  return arm_sources();
}

Result<> Daemon::arm_timers() {
  struct Wanted {
    EventLoop::Timer& timer;
    Result<EventLoop::Timer> made;
  };
  const auto turn_now = [this] { turn({}, noticed_.value_or(WallClock::now())); };
  const auto on_sample = [this] {
    sample();
    on_time_passed("the clock is believed anew");
  };
  const auto on_expiry = [this] { on_time_passed("rules have expired"); };
  std::array wanted = {
      Wanted{settle_timer_, loop_.timer([this] { on_settled(); })},
      Wanted{retry_timer_, loop_.timer(turn_now)},
      Wanted{reconcile_timer_, loop_.timer([this] { reconcile(); })},
      Wanted{sample_timer_, loop_.timer(on_sample)},
      Wanted{api_timer_, loop_.timer([this] { run_api(); })},
      Wanted{metrics_timer_, loop_.timer([this] { run_metrics_api(); })},
      Wanted{exit_timer_, loop_.timer([this] { loop_.stop(); })},
      Wanted{trial_timer_, loop_.boot_timer([this] { std::ignore = on_trial_lapsed(); })},
      Wanted{overdue_timer_, loop_.wall_timer([this] { check_overdue(); })},
      Wanted{expiry_timer_, loop_.wall_timer(on_expiry)},
  };
  for (auto& [timer, made] : wanted) {
    if (!made) return std::unexpected(made.error());
    timer = std::move(*made);
  }
  return {};
}

Result<> Daemon::arm_sources() {
  const auto end = [this] { loop_.stop(); };
  const auto on_clock = [this] {
    clock_->drain();
    on_time_passed("the clock was set");
  };
  std::vector<Result<EventLoop::Source>> made;
  made.push_back(loop_.on_signal(SIGTERM, end));
  made.push_back(loop_.on_signal(SIGINT, end));
  made.push_back(loop_.on_signal(SIGHUP, [this] { reload_on_signal(); }));
  made.push_back(loop_.on_readable(links_->fd(), [this] { on_links_changed(); }));
  made.push_back(loop_.on_readable(clock_->fd(), on_clock));
  if (path_->fd() >= 0) {
    made.push_back(loop_.on_readable(path_->fd(), [this] {
      if (path_->attend()) on_fast_path_changed();
    }));
  }
  if (watch_.fd() >= 0) {  // without, reconcile makes up for it
    made.push_back(loop_.on_readable(watch_.fd(), [this] { on_files_changed(); }));
  }
  for (auto& source : made) {
    if (!source) return std::unexpected(source.error());
    sources_.push_back(std::move(*source));
  }
  return {};
}

Result<> Daemon::run() {
  tell(event_kind::start, fmt::format("moatd {} has started: {}", MOAT_VERSION, path_->adoption()));
  // What nobody has confirmed in time is not enforced once more.
  const bool has_undone = has_lapsed_trial() && on_trial_lapsed();
  if (!has_undone) turn({"start", "", ""}, WallClock::now());
  remove_edit_leftovers(scanner_.files());
  reconcile_timer_.set_after(settings_.config().reconcile);
  sample();
  run_api();
  run_metrics_api();
  auto ended = loop_.run();
  if (!is_detached_) {
    (void)publisher_.sample();  // for the state; without, it has those of a second ago
    save();
    if (const auto unpinned = problem(Step::pins); unpinned.empty()) {
      log_.about(LogEvent::stopped)
          .info("moatd ends; generation {} stays enforced", publisher_.generation());
      tell(event_kind::stop,
           fmt::format("moatd ends; generation {} stays enforced", publisher_.generation()));
    } else {
      log_.about(LogEvent::detached).error("moatd ends, and the guard with it: {}", unpinned);
      tell(event_kind::detach, "moatd ends, and the guard with it");
    }
  }
  return ended;
}

}  // namespace moat
