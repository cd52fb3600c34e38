// SPDX-License-Identifier: BSD-2-Clause
// What was enforced before, and changes that are undone unless somebody confirms them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <ranges>
#include <tuple>

#include "control/daemon/daemon.h"
#include "control/daemon/refuse.h"
#include "control/files/agent_files.h"
#include "control/os/log.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

using namespace std::chrono_literals;
using Kind = Refusal::Kind;

constexpr std::chrono::microseconds undo_retry = 5s;
constexpr std::size_t max_unkept = 100;  // generations that wait for room in the history

std::unexpected<Refusal> refuse(const Error& error) {
  return refuse(Kind::unavailable, error.message, error.remedy);
}

// Not to be guessed by who should leave somebody else's change alone.
std::string make_trial_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

HistoryView view_of(const HistoryEntry& entry) {
  HistoryView view{entry, {}};
  for (const auto& file : entry.files)
    view.files.push_back({file.path, file.bytes ? *file.bytes : ""});
  return view;
}

std::chrono::seconds whole_seconds(std::chrono::nanoseconds time) {
  return std::chrono::ceil<std::chrono::seconds>(time);
}

}  // namespace

// ---- What was enforced ----

// Of a file that is held back, or gone, what it said when that was last enforced.
std::vector<FileText> Daemon::enforced_files() const {
  const auto last_kept = [this] {
    if (!unkept_.empty()) return unkept_.back().files;
    auto before = history_.latest();
    return before && *before ? std::move((*before)->files) : std::vector<FileText>();
  };
  const auto& resolution = enforcer_.resolution();
  if (!resolution) return last_kept();
  std::vector<FileText> files;
  std::optional<std::vector<FileText>> then;  // read from disk only where it is needed
  for (const auto& status : resolution->files) {
    if (status.id.empty()) continue;  // managed ranges are their provider's
    const auto& now = scanner_.files().databases;
    const auto file = std::ranges::find(now, status.path, &DatabaseFile::path);
    if (status.state == FileState::active && file != now.end() && file->bytes) {
      files.push_back({status.path, file->bytes});
    } else {
      if (!then) then = last_kept();
      const auto old = std::ranges::find(*then, status.path, &FileText::path);
      if (old != then->end()) files.push_back(*old);
    }
  }
  return files;
}

void Daemon::record(const ApplyResult& applied, std::string_view kind) {
  if (!applied.committed) return;
  tell_change(applied, kind);
  const auto& cause = applied.cause;
  unkept_.push_back(
      {{applied.generation, WallClock::now(), cause.what, cause.who, cause.command, applied.change},
       enforced_files()});
  keep_history();
}

// What there was no room for is kept once there is.
void Daemon::keep_history() {
  Result<> kept;
  while (kept && !unkept_.empty()) {
    kept = history_.add(unkept_.front());
    if (kept) unkept_.pop_front();
  }
  if (unkept_.size() > max_unkept) unkept_.pop_front();
  set_problem(Step::history, kept, "the history lacks what is enforced");
}

ServiceResult<std::vector<HistoryView>> Daemon::history() {
  std::vector<HistoryView> views;
  for (const auto& entry : std::views::reverse(unkept_)) {
    views.push_back(view_of(entry));
    for (auto& file : views.back().files) file.text.clear();
  }
  for (const auto& entry : history_.list()) views.push_back(view_of(entry));
  return views;
}

ServiceResult<HistoryEntry> Daemon::find_generation(std::uint64_t generation) const {
  const auto unkept = std::ranges::find(unkept_, generation, &HistoryEntry::generation);
  if (unkept != unkept_.end()) return *unkept;
  auto entry = history_.find(generation);
  if (!entry) return refuse(entry.error());
  if (!*entry) {
    return refuse(Kind::not_found, fmt::format("generation {} is not in the history", generation),
                  "moat history lists those that are");
  }
  return std::move(**entry);
}

ServiceResult<HistoryView> Daemon::generation(std::uint64_t generation) {
  const auto entry = find_generation(generation);
  if (!entry) return std::unexpected(entry.error());
  return view_of(*entry);
}

// ---- Changes of several files ----

// Should moatd die meanwhile, the next one takes back what was written.
ServiceResult<void> Daemon::write_all_or_none(const std::vector<Edit>& edits, const Peer& peer) {
  if (edits.size() < 2) return write_edits(edits);
  auto marker = trial_ ? Result<Trial>(*trial_) : make_trial({}, peer);
  if (!marker) return refuse(marker.error());
  marker->ends = {};
  if (auto marked = trials_.save(*marker); !marked) return refuse(marked.error());
  auto written = write_edits(edits);
  const auto unmarked = trial_ ? trials_.save(*trial_) : trials_.remove();
  set_problem(Step::trial, unmarked, "this change may be undone at a restart");
  return written;
}

