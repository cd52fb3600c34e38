// SPDX-License-Identifier: BSD-2-Clause
// moatd: waits for what can happen, and has the parts do what is due.
//
//   inotify --> settle --+
//   API, SIGHUP, retry --+--> turn: scan -> enforce -> interfaces, backstop -> end sessions -> save
//   reconcile -----------+
//   clock, expiry -----------> renew
//   rtnetlink ---------------> interfaces
//   ring buffer -------------> drops
//   fast path ---------------> a turn, if it has what it had not
//
// The start is a turn like any other; so a restart changes nothing that need not change.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/api/server.h"
#include "control/daemon/drop_watch.h"
#include "control/daemon/preview.h"
#include "control/daemon/report.h"
#include "control/daemon/rule_edits.h"
#include "control/enforce/enforcer.h"
#include "control/enforce/file_scanner.h"
#include "control/enforce/interfaces.h"
#include "control/files/settings.h"
#include "control/history/events.h"
#include "control/history/history.h"
#include "control/history/trial.h"
#include "control/os/clock.h"
#include "control/os/event_loop.h"
#include "control/os/file_stamp.h"
#include "control/os/file_watch.h"
#include "control/os/paths.h"
#include "control/service/service.h"
#include "control/state/state.h"
#include "dataplane/backend.h"
#include "dataplane/fd.h"
#include "dataplane/host/netlink.h"

namespace moat {

class Log;

struct DaemonPaths {
  std::string config{paths::config};
  std::string bpffs{paths::bpffs};
  std::string state{paths::state};
  std::string socket{paths::socket};
};

// Why a turn is taken for somebody who asked.
[[nodiscard]] Cause cause_of(std::string what, const Peer& peer);

class Daemon final : public Service {
 public:
  // Everything up to the first turn: settings read, state locked and loaded as far as it can be,
  // the packet path opened and what is live in it adopted. Errors: what no guard can do without, or
  // another moatd that has the state or the pins.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(const DaemonPaths& paths,
                                                             const OpenPath& open_path, Log& log);
  ~Daemon() override;

  // Until a signal or detach() ends it. What is enforced stays enforced, but for detach().
  [[nodiscard]] Result<> run();

  StatusView status() override;
  ServiceResult<std::vector<DatabaseView>> databases() override;
  ServiceResult<std::vector<RuleView>> rules(const std::string& database) override;
  ServiceResult<std::vector<ManagedRangeView>> managed_ranges() override;
  ServiceResult<ManagedRangeView> managed_range(const std::string& id) override;
  ServiceResult<std::vector<WhyView>> why(const std::string& source,
                                          const std::string& database) override;
  ServiceResult<std::vector<NetPeeringView>> net_peerings(const std::string& database) override;
  ServiceResult<std::vector<NetworkView>> network(const std::string& database) override;
  ServiceResult<EndpointsView> endpoints(const std::string& database) override;
  ServiceResult<CountersView> counters(const std::string& database) override;
  ServiceResult<DropsView> drops(const std::string& database, std::uint64_t since) override;
  ServiceResult<std::vector<SessionView>> sessions(const std::string& database) override;
  ServiceResult<ChangeView> add_rule(const NewRule& rule, const Peer& peer) override;
  ServiceResult<ChangeView> set_rule(const RuleName& rule, const RuleChange& change,
                                     const Peer& peer) override;
  ServiceResult<ChangeView> remove_rule(const RuleName& rule, const Peer& peer) override;
  ServiceResult<ChangeView> add_net_peering(const NewNetPeering& peering,
                                            const Peer& peer) override;
  ServiceResult<ChangeView> remove_net_peering(const NetPeeringName& peering,
                                               const Peer& peer) override;
  ServiceResult<ChangeView> set_mode(const std::string& database, Mode mode,
                                     const Peer& peer) override;
  ServiceResult<ChangeView> accept_range(const std::string& id, const AcceptedVersion& version,
                                         const Peer& peer) override;
  ServiceResult<RefreshView> refresh_range(const std::string& id, const Peer& peer) override;
  ServiceResult<ChangeView> forget(const std::string& database, const Peer& peer) override;
  ServiceResult<std::string> version(const std::string& database) override;
  ServiceResult<EventsView> events(std::uint64_t since) override;
  ServiceResult<std::vector<HistoryView>> history() override;
  ServiceResult<HistoryView> generation(std::uint64_t generation) override;
  ServiceResult<ChangeView> reload(const Peer& peer) override;
  ServiceResult<ChangeView> roll_back(std::uint64_t generation, const Peer& peer) override;
  ServiceResult<ChangeView> apply(const NewFiles& files, const Peer& peer) override;
  ServiceResult<TrialView> begin_trial(std::chrono::milliseconds within, bool is_everybodys,
                                       const Peer& peer) override;
  ServiceResult<TrialView> confirm(const Peer& peer) override;
  ServiceResult<ChangeView> undo(const Peer& peer) override;
  ServiceResult<ChangeView> reset_clock(const Peer& peer) override;
  ServiceResult<ChangeView> detach(const Peer& peer) override;

