// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/ranges.h"

#include <fmt/format.h>

#include <utility>

#include "control/resolve/claim.h"

namespace moat {
namespace {

class Supplier {
 public:
  Supplier(const RuleFiles& files, const EnforcedState* last,
           const std::map<std::string, Fault>& held, const RangeUpdates& updates)
      : updates_(updates), folder_is_hidden_(files.ranges_folder.has_value()) {
    if (last != nullptr) {
      last_ = &last->policy;
      rivals_ = last->rivals;
    }
    for (const auto& file : files.ranges) {
      auto& claim = claims_.emplace_back(file);
      const auto why = held.find(file.path);
      if (why != held.end()) claim.hold(why->second);
    }
  }

  ResolvedRanges run() {
    ResolvedRanges supply;
    supply.rivals = hold_shared_ids();
    if (last_ != nullptr) supply.held_versions = hold_large_changes();
    for (const auto& claim : claims_) {
      if (claim.is_held) continue;
      for (const auto& range : *claim.file->reading.value) supply.ranges.emplace(range.id, range);
    }
    if (last_ != nullptr) keep_enforced(supply);
    for (auto& claim : claims_) {
      supply.files.push_back({claim.file->path, "",
                              claim.is_held ? FileState::held_back : FileState::active,
                              std::move(claim.faults)});
    }
    return supply;
  }

 private:
  std::string enforced_from(const std::string& id) const {
    if (last_ == nullptr) return "";
    const auto range = last_->ranges.find(id);
    return range == last_->ranges.end() ? "" : range->second.place.file;
  }

  Rivals hold_shared_ids() {
    IdClaims by_id;
    for (auto& claim : claims_) {
      if (!claim.file->reading.value) continue;
      for (const auto& range : *claim.file->reading.value) {
        // A file that is held back, but not for want of understanding it, keeps what it had.
        const IdClaim id{&claim, range.place, enforced_from(range.id)};
        if (claim.is_held && !id.is_enforced()) continue;
        by_id[range.id].push_back(id);
      }
    }
    return hold_same_ids("managed range", by_id, rivals_, paths_of(claims_));
  }

  // Of ranges that nobody is let in by, no version does harm.
  HeldVersions hold_large_changes() {
    HeldVersions held;
    if (updates_.guard == 0) return held;
    const auto named = named_ranges(*last_);
    for (auto& claim : claims_) {
      if (claim.is_held) continue;
      for (const auto& range : *claim.file->reading.value) {
        if (!named.contains(range.id)) continue;
        auto version = find_unaccepted(range);
        if (!version) continue;
        claim.hold(too_large_fault(range, *version));
        held.emplace(range.id, std::move(*version));
      }
    }
    return held;
  }

  // Too large a change that nobody has accepted.
  std::optional<HeldVersion> find_unaccepted(const ManagedRange& range) const {
    const auto last = last_->ranges.find(range.id);
    if (last == last_->ranges.end()) return std::nullopt;
    auto version = updates_.memory ? updates_.memory->compare(last->second, range, updates_.guard)
                                   : find_large_change(last->second, range, updates_.guard);
    const auto accepted = updates_.accepted.find(range.id);
    if (version && accepted != updates_.accepted.end() && accepted->second == version->digest)
      return std::nullopt;
    return version;
  }

  static Fault too_large_fault(const ManagedRange& range, const HeldVersion& version) {
    return {Severity::error, range.place, "the managed range " + version.change, range.id,
            fmt::format("if that is meant: moat managed-ranges accept {} --digest {}", range.id,
                        version.digest)};
  }

  // What stays although no file that holds says it.
  void keep_enforced(ResolvedRanges& supply) const {
    const auto named = named_ranges(*last_);
    for (const auto& [id, range] : last_->ranges) {
      const auto* claim = find_file(claims_, range.place.file);
      const bool is_held_back = folder_is_hidden_ || (claim != nullptr && claim->is_held);
      if (!is_held_back && !named.contains(id)) continue;
      const bool is_new = supply.ranges.emplace(id, range).second;
      if (is_new && !is_held_back) supply.withdrawn.insert(id);
    }
  }

  const RangeUpdates& updates_;
  const Policy* last_ = nullptr;
  Rivals rivals_;  // as of then
  bool folder_is_hidden_;
  std::vector<RangeClaim> claims_;
};

}  // namespace

ResolvedRanges resolve_ranges(const RuleFiles& files, const EnforcedState* last,
                              const std::map<std::string, Fault>& held,
                              const RangeUpdates& updates) {
  return Supplier(files, last, held, updates).run();
}

std::set<std::string, std::less<>> named_ranges(const Policy& policy) {
  std::set<std::string, std::less<>> named;
  for (const auto& database : policy.databases) {
    for (const auto& rule : database.rules) {
      if (!rule.managed_range.empty()) named.insert(rule.managed_range);
    }
  }
  return named;
}

}  // namespace moat