ServiceResult<ChangeView> Daemon::rewrite(const FileEdits& plan, const std::string& what,
                                          const Peer& peer, Steady::time_point begun) {
  const std::string unchanged = plan.edits.empty() ? "the host's files say all of it already" : "";
  if (peer.is_dry_run) {
    auto view = preview({plan.edits, plan.warnings});
    if (view) view->unchanged = unchanged;
    return view;
  }
  const auto noticed = WallClock::now();
  if (auto written = write_all_or_none(plan.edits, peer); !written)
    return std::unexpected(written.error());
  const bool sets_up =
      std::ranges::find(plan.edits, settings_.path(), &Edit::path) != plan.edits.end();
  const auto applied = turn(cause_of(what, peer), noticed, true);
  if (!plan.edits.empty()) tell_written(applied);
  auto view = change_view(applied, begun);
  view.unchanged = unchanged;
  if (sets_up) {
    ensure_guards();
    tell_ready();
  }
  view.path = plan.edits.size() == 1 ? plan.edits.front().path : settings_.folders().databases;
  view.warnings = plan.warnings;
  return view;
}

ServiceResult<ChangeView> Daemon::roll_back(std::uint64_t generation, const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_edit("", peer); !may) return std::unexpected(std::move(may.error()));
  const auto entry = find_generation(generation);
  if (!entry) return std::unexpected(entry.error());
  WantedFiles wanted;
  const auto folder = settings_.folders().databases;
  for (const auto& file : entry->files) {
    if (is_agents(*file.bytes)) continue;  // they come and go by the agent
    if (std::filesystem::path(file.path).parent_path() != std::filesystem::path(folder)) {
      return refuse(Kind::conflict,
                    fmt::format("{} is of another folder than moat.yaml names now", file.path),
                    fmt::format("moat history {} shows what it said", generation));
    }
    wanted.texts[file.path] = *file.bytes;
  }
  const auto plan = plan_files(edit_basis(), wanted);
  if (!plan) return std::unexpected(plan.error());
  if (plan->edits.empty()) {
    return refuse(
        Kind::conflict,
        fmt::format("the database files say what they said in generation {} already", generation),
        "moat history tells what changed since");
  }
  return rewrite(*plan, fmt::format("rolled back to generation {}", generation), peer, begun);
}

ServiceResult<ChangeView> Daemon::apply(const NewFiles& files, const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_edit("", peer); !may) return std::unexpected(std::move(may.error()));
  WantedFiles wanted{{}, true};
  for (const auto& [name, text] : files.databases) {
    if (!is_rule_file_name(name) || name.contains('/') || printable(name) != name) {
      return refuse(Kind::invalid, fmt::format("not the name of a database file: \"{}\"", name),
                    "a file's name without its folder, which ends in .yaml or .yml");
    }
    wanted.texts[settings_.folders().databases + "/" + name] = text;
  }
  auto plan = plan_files(edit_basis(), wanted);
  if (!plan) return std::unexpected(plan.error());
  for (const auto& edit : plan->edits) {
    if (edit.what != Edit::What::take_away) continue;
    plan->warnings.push_back(
        {Severity::warning,
         {edit.path, 0, 0},
         "this file goes (it is .NAME.gone beside it now), and its database stays "
         "guarded with its last rules",
         "",
         "to open its ports: moat databases forget"});
  }
  if (files.settings) {
    auto edit = plan_settings(settings_.path(), *files.settings, settings_.config());
    if (!edit) return std::unexpected(edit.error());
    if (*edit) plan->edits.push_back(std::move(**edit));
  }
  return rewrite(*plan, "files applied", peer, begun);
}

// ---- Changes that wait to be confirmed ----

Result<Trial> Daemon::make_trial(std::chrono::milliseconds within, const Peer& peer) const {
  auto files = read_former(settings_.path(), scanner_.files());
  if (!files) return std::unexpected(files.error());
  Trial trial;
  trial.files = std::move(*files);
  trial.author = cause_of("", peer).who;
  trial.generation = publisher_.generation();
  trial.boot = boot_;
  if (within.count() != 0) trial.ends = boot_time() + within;
  trial.folder = settings_.folders().databases;
  if (const auto* enforced = publisher_.enforced())
    for (const auto& database : enforced->policy.databases) trial.databases.push_back(database.id);
  return trial;
}

TrialView Daemon::trial_view(const Trial& trial) const {
  return {"", trial.generation, trial.author, Milliseconds(time_left(trial, boot_))};
}

ServiceResult<void> Daemon::check_trial(const Peer& peer) const {
  const bool is_its_own = trial_ && trial_->id == peer.trial;
  if (!peer.trial.empty() && !is_its_own) {
    return refuse(Kind::conflict, "the time to confirm this change has passed before it was made",
                  "try again, and give it more time");
  }
  if (!trial_ || is_its_own || (trial_->id.empty() && !trial_->is_writing())) return {};
  return refuse(Kind::conflict,
                fmt::format("a change by {} waits to be confirmed, and is undone in {} s",
                            trial_->author, whole_seconds(time_left(*trial_, boot_)).count()),
                "end it first: moat confirm, or moat undo");
}