 private:
  using WallClock = std::chrono::system_clock;
  using Steady = std::chrono::steady_clock;

  // What may fail while the daemon goes on, worst first.
  enum class Step {
    table,
    pins,
    socket,
    metrics,
    fast_path,
    save,
    trial,
    end_sessions,
    history,
    events,
    sample,
    drops
  };

  Daemon(Log& log, DaemonPaths paths, Settings settings, StateStore store,
         std::unique_ptr<PacketPath> path, LoadedState loaded, KernelClocks clocks, EventLoop loop);

  [[nodiscard]] Result<> arm();
  [[nodiscard]] Result<> arm_sources();
  [[nodiscard]] Result<> arm_timers();
  void ensure_socket();
  [[nodiscard]] Result<> listen();
  void admit_peers();
  void ensure_metrics();
  [[nodiscard]] Result<> listen_for_metrics(const std::string& address);

  // turns.cpp: what is done when something has happened
  // `is_asked_for`: somebody says that the files are whole.
  ApplyResult turn(const Cause& cause, WallClock::time_point noticed, bool is_asked_for = false);
  void scan(WallClock::time_point noticed, bool is_asked_for = false);
  ApplyResult enforce(const Cause& cause);
  ApplyResult renew(const std::string& why, bool forced);
  void finish();
  void end_state_problems();
  void set_problem(Step step, const Result<>& result, const char* what);
  [[nodiscard]] std::string problem(Step step) const;
  [[nodiscard]] static std::string_view code_of(Step step);
  void note_mend(const std::string& what);
  void ensure_table();
  void republish(const std::string& wrong);
  void ensure_guards();
  bool ensure_backstop();
  void log_part(std::string_view where, const BackstopStatus::Part& part);
  void ensure_pins();
  void note_fast_path();
  void log_trusted();
  void end_sessions();
  void note_ended(const std::vector<Session>& sessions);
  void reconcile();
  void sample();
  void save();
  void rearm();
  void retry_later();
  void check_overdue();
  [[nodiscard]] std::string why_not_enforced() const;
  void tell_ready();
  void tell_service_manager(bool is_ready);

  void on_files_changed();
  void on_settled();
  void on_links_changed();
  void on_fast_path_changed();
  void on_time_passed(const char* why);
  void observe_clock();
  void run_api();
  void run_metrics_api();
  void reload_on_signal();

  // journal.cpp: what has happened
  void tell(std::string_view kind, std::string message, std::string subject = {},
            std::string author = {}, std::string code = {});
  void keep_events();
  [[nodiscard]] std::string in_force() const;
  void tell_change(const ApplyResult& applied, std::string_view kind);
  void tell_written(const ApplyResult& applied);
  // Of moat.yaml, which may have changed with something else: before record().
  void note_settings(const Cause& cause, ApplyResult& applied);
  // The host's mode, and with it that of databases without their own, is moat.yaml's.
  void tell_modes(const std::string& author, const std::string& settings_author);
  void tell_interfaces();
  void recall_problems();
  void tell_problems(const StatusView& status);
  void look_for_problems();

  // requests.cpp: what others ask for
  [[nodiscard]] ServiceResult<void> begin_change();
  [[nodiscard]] std::set<std::string> closed_databases() const;
  [[nodiscard]] ServiceResult<void> begin_edit(const std::string& database, const Peer& peer);
  [[nodiscard]] EditBasis edit_basis() const;
  [[nodiscard]] Faults faults_of(const std::string& path) const;
  [[nodiscard]] ServiceResult<ChangeView> carry_out(const ServiceResult<Edit>& edit,
                                                    const char* what, const Peer& peer,
                                                    Steady::time_point begun);
  [[nodiscard]] ServiceResult<ChangeView> edit(
      const std::string& database, const char* what, const Peer& peer,
      const std::function<ServiceResult<Edit>(const EditBasis&)>& plan);
  [[nodiscard]] ServiceResult<ChangeView> leave_range(const std::string& id,
                                                      const std::string& digest, const Peer& peer,
                                                      Steady::time_point begun);
  [[nodiscard]] ChangeView change_view(const ApplyResult& applied, Steady::time_point begun);
  [[nodiscard]] StatusView::Backstop backstop_view() const;
  [[nodiscard]] DaemonFacts facts() const;
  void add_notices(std::vector<Problem>& notices) const;
  [[nodiscard]] std::string version_of(const std::string& database) const;
  [[nodiscard]] ServiceResult<void> check_version(const std::string& database,
                                                  const Peer& peer) const;
  void read_all_drops();

