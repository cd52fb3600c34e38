// SPDX-License-Identifier: BSD-2-Clause
// Puts the two halves together: the supply of managed ranges, then the databases that name them,
// then the limit that both share; where that holds a file back, both once more.
#include "control/resolve/resolve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "control/policy/endpoint.h"
#include "control/resolve/claims.h"
#include "control/resolve/expectations.h"
#include "control/resolve/placeholders.h"
#include "control/resolve/prefix_budget.h"
#include "control/resolve/ranges.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

class Resolver {
 public:
  Resolver(const RuleFiles& files, const EnforcedState* last,
           const std::set<std::string>& forgotten, const ResolveTime& time,
           const RangeUpdates& updates)
      : files_(files),
        last_(last),
        time_(time),
        updates_(updates),
        last_databases_(last, forgotten) {}

  // `held`: files to hold back, and why.
  Resolution run(Mode host_mode, std::map<std::string, Fault> held) {
    do {
      ranges_ = resolve_ranges(files_, last_, held, updates_);
      claims_.emplace(files_, ranges_, last_databases_);
      for (auto& claim : claims_->claims()) {
        const auto why = held.find(claim.file->path);
        if (why != held.end() && !claim.is_held) claim.hold(why->second);
      }
    } while (!settle(held));
    result_.state.policy.mode = host_mode;
    add_databases();
    add_ranges();
    add_held_down();
    add_claim_statuses();
    add_absent_databases();
    add_folder(files_.databases_folder, last_ == nullptr);
    add_folder(files_.ranges_folder, false);
    std::ranges::move(ranges_.files, std::back_inserter(result_.files));
    result_.held_versions = std::move(ranges_.held_versions);
    std::ranges::stable_sort(result_.files, {},
                             [](const FileStatus& file) { return std::tie(file.path, file.id); });
    result_.state.rivals = claims_->rivals();
    for (const auto& [path, ids] : ranges_.rivals)
      result_.state.rivals[path].insert(ids.begin(), ids.end());
    return std::move(result_);
  }

 private:
  // False if a file of managed ranges is to be held back, which is then in `held`.
  bool settle(std::map<std::string, Fault>& held) {
    for (;;) {
      claims_->settle();
      const auto in_force = claims_->in_force();
      const auto overrun = find_overrun(in_force, ranges_, last_);
      std::optional<Breach> breach;
      if (overrun && overrun->growth != 0) {
        breach = {overrun->file, {over_limit_fault(*overrun)}};
      } else {
        breach = find_breach(in_force, ranges_.ranges, last_, time_.now);
      }
      if (!breach) return true;
      auto* claim = find_file(claims_->claims(), breach->file);
      if (claim != nullptr) {
        if (claim->is_held) return true;
        for (auto& fault : breach->faults) claim->hold(std::move(fault));
      } else {
        return !held.emplace(breach->file, std::move(breach->faults.front())).second;
      }
    }
  }

  Fault over_limit_fault(const PrefixOverrun& overrun) const {
    std::string remedy = "merge CIDRs into shorter prefixes, or name fewer managed ranges";
    if (const auto* range = overrun.largest) {
      remedy += fmt::format("; the largest is {} of {}, with {} CIDRs", range->id,
                            range->place.file, range->cidrs->size());
    }
    const auto growth = std::to_string(overrun.growth);
    return {Severity::error,
            {overrun.file, 0, 0},
            fmt::format("with this file there are {} prefixes in all, and {} are the most",
                        overrun.prefixes, limits::prefixes),
            growth + (last_ == nullptr ? " of them by it and the managed ranges that it names"
                                       : " more than before"),
            std::move(remedy)};
  }

  void add_databases() {
    const auto in_force = claims_->in_force();
    for (const auto& entry : in_force) result_.state.policy.databases.push_back(*entry.second);
    auto placeholders =
        place_placeholders(wanted_placeholders(claims_->claims(), last_databases_), in_force);
    std::ranges::move(placeholders.databases, std::back_inserter(result_.state.policy.databases));
    std::ranges::sort(result_.state.policy.databases, {}, &Database::id);
    result_.state.placeholders.assign(placeholders.wishes.begin(), placeholders.wishes.end());
    open_files_ = std::move(placeholders.open_files);
    result_.not_guarded = !open_files_.empty();
    for (const auto& claim : claims_->claims()) {
      if (!claim.id.empty()) result_.state.database_of_file[claim.file->path] = claim.id;
    }
    for (const auto& entry : last_databases_.of_file) {
      if (last_databases_.holds(entry.second)) result_.state.database_of_file.insert(entry);
    }
  }

