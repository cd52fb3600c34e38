// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_mirror.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/text/utf8.h"

namespace moat {
namespace {

constexpr std::size_t max_value = std::size_t{4} << 20;

// Which come and go with a push that is to be confirmed.
bool is_of_a_trial(std::string_view path) { return path == "trial" || path == "before"; }

// The head among them; nothing: none that can be read.
std::optional<FleetHead> find_head(const std::string& prefix, const std::vector<EtcdKey>& keys) {
  const auto head = std::ranges::find(keys, prefix + "head", &EtcdKey::key);
  if (head == keys.end()) return std::nullopt;
  auto parsed = parse_head(head->value);
  return parsed ? std::optional(std::move(*parsed)) : std::nullopt;
}

}  // namespace

Result<> FleetMirror::check(const EtcdHeader& header, const std::optional<FleetHead>& head) const {
  constexpr auto remedy =
      "nothing is taken from it; if it is to be followed: moat fleet push --new-store";
  if (memory_.cluster.empty() || (head && head->epoch > memory_.epoch)) return {};
  if (header.cluster != memory_.cluster) {
    return std::unexpected(
        Error{fmt::format("this is another store than before (cluster {}, not {})", header.cluster,
                          memory_.cluster),
              remedy});
  }
  if (header.revision < memory_.revision) {
    return std::unexpected(Error{
        fmt::format("the store has gone back from revision {} to {}: it may have been restored "
                    "from an old backup",
                    memory_.revision, header.revision),
        remedy});
  }
  if (head && head->push < memory_.push) {
    return std::unexpected(
        Error{fmt::format("the store has gone back from push {} to {}", memory_.push, head->push),
              remedy});
  }
  return {};
}

void FleetMirror::take(const EtcdKey& key) {
  if (!key.key.starts_with(prefix_)) return;
  const auto path = key.key.substr(prefix_.size());
  const auto known = keys_.find(path);
  if (known != keys_.end() && known->second.revision >= key.revision) return;
  if (key.is_deleted) {
    // What it said stays in force; but the store has it no more.
    if (known != keys_.end()) keys_.erase(known);
    if (is_of_a_trial(path)) return;
    deleted_[path] = "was deleted without a tombstone; what it said stays in force";
    return;
  }
  deleted_.erase(path);
  keys_[path] = {key.value, key.revision};
  if (path != "head") return;
  if (auto head = parse_head(key.value)) {
    head_ = std::move(*head);
    head_fault_.clear();
  } else {
    head_fault_ = head.error().message;
  }
}

Result<> FleetMirror::take_listing(const EtcdListing& listing) {
  const auto head = find_head(prefix_, listing.keys);
  if (auto believed = check(listing.header, head); !believed) return believed;
  const auto epoch = head ? head->epoch : 0;
  const bool is_new = memory_.cluster.empty() || epoch > memory_.epoch;
  if (listing.keys.empty() && !is_new) {
    return std::unexpected(Error{"the store has no key of the fleet any more",
                                 "what was taken before stays in force"});
  }
  const auto before = std::exchange(keys_, {});
  if (is_new) deleted_.clear();
  for (const auto& key : listing.keys) take(key);
  for (const auto& [path, value] : before) {
    if (!keys_.contains(path) && !is_of_a_trial(path))
      deleted_[path] = "is in the store no more; what it said stays in force";
  }
  memory_ = {listing.header.cluster, listing.header.revision, std::max(epoch, memory_.epoch),
             head ? head->push : memory_.push};
  is_known_ = !listing.keys.empty();
  return {};
}

Result<bool> FleetMirror::take_changes(const EtcdHeader& header, const std::vector<EtcdKey>& keys) {
  const auto head = find_head(prefix_, keys);
  if (auto believed = check(header, head); !believed) return std::unexpected(believed.error());
  for (const auto& key : keys) take(key);
  is_known_ |= !keys_.empty();
  memory_ = {header.cluster, std::max(header.revision, memory_.revision),
             head ? std::max(head->epoch, memory_.epoch) : memory_.epoch,
             head ? std::max(head->push, memory_.push) : memory_.push};
  return !keys.empty();
}

std::map<std::string, std::string> FleetMirror::values(FleetKind kind) const {
  std::map<std::string, std::string> found;
  for (const auto& [path, value] : keys_) {
    const auto key = parse_fleet_key(path);
    if (key && key->kind == kind && value.bytes.size() <= max_value)
      found.emplace(key->id, value.bytes);
  }
  return found;
}

FleetContent FleetMirror::content(Version version) const {
  FleetContent content{values(FleetKind::database), values(FleetKind::labels),
                       values(FleetKind::range)};
  if (version == Version::before) put_back(changed_before(), content);
  return content;
}

FleetContent FleetMirror::undo() const {
  FleetContent content;
  put_back(changed_before(), content);
  return content;
}

FleetValues FleetMirror::changed_before() const {
  const auto before = keys_.find("before");
  if (before == keys_.end()) return {};
  const auto push = parse_push(before->second.bytes);
  return push ? push->before : FleetValues{};
}

std::vector<std::string> FleetMirror::complaints() const {
  std::vector<std::string> all;
  if (!head_fault_.empty()) all.push_back(head_fault_);
  for (const auto& [path, value] : keys_) {
    if (const auto key = parse_fleet_key(path); !key) {
      all.push_back(key.error().message);
    } else if (value.bytes.size() > max_value) {
      all.push_back(
          fmt::format("{} has {} bytes, of {} at most", path, value.bytes.size(), max_value));
    }
  }
  for (const auto& [path, why] : deleted_)
    all.push_back(fmt::format("{} {}", printable(shorten(path, 120)), why));
  return all;
}

}  // namespace moat
