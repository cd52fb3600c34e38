// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace moat {
namespace {

class Supplier {
 public:
  Supplier(const RuleFiles& files, const Enforced* last, const std::map<std::string, Fault>& over)
      : files_(files.ranges), folder_is_hidden_(files.ranges_folder.has_value()) {
    if (last != nullptr) last_ = &last->policy;
    for (const auto& file : files_) start(file, over);
  }

  RangeSupply run() {
    while (hold_conflicts()) {
    }
    RangeSupply supply;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (is_held_[i]) continue;
      for (const auto& range : *files_[i].reading.value) supply.ranges.emplace(range.id, range);
    }
    if (last_ != nullptr) keep_enforced(supply);
    for (std::size_t i = 0; i < files_.size(); ++i) {
      supply.files.push_back({files_[i].path, "",
                              is_held_[i] ? FileState::held_back : FileState::active,
                              std::move(faults_[i])});
    }
    return supply;
  }

 private:
  struct Claim {
    std::size_t file;
    const ManagedRange* range;
  };

  void start(const RangeFile& file, const std::map<std::string, Fault>& over) {
    index_[file.path] = is_held_.size();
    auto& faults = faults_.emplace_back(file.reading.faults);
    if (file.unreadable) faults.push_back(*file.unreadable);
    const auto limit = over.find(file.path);
    if (limit != over.end()) faults.push_back(limit->second);
    is_held_.push_back(!file.reading.value || file.unreadable || limit != over.end());
  }

  // The file that `id` was last enforced from, if that file is still there.
  std::optional<std::size_t> enforced_file(const ManagedRange& range) const {
    const auto found = index_.find(range.place.file);
    if (found == index_.end()) return std::nullopt;
    return found->second;
  }
  std::optional<std::size_t> enforced_file(const std::string& id) const {
    if (last_ == nullptr) return std::nullopt;
    const auto range = last_->ranges.find(id);
    if (range == last_->ranges.end()) return std::nullopt;
    return enforced_file(range->second);
  }

  bool names(std::size_t file, const std::string& id) const {
    const auto& ranges = files_[file].reading.value;
    return ranges && std::ranges::find(*ranges, id, &ManagedRange::id) != ranges->end();
  }

  // Holds back each file that names a range which another one has; of two newcomers both. True if
  // it did: a file held back has its enforced ranges again, and so perhaps another conflict.
  bool hold_conflicts() {
    std::map<std::string, std::vector<Claim>> claims;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (is_held_[i]) continue;
      for (const auto& range : *files_[i].reading.value) claims[range.id].push_back({i, &range});
    }
    bool changed = false;
    for (const auto& [id, of_id] : claims) {
      const auto keeper = enforced_file(id);
      // A file that is held back, but not for want of understanding it, keeps what it names.
      const bool is_kept = keeper && is_held_[*keeper] && names(*keeper, id);
      if (of_id.size() == 1 && !is_kept) continue;
      for (const auto& claim : of_id) {
        if (claim.file == keeper) continue;
        const auto other = keeper && (is_kept || !is_held_[*keeper]) && names(*keeper, id)
                               ? *keeper
                               : other_file(of_id, claim.file);
        hold(claim, files_[other].path, other == keeper);
        changed = true;
      }
    }
    return changed;
  }

  static std::size_t other_file(const std::vector<Claim>& claims, std::size_t file) {
    const auto other = std::ranges::find_if(claims, [=](const auto& c) { return c.file != file; });
    return other == claims.end() ? file : other->file;
  }

  void hold(const Claim& claim, const std::string& other, bool other_is_enforced) {
    is_held_[claim.file] = true;
    faults_[claim.file].push_back(
        {Severity::error, claim.range->place,
         other_is_enforced ? fmt::format("this managed range is the one of {} already", other)
                           : fmt::format("this managed range is also in {}", other),
         claim.range->id, "give it another id, or take it out of one of the two files"});
  }

  // What stays although no file that holds says it.
  void keep_enforced(RangeSupply& supply) const {
    std::set<std::string_view> named;
    for (const auto& database : last_->databases) {
      for (const auto& rule : database.rules) named.insert(rule.managed_range);
    }
    for (const auto& [id, range] : last_->ranges) {
      const auto file = enforced_file(range);
      const bool is_held_back = folder_is_hidden_ || (file && is_held_[*file]);
      if (!is_held_back && !named.contains(id)) continue;
      const bool is_new = supply.ranges.emplace(id, range).second;
      if (is_new && !is_held_back) supply.withdrawn.insert(id);
    }
  }

  const std::vector<RangeFile>& files_;
  const Policy* last_ = nullptr;
  bool folder_is_hidden_;
  std::map<std::string, std::size_t, std::less<>> index_;  // path -> place in files_
  std::vector<bool> is_held_;
  std::vector<Faults> faults_;
};

}  // namespace

RangeSupply supply_ranges(const RuleFiles& files, const Enforced* last,
                          const std::map<std::string, Fault>& over_limit) {
  return Supplier(files, last, over_limit).run();
}

}  // namespace moat