ServiceResult<TrialView> Daemon::begin_trial(std::chrono::milliseconds within, bool is_everybodys,
                                             const Peer& peer) {
  if (auto may = begin_edit("", {}); !may) return std::unexpected(std::move(may.error()));
  if (trial_) {
    return refuse(Kind::conflict, fmt::format("a change by {} waits already", trial_->author),
                  "end it first: moat confirm, or moat undo");
  }
  if (settings_.is_held_back()) {
    return refuse(Kind::conflict,
                  fmt::format("{} is held back: what is in force of it could not be brought back",
                              settings_.path()),
                  "mend it first: see moat check");
  }
  if (const auto& resolution = enforcer_.resolution()) {
    for (const auto& file : resolution->files) {
      if (file.state == FileState::active) continue;
      return refuse(Kind::conflict,
                    fmt::format("{} is {}: what is enforced of it could not be brought back",
                                file.path, word(file.state)),
                    "mend it first: see moat status");
    }
  }
  auto trial = make_trial(within, peer);
  if (!trial) return refuse(Kind::conflict, trial.error().message, trial.error().remedy);
  if (!is_everybodys) trial->id = make_trial_id();
  if (auto saved = trials_.save(*trial); !saved) return refuse(saved.error());
  log_.about(LogEvent::trial)
      .warn("what {} changes from now on is undone in {} s unless it is confirmed", trial->author,
            whole_seconds(within).count());
  trial_ = std::move(*trial);
  trial_timer_.set_after(within);
  tell(event_kind::trial,
       fmt::format("what is changed from now on is undone in {} s unless it is confirmed",
                   whole_seconds(within).count()),
       "", trial_->author);
  auto view = trial_view(*trial_);
  view.id = trial_->id;
  return view;
}

// What the daemon before this one has left.
void Daemon::resume_trial() {
  auto kept = trials_.load();
  set_problem(Step::trial, kept ? Result<>() : std::unexpected(kept.error()),
              "whether a change waits to be confirmed is not known");
  if (!kept || !*kept) return;
  trial_ = std::move(**kept);
  trial_timer_.set_after(std::chrono::ceil<std::chrono::microseconds>(time_left(*trial_, boot_)));
}

ServiceResult<TrialView> Daemon::confirm(const Peer& peer) {
  if (!trial_) {
    return refuse(Kind::conflict, "no change waits to be confirmed",
                  "moat history tells what was changed and undone");
  }
  if (!peer.trial.empty() && peer.trial != trial_->id)
    return refuse(Kind::conflict, "that change is not the one that waits to be confirmed");
  auto view = trial_view(*trial_);
  if (auto removed = trials_.remove(); !removed) return refuse(removed.error());
  log_.about(LogEvent::trial)
      .info("confirmed by {}: what {} has changed since generation {} stays",
            cause_of("", peer).who, trial_->author, trial_->generation);
  tell(event_kind::confirmed,
       fmt::format("what {} has changed since generation {} stays", trial_->author,
                   trial_->generation),
       "", cause_of("", peer).who);
  trial_.reset();
  trial_timer_.stop();
  return view;
}

ServiceResult<ChangeView> Daemon::undo(const Peer& peer) {
  const auto begun = Steady::now();
  if (auto may = begin_change(); !may) return std::unexpected(std::move(may.error()));
  if (!trial_) {
    return refuse(Kind::conflict, "no change waits to be confirmed",
                  "to go back further: moat rollback");
  }
  auto applied = undo_trial(cause_of("undone", peer));
  if (!applied) return refuse(applied.error());
  return change_view(*applied, begun);
}

bool Daemon::has_lapsed_trial() const {
  return trial_ && time_left(*trial_, boot_) == std::chrono::nanoseconds(0);
}

// Whether it is undone.
bool Daemon::on_trial_lapsed() {
  if (!trial_ || is_detached_) return false;
  const auto* const why = trial_->is_writing() ? "an interrupted change of several files, undone"
                                               : "undone, as nobody confirmed it";
  if (undo_trial({why, "moatd", ""})) return true;
  trial_timer_.set_after(undo_retry);
  return false;
}

Result<ApplyResult> Daemon::undo_trial(const Cause& cause) {
  const auto restored = trials_.restore(*trial_);
  const auto removed = restored.all ? trials_.remove() : restored.all;
  set_problem(Step::trial, removed, "a change that was not confirmed is not undone yet");
  if (!removed) {  // what could be undone is enforced all the same
    if (!restored.paths.empty()) turn(cause, WallClock::now(), true);
    return std::unexpected(removed.error());
  }
  log_.about(LogEvent::trial)
      .warn("{} since generation {}: a change by {}; files as they were before: {}", cause.what,
            trial_->generation, trial_->author, fmt::join(restored.paths, ", "));
  if (const auto* enforced = publisher_.enforced()) {
    for (const auto& database : enforced->policy.databases)
      if (std::ranges::find(trial_->databases, database.id) == trial_->databases.end())
        publisher_.forget(database.id);
  }
  trial_.reset();
  trial_timer_.stop();
  auto applied = turn(cause, WallClock::now(), true);
  ensure_guards();
  tell_ready();
  return applied;
}

}  // namespace moat