  // dry_runs.cpp: what a change would do
  [[nodiscard]] std::string basis() const;
  [[nodiscard]] ServiceResult<void> check_basis(const Peer& peer) const;
  [[nodiscard]] ServiceResult<ChangeView> preview(const PlannedChange& planned);

  // generations.cpp: what was enforced before, and what waits to be confirmed
  [[nodiscard]] std::vector<FileText> enforced_files() const;
  void record(const ApplyResult& applied, std::string_view kind = event_kind::change);
  void keep_history();
  [[nodiscard]] ServiceResult<HistoryEntry> find_generation(std::uint64_t generation) const;
  [[nodiscard]] ServiceResult<void> write_all_or_none(const std::vector<Edit>& edits,
                                                      const Peer& peer);
  [[nodiscard]] ServiceResult<ChangeView> rewrite(const FileEdits& plan, const std::string& what,
                                                  const Peer& peer, Steady::time_point begun);
  [[nodiscard]] Result<Trial> make_trial(std::chrono::milliseconds within, const Peer& peer) const;
  [[nodiscard]] TrialView trial_view(const Trial& trial) const;
  [[nodiscard]] ServiceResult<void> check_trial(const Peer& peer) const;
  void resume_trial();
  [[nodiscard]] bool has_lapsed_trial() const;
  bool on_trial_lapsed();
  [[nodiscard]] Result<ApplyResult> undo_trial(const Cause& cause);

  Log& log_;
  DaemonPaths paths_;
  std::string boot_;
  Settings settings_;
  StateStore store_;
  History history_;
  std::deque<HistoryEntry> unkept_;  // that it had no room for, the oldest first
  EventJournal events_;
  TrialStore trials_;
  std::optional<Trial> trial_;  // under way
  std::unique_ptr<PacketPath> path_;
  std::vector<std::string> state_problems_;
  Publisher publisher_;
  Watch watch_;
  FileScanner scanner_;
  Enforcer enforcer_;
  Interfaces interfaces_;

  EventLoop loop_;
  DropWatch drops_;
  Views views_;
  std::optional<LinkMonitor> links_;
  std::optional<ClockWatch> clock_;
  std::unique_ptr<Api> api_;      // none where no socket could be made
  std::optional<FileId> socket_;  // by which it is reached
  EventLoop::Source api_source_;
  std::unique_ptr<Api> metrics_api_;  // where moat.yaml has an address for it
  std::string metrics_address_;       // that it listens at
  EventLoop::Source metrics_source_;
  std::vector<EventLoop::Source> sources_;
  EventLoop::Timer settle_timer_;
  EventLoop::Timer retry_timer_;
  EventLoop::Timer reconcile_timer_;
  EventLoop::Timer sample_timer_;
  EventLoop::Timer overdue_timer_;
  EventLoop::Timer expiry_timer_;
  EventLoop::Timer api_timer_;
  EventLoop::Timer metrics_timer_;
  EventLoop::Timer exit_timer_;
  EventLoop::Timer trial_timer_;

  WallClock::time_point since_ = WallClock::now();
  std::optional<WallClock::time_point> noticed_;  // the first change that waits for settling
  Steady::time_point patience_ends_;              // and by when it is dealt with
  std::chrono::milliseconds retry_delay_{0};
  BackstopStatus backstop_ = BackstopStatus::off("nothing is enforced yet");
  std::set<std::string> removed_interfaces_;
  struct Mend {
    WallClock::time_point latest;
    unsigned times = 0;
  };
  std::map<std::string, Mend> mends_;                                   // by what had been undone
  std::map<std::pair<std::string, std::string>, std::uint64_t> ended_;  // by peer and database
  Steady::time_point ended_since_{};                                    // the first of these
  std::set<std::string> closed_before_;  // before the change under way: see closed_databases()
  std::map<Step, Error> problems_;       // of the steps that failed the last time
  std::optional<std::map<std::string, Mode>> modes_;  // as last told; "": the host's
  std::optional<Config> settings_told_;               // as last told; nothing: those of the start
  std::optional<std::map<std::string, std::string>> links_told_;              // state by interface
  std::map<std::pair<std::string, std::string>, std::string> problems_told_;  // by code and subject
  Steady::time_point last_save_;
  ExpiryClock::Course clock_course_ = ExpiryClock::Course::believed;  // as last logged
  bool has_guards_ = false;  // interfaces and backstop were seen to, once at least
  bool is_ready_ = false;
  bool has_told_ready_ = false;                // or that it is not
  bool has_started_ = false;                   // as the service manager was told
  std::vector<std::string> trusted_ = {"lo"};  // interfaces, as last logged
  bool is_detached_ = false;
};

}  // namespace moat
