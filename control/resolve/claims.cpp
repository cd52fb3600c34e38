// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "control/policy/endpoint.h"
#include "control/resolve/placeholders.h"
#include "control/text/input_limits.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

// What ends the conflict about `part`, which `id` guards or claims.
std::string remedy_for_overlap(const DatabaseClaim* speaker, std::string_view id,
                               const Endpoint& part) {
  if (speaker == nullptr) {
    return fmt::format("no file names that database: moat databases forget {} opens its ports", id);
  }
  const auto wanted = speaker->endpoint();
  if (wanted && intersect(*wanted, part)) return "take it out of one of the two files";
  return fmt::format("mend {} first: it is held back, and what was last enforced stays",
                     speaker->file->path);
}

}  // namespace

DatabaseClaims::DatabaseClaims(const RuleFiles& files, const ResolvedRanges& supply,
                               const LastDatabases& last)
    : ranges_(supply), last_(last) {
  identify(files);
  hold_shared_ids();
  hold_unknown_ranges();
}

void DatabaseClaims::identify(const RuleFiles& files) {
  for (const auto& file : files.databases) claims_.emplace_back(file);
  // A file that does not tell its id is taken for what it last told, unless some other
  // file says that it speaks for that database.
  for (auto& claim : claims_) {
    if (!claim.id.empty()) continue;
    const auto guess = last_.of_file.find(claim.file->path);
    if (guess != last_.of_file.end() && !is_spoken_for(guess->second)) claim.id = guess->second;
  }
}

bool DatabaseClaims::is_spoken_for(std::string_view id) const {
  return std::ranges::find(claims_, id, &DatabaseClaim::id) != claims_.end();
}

void DatabaseClaims::hold_shared_ids() {
  IdClaims by_id;
  for (auto& claim : claims_) {
    if (claim.id.empty()) continue;
    const auto& [path, reading] = std::tie(claim.file->path, claim.file->reading);
    const auto last = last_.enforced.find(claim.id);
    by_id[claim.id].push_back({&claim, reading.value ? reading.value->place : Place{path, 0, 0},
                               last == last_.enforced.end() ? "" : last->second->place.file});
  }
  rivals_ = hold_same_ids("database", by_id, last_.rivals, paths_of(claims_));
}

void DatabaseClaims::hold_unknown_ranges() {
  std::vector<std::string_view> names;
  for (const auto& [id, range] : ranges_.ranges) names.push_back(id);
  const auto broken = std::ranges::find(ranges_.files, FileState::held_back, &FileStatus::state);
  for (auto& claim : claims_) {
    for (const auto& named : claim.file->reading.named_ranges) {
      if (ranges_.ranges.contains(named.id)) continue;
      const auto near = nearest(named.id, names);
      std::string remedy = "moat managed-ranges list names those there are";
      if (!near.empty()) {
        remedy = fmt::format("did you mean {}?", near);
      } else if (broken != ranges_.files.end()) {
        remedy = fmt::format("perhaps it is in {}, which is held back", broken->path);
      } else if (names.empty()) {
        remedy = "there are no managed ranges";
      }
      claim.hold(
          {Severity::error, named.place, "unknown managed range", named.id, std::move(remedy)});
    }
  }
}

std::map<std::string_view, const Database*> DatabaseClaims::in_force() const {
  std::map<std::string_view, const Database*> result;
  for (const auto& claim : claims_) {
    if (const auto* fresh = claim.fresh()) result.emplace(fresh->id, fresh);
  }
  for (const auto& [id, database] : last_.enforced) result.emplace(id, database);
  return result;
}

void DatabaseClaims::settle() {
  while (hold_too_many() || hold_overlaps()) {
  }
}

// Of the placeholders that are in force, those that are needed still: their ports must not open for
// want of room.
std::size_t DatabaseClaims::count_placeholders(
    const std::map<std::string_view, const Database*>& in_force) const {
  std::set<std::string> bases;
  for (const auto& wish : wanted_placeholders(claims_, last_).wishes) {
    if (!in_force.contains(wish.base)) bases.insert(wish.base);
  }
  std::size_t count = 0;
  for (const auto& base : bases) {
    const auto placed = last_.placed.find(base);
    if (placed != last_.placed.end()) count += placed->second;
  }
  return count;
}