  // All that files name, and of the withdrawn ones those that rules name.
  void add_ranges() {
    for (const auto& database : result_.state.policy.databases) {
      for (const auto& rule : database.rules) {
        if (!ranges_.withdrawn.contains(rule.managed_range)) continue;
        result_.withdrawn.insert(rule.managed_range);
      }
    }
    for (auto& [id, range] : ranges_.ranges) {
      if (ranges_.withdrawn.contains(id) && !result_.withdrawn.contains(id)) continue;
      result_.state.policy.ranges.emplace(id, range);
    }
    std::map<std::string, std::vector<std::string>> by_file;
    for (const auto& id : result_.withdrawn) {
      by_file[result_.state.policy.ranges.at(id).place.file].push_back(id);
    }
    for (const auto& [path, ids] : by_file) report_withdrawn(path, ids);
  }

  // What the ranges were and what has left them since. Over the limit on prefixes what is listed
  // comes first.
  void add_held_down() {
    auto& state = result_.state;
    const auto named = named_ranges(state.policy);
    const auto were_named = last_ ? named_ranges(last_->policy) : decltype(named)();
    std::size_t count = 0;
    for (auto& [id, range] : state.policy.ranges) {
      auto& history = state.range_histories[id];
      const auto* last = last_ ? find_last(id, history) : nullptr;
      if (last == nullptr) {
        history = {.changed = time_.now, .since = time_.now};
        continue;
      }
      if (history.since == WallTime{}) history.since = time_.now;
      hold_down(*last, range, named.contains(id) && were_named.contains(id), updates_, time_,
                history);
      count += count_held_down(range);
    }
    if (count == 0) return;
    if (count + count_prefixes(claims_->in_force(), ranges_) > limits::prefixes)
      drop_held_down(result_);
  }

  const ManagedRange* find_last(const std::string& id, RangeHistory& history) const {
    const auto before = last_->range_histories.find(id);
    if (before != last_->range_histories.end()) history = before->second;
    const auto range = last_->policy.ranges.find(id);
    return range == last_->policy.ranges.end() ? nullptr : &range->second;
  }

  void report_withdrawn(const std::string& path, const std::vector<std::string>& ids) {
    Fault fault{Severity::warning,
                {path, 0, 0},
                "named by rules but by no file any more, and kept as last enforced",
                fmt::format("{}", fmt::join(ids, ", ")),
                "bring the managed range back, or take it out of the rules"};
    if (is_elsewhere(path, files_.folders.ranges)) {
      fault.message = fmt::format(
          "`managed-ranges` of moat.yaml names another folder now, {}, where no file has what "
          "rules name; it is kept as last enforced",
          files_.folders.ranges);
      fault.remedy =
          "move the file there, name its folder in moat.yaml again, or take the managed "
          "range out of the rules";
    }
    const auto file = std::ranges::find(ranges_.files, path, &FileStatus::path);
    if (file != ranges_.files.end()) {
      file->faults.push_back(std::move(fault));
    } else {
      result_.files.push_back({path, "", FileState::vanished, {std::move(fault)}});
    }
  }

  void add_claim_statuses() {
    for (auto& claim : claims_->claims()) {
      auto state = claim.is_held ? FileState::held_back : FileState::active;
      if (claim.is_held && open_files_.contains(claim.file->path)) state = FileState::not_guarded;
      if (const auto* fresh = claim.fresh()) {
        warn_of_withdrawn(*fresh, claim.faults);
        warn_of_peerings(*fresh, claim.faults);
        warn_of_precedence(*fresh, claim.faults);
        warn_of_ends(result_.state.policy, *fresh, time_.now, claim.faults);
      }
      result_.files.push_back({claim.file->path, claim.id, state, std::move(claim.faults)});
    }
  }

  // At its address a database comes before those that guard the port on all addresses, and their
  // rules do not count there.
  void warn_of_precedence(const Database& database, Faults& faults) const {
    const auto& policy = result_.state.policy;
    const bool enforces = policy.mode_of(database) == Mode::enforce;
    for (const auto& other : policy.databases) {
      const auto ports = ports_taken(database.endpoint, other.endpoint);
      if (other.id == database.id || ports.empty()) continue;
      if (!enforces && policy.mode_of(other) == Mode::monitor) continue;
      const auto address = format_address(*database.endpoint.address);
      faults.push_back(
          {Severity::warning, database.place,
           enforces
               ? fmt::format("database {} has the address {}: at its ports there its rules decide, "
                             "and those of database {} do not count",
                             database.id, address, other.id)
               : fmt::format("database {} is in monitor mode and has the address {}: what database "
                             "{} drops at its ports there passes",
                             database.id, address, other.id),
           fmt::format("{}", fmt::join(ports, ", ")),
           enforces
               ? fmt::format("if that is not meant, write another port in {}, or leave "
                             "`address` out",
                             database.place.file)
               : fmt::format("write `mode: enforce` in {}, or another port", database.place.file)});
    }
  }

