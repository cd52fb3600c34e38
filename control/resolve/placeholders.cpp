// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/placeholders.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "control/policy/endpoint.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

// All that speaks of one id which has no enforced state.
struct Group {
  std::vector<const DatabaseClaim*> claims;
  std::vector<const Placeholder*> placeholders;  // as they last were
};

std::string base_of(const DatabaseClaim& claim) {
  return placeholder_base(claim.id, claim.file->path);
}

// Whether a placeholder has served: its database is in force, or the file for which it was made up
// tells by now what it is about.
bool has_served(const Placeholder& placeholder, const std::vector<DatabaseClaim>& claims,
                const LastDatabases& last) {
  if (last.enforced.contains(placeholder.base)) return true;
  return std::ranges::any_of(claims, [&](const DatabaseClaim& claim) {
    if (claim.id == placeholder.base) return !claim.is_held;
    return placeholder.base.starts_with('+') && claim.file->path == placeholder.file &&
           !claim.id.empty();
  });
}

// Whether a placeholder is still the best that is known: some file of its id does not tell its
// endpoint, and that of the placeholder does not tell another.
bool still_needed(const Placeholder& placeholder, const Group& group) {
  bool is_known = !group.claims.empty();
  for (const auto* claim : group.claims) {
    if (claim->endpoint() && claim->file->path == placeholder.file) return false;
    is_known &= claim->endpoint().has_value();
  }
  return !is_known;
}

void add_wishes(const std::string& base, const Group& group, PlaceholderWishes& result) {
  const auto silent = std::ranges::find_if(
      group.claims, [](const DatabaseClaim* claim) { return !claim->endpoint(); });
  bool has_last = false;
  for (const auto* placeholder : group.placeholders) {
    if (!still_needed(*placeholder, group)) continue;
    PlaceholderWish wish{*placeholder, silent != group.claims.end()};
    if (wish.has_file) wish.file = (*silent)->file->path;  // it may have been renamed
    result.wishes.push_back(std::move(wish));
    has_last = true;
  }
  for (const auto* claim : group.claims) {
    const auto& value = claim->file->reading.value;
    if (const auto endpoint = claim->endpoint()) {
      const auto mode = value ? value->mode : std::nullopt;
      result.wishes.push_back({{base, claim->file->path, *endpoint, mode}, true});
    } else if (!has_last) {
      result.unknown_files.insert(claim->file->path);
    }
  }
}

// How much of what it drops a placeholder lets pass: monitor mode is the laxest.
int laxity(const Placeholder& placeholder) {
  if (!placeholder.mode) return 1;  // the host's
  return *placeholder.mode == Mode::enforce ? 0 : 2;
}

// Takes off `wish` all that is guarded. True if something of it can be guarded by none.
//
// A placeholder at one address would go before what is guarded at every address. It may do so
// before another placeholder that is no stricter, as nobody is allowed by either.
bool leave_unguarded(std::optional<Endpoint>& wish, Endpoint guarded, bool may_go_before) {
  if (!wish) return false;
  const bool was_all = wish->all;
  if (wish->address && !guarded.address) {
    if (may_go_before) return false;
    if (was_all) wish.reset();
    if (was_all) return true;
    guarded.address = wish->address;
  }
  wish = subtract(*wish, guarded);
  return was_all && !wish && !guarded.all;
}

}  // namespace

std::string placeholder_base(const std::string& id, const std::string& path) {
  return id.empty() ? "+" + path.substr(path.rfind('/') + 1) : id;
}

PlaceholderWishes wanted_placeholders(const std::vector<DatabaseClaim>& claims,
                                      const LastDatabases& last) {
  std::map<std::string, Group> groups;
  for (const auto& claim : claims) {
    if (!claim.is_held || last.enforced.contains(claim.id)) continue;
    groups[base_of(claim)].claims.push_back(&claim);
  }
  for (const auto* placeholder : last.placeholders) {
    if (has_served(*placeholder, claims, last)) continue;
    groups[placeholder->base].placeholders.push_back(placeholder);
  }
  PlaceholderWishes result;
  for (const auto& [base, group] : groups) add_wishes(base, group, result);
  for (auto& wish : result.wishes) wish.is_placed = last.placed.contains(wish.base);
  // The strictest first, as what it covers is not guarded by another; of these, those that take in
  // every port of an address.
  std::ranges::stable_sort(result.wishes, {}, [](const PlaceholderWish& wish) {
    return std::pair(laxity(wish), !wish.endpoint.all);
  });
  return result;
}

Placeholders place_placeholders(const PlaceholderWishes& wanted,
                                const std::map<std::string_view, const Database*>& in_force) {
  Placeholders result;
  result.open_files = wanted.unknown_files;
  std::set<std::string> taken;
  std::vector<int> laxities;  // of `result.databases`
  auto awaited = static_cast<std::size_t>(
      std::ranges::count(wanted.wishes, true, &PlaceholderWish::is_placed));
  for (const auto& wish : wanted.wishes) {
    if (wish.is_placed) --awaited;
    std::optional<Endpoint> left = wish.endpoint;
    bool is_open = false;
    for (const auto& entry : in_force)
      is_open |= leave_unguarded(left, entry.second->endpoint, false);
    if (!left && !wish.has_file) continue;  // others took its place
    for (std::size_t i = 0; i < result.databases.size(); ++i)
      is_open |= leave_unguarded(left, result.databases[i].endpoint, laxity(wish) <= laxities[i]);
    // Newcomers leave those their room that have it.
    const bool has_room =
        in_force.size() + result.databases.size() + (wish.is_placed ? 0 : awaited) <
        limits::databases;
    if (left && !has_room && !wish.has_file) continue;  // it was never guarded
    is_open |= left && !has_room;
    result.wishes.push_back(wish);
    if (is_open) result.open_files.insert(wish.file);
    if (is_open || !left) continue;
    laxities.push_back(laxity(wish));
    auto id = wish.base;
    for (int n = 2; !taken.insert(id).second; ++n) id = fmt::format("{}+{}", wish.base, n);
    result.databases.push_back({id, *left, {}, {}, wish.mode, {wish.file, 0, 0}, true});
  }
  return result;
}

}  // namespace moat