// Newcomers give way, from the end of the alphabet.
bool DatabaseClaims::hold_too_many() {
  const auto wanted = in_force();
  const auto count = wanted.size() + count_placeholders(wanted);
  if (count <= limits::databases) return false;
  std::vector<DatabaseClaim*> newcomers;
  for (auto& claim : claims_) {
    if (!claim.is_held && !last_.enforced.contains(claim.id)) newcomers.push_back(&claim);
  }
  std::ranges::sort(newcomers, std::ranges::greater{}, &DatabaseClaim::id);
  newcomers.resize(std::min(newcomers.size(), count - limits::databases));
  for (auto* claim : newcomers) {
    claim->hold({Severity::error, claim->file->reading.value->place,
                 fmt::format("a host has at most {} databases", limits::databases), claim->id,
                 "remove a database file, or end a guard with moat databases forget ID"});
  }
  return !newcomers.empty();
}

// Whether `id` guarded all of `part` when it was last enforced.
bool DatabaseClaims::had(std::string_view id, const Endpoint& part) const {
  const auto last = last_.enforced.find(id);
  return last != last_.enforced.end() && covers(last->second->endpoint, part);
}

bool DatabaseClaims::hold_overlaps() {
  const auto others = in_force();
  const auto placeholders = wanted_placeholders(claims_, last_).wishes;
  std::vector<const Database*> fresh;
  for (const auto& claim : claims_) fresh.push_back(claim.fresh());
  bool changed = false;
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    if (fresh[i] == nullptr) continue;
    auto& claim = claims_[i];
    for (const auto& [id, other] : others) {
      if (id == claim.id) continue;
      const bool is_claim = std::ranges::find(fresh, other) != fresh.end();
      changed |= hold_overlap(claim, id, other->endpoint, other->place.file, is_claim);
    }
    for (const auto& placeholder : placeholders) {
      if (!placeholder.has_file) continue;  // it makes way for whoever guards that port now
      changed |=
          hold_overlap(claim, placeholder.base, placeholder.endpoint, placeholder.file, true);
    }
  }
  return changed;
}

// The file that says what a database shall be: of several the one that it was last enforced from.
// Of one that does not tell its id, what it last spoke for.
const DatabaseClaim* DatabaseClaims::find_speaker(std::string_view id,
                                                  const std::string& last_file) const {
  const auto* last = find_file(claims_, last_file);
  if (last != nullptr && (last->id == id || last->id.empty())) return last;
  const auto found = std::ranges::find(claims_, id, &DatabaseClaim::id);
  return found == claims_.end() ? nullptr : &*found;
}

// Holds `claim` back if it wants what `other` guards and did not have it before.
bool DatabaseClaims::hold_overlap(DatabaseClaim& claim, std::string_view other_id,
                                  const Endpoint& other, const std::string& other_file,
                                  bool other_is_claim) {
  const auto& wanted = *claim.file->reading.value;
  const auto common = intersect(wanted.endpoint, other);
  if (!common || had(claim.id, *common)) return false;
  const bool is_kept = !other_is_claim || had(other_id, *common);
  const auto* speaker = find_speaker(other_id, other_file);
  const bool is_own = other_file == claim.file->path;  // it was about that database before
  const auto whose = speaker != nullptr ? " of " + speaker->file->path
                     : is_own           ? ", which this file was about before"
                                        : ", last enforced from " + other_file;
  const auto& place = claim.file->reading.endpoint_place;
  claim.hold(
      {Severity::error, place.line != 0 ? place : wanted.place,
       fmt::format("{} by database {}{}",
                   is_kept ? "this is guarded already" : "this is claimed too", other_id, whose),
       format_endpoint(*common), remedy_for_overlap(speaker, other_id, *common)});
  return true;
}

}  // namespace moat
