// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_push.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace moat {
namespace {

using Values = std::map<std::string, std::string>;

constexpr unsigned all_hosts = 10'000;

void compare(const std::string& folder, const Values& stored, const Values& wanted, FleetPush& push,
             std::vector<std::string>& absent) {
  for (const auto& [id, value] : wanted) {
    const auto before = stored.find(id);
    if (before != stored.end() && before->second == value) continue;
    if (before == stored.end() && value == tombstone) continue;
    const auto key = fmt::format("{}/{}", folder, id);
    push.before[key] = before == stored.end() ? std::nullopt : std::optional(before->second);
    push.after[key] = value;
  }
  for (const auto& [id, value] : stored) {
    if (!wanted.contains(id) && value != tombstone)
      absent.push_back(fmt::format("{}/{}", folder, id));
  }
}

bool is_removal(const std::optional<std::string>& value) { return !value || *value == tombstone; }

// Of a key that shall not be: nothing is removed by being absent.
std::string value_or_removal(const std::string& key, const std::optional<std::string>& value) {
  return value.value_or(key.starts_with("labels/") ? std::string() : std::string(tombstone));
}

}  // namespace

Result<FleetPush> plan_push(const FleetContent& stored, const FleetContent& wanted) {
  FleetPush push;
  std::vector<std::string> absent;
  compare("databases", stored.databases, wanted.databases, push, absent);
  compare("ranges", stored.ranges, wanted.ranges, push, absent);
  if (!absent.empty()) {
    return std::unexpected(
        Error{fmt::format("the fleet has {}, and the folder does not", fmt::join(absent, ", ")),
              "bring it back; what shall go is named in removed.yaml"});
  }
  // A label that is taken away is an empty list of labels.
  auto labels = wanted.labels;
  for (const auto& [id, value] : stored.labels) labels.try_emplace(id, "");
  compare("labels", stored.labels, labels, push, absent);
  return push;
}

Result<FleetPush> plan_push_after_lapse(const FleetContent& stored, const FleetValues& before,
                                        const FleetContent& wanted) {
  auto in_force = stored;
  put_back(before, in_force);
  auto push = plan_push(in_force, wanted);
  if (!push) return push;
  for (const auto& [path, value] : before) {
    if (push->after.contains(path)) continue;
    push->before[path] = value;
    push->after[path] = value_or_removal(path, value);
  }
  return push;
}

Result<FleetPush> plan_rollback(const std::vector<FleetPush>& history, std::uint64_t to) {
  const auto is_there = std::ranges::find(history, to, &FleetPush::push) != history.end();
  if (!is_there || history.back().push == to) {
    return std::unexpected(Error{is_there ? fmt::format("push {} is the last one", to)
                                          : fmt::format("there is no push {}", to),
                                 "see moat fleet history"});
  }
  FleetPush push;
  for (auto entry = history.rbegin(); entry != history.rend() && entry->push > to; ++entry) {
    for (const auto& [key, value] : entry->before) push.after[key] = value;
    // What is there now is what the latest push has left.
    for (const auto& [key, value] : entry->after) push.before.try_emplace(key, value);
  }
  std::erase_if(push.before, [&](const auto& change) {
    if (push.after.at(change.first) != change.second) return false;
    push.after.erase(change.first);
    return true;
  });
  for (auto& [key, value] : push.after) value = value_or_removal(key, value);
  return push;
}

std::vector<std::string> describe_push(const FleetPush& push) {
  std::vector<std::string> lines;
  for (const auto& [key, value] : push.after) {
    const auto& before = push.before.at(key);
    if (before == value || (is_removal(before) && is_removal(value))) continue;
    lines.push_back(fmt::format("{}  {}", key,
                                is_removal(value)    ? "removed"
                                : is_removal(before) ? "added"
                                                     : "changed"));
  }
  return lines;
}

Result<std::vector<unsigned>> parse_stages(std::string_view text) {
  const auto refuse = [](const char* why) {
    return std::unexpected(Error{why, "write it as in 1%,10%,100%"});
  };
  std::vector<unsigned> stages;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto stage = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    double part = 0;
    const auto* end = stage.data() + stage.size();
    const auto [rest, error] = std::from_chars(stage.data(), end, part);
    if (error != std::errc{} || std::string_view(rest, static_cast<std::size_t>(end - rest)) != "%")
      return refuse("not a percentage of hosts");
    if (!(part > 0 && part <= 100)) return refuse("a percentage is above 0 and at most 100");
    stages.push_back(static_cast<unsigned>(part * 100));
    if (stages.size() > 1 && stages[stages.size() - 2] >= stages.back())
      return refuse("each part of the hosts is larger than the one before");
  }
  if (stages.empty() || stages.back() != all_hosts) return refuse("the last part is 100%");
  return stages;
}

std::uint64_t share_for(const std::vector<std::string>& hosts, std::uint64_t push, unsigned part) {
  if (hosts.empty() || part >= all_hosts) return all_shares;
  std::vector<std::uint64_t> positions;
  for (const auto& host : hosts) positions.push_back(position_of(host, push));
  std::ranges::sort(positions);
  const auto wanted = std::max<std::size_t>(1, (hosts.size() * part + all_hosts - 1) / all_hosts);
  return positions[std::min(wanted, positions.size()) - 1] + 1;
}

std::vector<std::string> hosts_of(const std::vector<std::string>& known,
                                  const std::vector<FleetReceipt>& receipts) {
  std::set<std::string> hosts(known.begin(), known.end());
  for (const auto& receipt : receipts) hosts.insert(receipt.host);
  return {hosts.begin(), hosts.end()};
}

FleetProgress progress_of(const FleetHead& head, const std::vector<std::string>& hosts,
                          const std::vector<FleetReceipt>& receipts) {
  std::map<std::string, const FleetReceipt*> by_host;
  for (const auto& receipt : receipts) by_host[receipt.host] = &receipt;
  FleetProgress progress;
  for (const auto& host : hosts) {
    if (position_of(host, head.push) >= head.share) continue;
    ++progress.hosts;
    const auto found = by_host.find(host);
    if (found == by_host.end() || found->second->push != head.push) {
      progress.missing.push_back(host);
      continue;
    }
    const auto& receipt = *found->second;
    progress.ended_sessions += receipt.ended_sessions;
    if (receipt.is_undone) {
      progress.undone.push_back(host);
      continue;
    }
    if (!receipt.problem.empty() || !receipt.held_back.empty()) {
      progress.failed.push_back(fmt::format(
          "{}: {}", host, receipt.problem.empty() ? receipt.held_back.front() : receipt.problem));
      continue;
    }
    ++progress.enforced;
    progress.latencies.push_back(receipt.latency_us);
  }
  std::ranges::sort(progress.latencies);
  return progress;
}

}  // namespace moat