  // Rules that have expired count: that they have is a warning of its own.
  void warn_of_peerings(const Database& database, Faults& faults) const {
    for (const auto& peering : database.peerings) {
      if (find_admitting(result_.state.policy, database, peering, WallTime::min())) continue;
      faults.push_back({Severity::warning, peering.place,
                        "this net peering admits nobody: no rule lets it in", peering.id,
                        fmt::format("add a rule: moat rules add --database {} --net-peering {}",
                                    database.id, peering.id)});
    }
  }

  void warn_of_withdrawn(const Database& database, Faults& faults) const {
    for (const auto& rule : database.rules) {
      if (!result_.withdrawn.contains(rule.managed_range)) continue;
      const auto& range = result_.state.policy.ranges.at(rule.managed_range);
      faults.push_back({Severity::warning, rule.place,
                        fmt::format("no file names this managed range any more: its last {} CIDRs "
                                    "stay allowed",
                                    range.cidrs->size()),
                        rule.managed_range, "take out the rule, or name another range"});
    }
  }

  // What is in force and no file speaks of.
  void add_absent_databases() {
    std::set<std::string> spoken_for;
    for (const auto& claim : claims_->claims()) spoken_for.insert(claim.id);
    for (const auto& [id, database] : last_databases_.enforced) {
      if (spoken_for.insert(id).second)
        add_absent(id, database->place.file, "it stays as last enforced");
    }
    for (const auto& placeholder : result_.state.placeholders) {
      if (find_file(claims_->claims(), placeholder.file) != nullptr ||
          !spoken_for.insert(placeholder.base).second)
        continue;
      add_absent(placeholder.base, placeholder.file, "it is guarded and nobody allowed");
    }
  }

  void add_absent(const std::string& id, const std::string& path, std::string_view what_holds) {
    FileStatus status{path, id, FileState::held_back, {}};
    if (!files_.databases_folder) {
      status.state = FileState::vanished;
      const bool has_moved = is_elsewhere(path, files_.folders.databases);
      status.faults.push_back(
          {Severity::warning,
           {path, 0, 0},
           has_moved ? fmt::format("`databases` of moat.yaml names another folder now, {}, where "
                                   "no file names this database; {}",
                                   files_.folders.databases, what_holds)
                     : fmt::format("no file names this database any more; {}", what_holds),
           id,
           fmt::format("{}, or end the guard with moat databases forget {}",
                       has_moved ? "move the file there, name its folder in moat.yaml again"
                                 : "bring the file back",
                       id)});
    }
    result_.files.push_back(std::move(status));
  }

  void add_folder(const std::optional<Fault>& fault, bool leaves_open) {
    if (!fault) return;
    result_.not_guarded |= leaves_open;
    result_.files.push_back({fault->place.file,
                             "",
                             leaves_open ? FileState::not_guarded : FileState::held_back,
                             {*fault}});
  }

  const RuleFiles& files_;
  const EnforcedState* last_;
  const ResolveTime& time_;
  const RangeUpdates& updates_;
  LastDatabases last_databases_;
  ResolvedRanges ranges_;
  std::optional<DatabaseClaims> claims_;
  std::set<std::string> open_files_;
  Resolution result_;
};

}  // namespace

Resolution resolve(const RuleFiles& files, Mode host_mode, const EnforcedState* last,
                   const std::set<std::string>& forgotten, const std::map<std::string, Fault>& held,
                   const ResolveTime& time, const RangeUpdates& updates) {
  return Resolver(files, last, forgotten, time, updates).run(host_mode, held);
}

bool drop_held_down(Resolution& resolution) {
  auto& state = resolution.state;
  bool had_any = false;
  for (auto& [id, range] : state.policy.ranges) {
    const auto count = count_held_down(range);
    range.held_down.clear();
    if (count == 0) continue;
    had_any = true;
    resolution.not_held[id] = count;
    state.range_histories[id].not_held = count;
  }
  return had_any;
}

}  // namespace moat
