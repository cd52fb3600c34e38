// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/fit.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "control/enforce/compile.h"
#include "control/resolve/resolve.h"

namespace moat {
namespace {

// Which rule gets a hit is told apart by its slot; here any numbers do that differ in a database.
class PlainSlots {
 public:
  explicit PlainSlots(const Policy& policy) {
    std::uint8_t owner = 0;
    for (const auto& database : policy.databases) {
      owners_[database.id] = ++owner;
      auto& rules = rules_[database.id];
      for (const auto& rule : database.rules)
        rules.emplace(rule.id, static_cast<std::uint16_t>(rules.size() + 1));
    }
  }

  [[nodiscard]] SlotMap map() const {
    return {[this](std::string_view database) { return owners_.find(database)->second; },
            [this](std::string_view database, std::string_view rule) {
              return rules_.find(database)->second.find(rule)->second;
            }};
  }

 private:
  std::map<std::string, std::uint8_t, std::less<>> owners_;
  std::map<std::string, std::map<std::string, std::uint16_t, std::less<>>, std::less<>> rules_;
};

class Fitter {
 public:
  explicit Fitter(const ResolveInput& input) : input_(input), now_(input.time.now) {}

  std::optional<Resolution> run(const Resolution& resolution) {
    auto fit = check_fit(resolution.state.policy, now_);
    if (fit) return std::nullopt;
    auto bare = resolution;
    if (drop_held_down(bare) && check_fit(bare.state.policy, now_)) return bare;
    order(resolution);
    if (!check_fit(with(0).state.policy, now_)) return std::nullopt;
    // With the files before `in` let in, but for those that are held back by now, all fits.
    for (std::size_t in = 0; in < files_.size();) {
      in = last_that_fits(in, fit.error()) + 1;
      hold(files_[in - 1], fit.error());
      auto rest = with(files_.size());
      fit = check_fit(rest.state.policy, now_);
      if (fit) return rest;
    }
    return with(files_.size());
  }

 private:
  void order(const Resolution& resolution) {
    std::vector<std::tuple<bool, std::int64_t, std::string>> files;
    const auto add = [&](const auto& list, bool is_database) {
      for (const auto& file : list) {
        const auto status = std::ranges::find(resolution.files, file.path, &FileStatus::path);
        if (status == resolution.files.end() || status->state != FileState::active) continue;
        files.emplace_back(is_database && input_.last == nullptr, file.stamp.changed, file.path);
      }
    };
    add(input_.files.databases, true);
    add(input_.files.ranges, false);
    std::ranges::sort(files);
    for (auto& file : files) files_.push_back(std::move(std::get<std::string>(file)));
  }

  // With the first `count` files let in, and the others held back for now.
  Resolution with(std::size_t count) const {
    auto held = held_;
    for (std::size_t i = count; i < files_.size(); i++) held.try_emplace(files_[i]);
    return resolve(input_, held);
  }

  // The largest count with which all fits and with one more does not. It does with `low`, and does
  // not with all. `error`: why not with one more.
  std::size_t last_that_fits(std::size_t low, Error& error) const {
    auto high = files_.size();
    while (high - low > 1) {
      const auto middle = low + (high - low) / 2;
      auto fit = check_fit(with(middle).state.policy, now_);
      if (!fit) error = std::move(fit.error());
      (fit ? low : high) = middle;
    }
    return low;
  }

  void hold(const std::string& path, const Error& why) {
    held_.insert_or_assign(
        path,
        Fault{Severity::error, {path, 0, 0}, "with this file " + why.message, "", why.remedy});
  }

  const ResolveInput& input_;
  WallTime now_;
  std::vector<std::string> files_;     // that may be held back, in the order to let them in
  std::map<std::string, Fault> held_;  // for good
};

}  // namespace

Result<> check_fit(const Policy& policy, WallTime now) {
  const PlainSlots slots(policy);
  // Only how far deadlines are apart makes a difference.
  const auto table = compile(policy, slots.map(), {in_ns(now), 0}, 1);
  if (!table) return std::unexpected(table.error());
  return {};
}

Resolution resolve(const ResolveInput& input, const std::map<std::string, Fault>& held) {
  return resolve(input.files, input.mode, input.last, input.forgotten, held, input.time,
                 input.updates);
}

std::optional<Resolution> hold_back_to_fit(const ResolveInput& input,
                                           const Resolution& resolution) {
  return Fitter(input).run(resolution);
}

Resolution resolve_to_fit(const ResolveInput& input) {
  auto resolution = resolve(input);
  auto fitting = hold_back_to_fit(input, resolution);
  return fitting ? *std::move(fitting) : std::move(resolution);
}

}  // namespace moat
