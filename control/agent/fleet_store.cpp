// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace moat {
namespace {

// etcd takes 128 changes and 1.5 MiB at once unless it is told otherwise. Of the changes five are
// the head, the history, the hosts, and the two of a push that is to be confirmed.
constexpr std::size_t max_changes = 128;
constexpr std::size_t own_changes = 5;
constexpr std::size_t max_bytes = std::size_t{1} << 20;

Error pushed_meanwhile() {
  return {"somebody else has pushed meanwhile: nothing was changed",
          "look at it with moat fleet history, and push again"};
}

}  // namespace

Result<std::string> FleetStore::call_member(const std::string& path, const std::string& body,
                                            bool may_renew) {
  if (access_.needs_token()) {
    auto request = access_.token_request();
    if (!request) return std::unexpected(request.error());
    if (auto taken = access_.take_token(Fetcher::fetch_now(std::move(*request))); !taken)
      return std::unexpected(taken.error());
  }
  auto answer = Fetcher::fetch_now(access_.request(path, body));
  if (may_renew && wants_authentication(answer) && access_.has_token()) {
    access_.forget_token();
    return call_member(path, body, false);
  }
  return body_of(access_.member(), answer);
}

Result<std::string> FleetStore::call(const std::string& path, const std::string& body) {
  for (std::size_t left = access_.members();; --left) {
    auto answer = call_member(path, body);
    if (answer || left <= 1) return answer;
    access_.turn_to_next();
  }
}

Result<EtcdListing> FleetStore::list(const std::string& prefix) {
  const auto answer = call("/v3/kv/range", list_request(prefix));
  if (!answer) return std::unexpected(answer.error());
  return parse_listing(*answer);
}

Result<StoredFleet> FleetStore::read() {
  const auto prefix = fleet_prefix(settings_.name);
  const auto listing = list(prefix);
  if (!listing) return std::unexpected(listing.error());
  StoredFleet fleet;
  for (const auto& stored : listing->keys) {
    const auto key = parse_fleet_key(std::string_view(stored.key).substr(prefix.size()));
    if (!key) continue;  // no push of ours has made it
    if (key->kind == FleetKind::head) {
      fleet.head_revision = stored.revision;
      auto head = parse_head(stored.value);
      if (!head) return std::unexpected(head.error());
      fleet.head = std::move(*head);
      continue;
    }
    if (key->kind == FleetKind::trial) fleet.is_on_trial = true;
    if (key->kind == FleetKind::before) {
      auto push = parse_push(stored.value);
      if (!push) return std::unexpected(push.error());
      fleet.before = std::move(push->before);
    }
    if (key->id.empty()) continue;
    auto& values = key->kind == FleetKind::database ? fleet.content.databases
                   : key->kind == FleetKind::labels ? fleet.content.labels
                                                    : fleet.content.ranges;
    values[key->id] = stored.value;
  }
  return fleet;
}

Result<std::vector<FleetPush>> FleetStore::history() {
  const auto listing = list(history_prefix(settings_.name));
  if (!listing) return std::unexpected(listing.error());
  std::vector<FleetPush> pushes;
  for (const auto& stored : listing->keys) {
    auto push = parse_push(stored.value);
    if (!push) return std::unexpected(push.error());
    pushes.push_back(std::move(*push));
  }
  std::ranges::sort(pushes, {}, &FleetPush::push);
  return pushes;
}

Result<std::vector<FleetReceipt>> FleetStore::receipts(const std::string& host) {
  const auto prefix = receipts_prefix(settings_.name);
  const auto listing = list(prefix + host);
  if (!listing) return std::unexpected(listing.error());
  std::vector<FleetReceipt> receipts;
  for (const auto& stored : listing->keys) {
    // One that a host has garbled is no receipt of its, and none speaks for another: a host may
    // write its own key alone.
    auto receipt = parse_receipt(stored.value);
    if (receipt && prefix + receipt->host == stored.key) receipts.push_back(std::move(*receipt));
  }
  return receipts;
}

Result<std::vector<std::string>> FleetStore::hosts() {
  const auto listing = list(hosts_key(settings_.name));
  if (!listing) return std::unexpected(listing.error());
  for (const auto& stored : listing->keys) {
    if (stored.key == hosts_key(settings_.name)) return parse_hosts(stored.value);
  }
  return std::vector<std::string>{};
}

Result<EtcdTxnResult> FleetStore::write(const EtcdTxn& txn) {
  const auto answer = call("/v3/kv/txn", txn_request(txn));
  if (!answer) return std::unexpected(answer.error());
  return parse_txn(*answer);
}

Result<std::int64_t> FleetStore::grant_lease(std::uint64_t seconds) {
  const auto answer = call("/v3/lease/grant", lease_request(static_cast<std::int64_t>(seconds)));
  if (!answer) return std::unexpected(answer.error());
  return parse_lease(*answer);
}

Result<std::int64_t> FleetStore::push(const FleetPush& push, const FleetHead& head,
                                      const std::vector<std::string>& hosts,
                                      std::int64_t head_revision) {
  EtcdTxn txn{key_of(FleetKind::head), head_revision, "", {}, {}};
  const auto prefix = fleet_prefix(settings_.name);
  for (const auto& [path, value] : push.after)
    txn.puts.push_back({prefix + path, value.value_or(std::string(tombstone))});
  txn.puts.push_back({txn.guard, to_json(head)});
  txn.puts.push_back({hosts_key(settings_.name), to_json(hosts)});
  txn.puts.push_back(
      {fmt::format("{}{:012}", history_prefix(settings_.name), push.push), to_json(push)});
  if (head.confirm_s > 0) {
    const auto lease = grant_lease(head.confirm_s);
    if (!lease) return std::unexpected(lease.error());
    txn.puts.push_back(
        {.key = key_of(FleetKind::trial), .value = fmt::format("{}", push.push), .lease = *lease});
    txn.puts.push_back(
        {key_of(FleetKind::before), to_json(FleetPush{.push = push.push, .before = push.before})});
  } else {
    txn.deletes = {key_of(FleetKind::trial), key_of(FleetKind::before)};
  }
  std::size_t bytes = 0;
  for (const auto& one : txn.puts) bytes += one.key.size() + one.value.size();
  if (push.after.size() > max_changes - own_changes || bytes > max_bytes) {
    return std::unexpected(Error{
        fmt::format("the push changes {} keys and has {} KiB; one takes {} keys and {} KiB at most",
                    push.after.size(), bytes >> 10, max_changes - own_changes, max_bytes >> 10),
        "push it in parts; publish large lists by https: see agent.yaml(5)"});
  }
  const auto result = write(txn);
  if (!result) return std::unexpected(result.error());
  if (!result->succeeded) return std::unexpected(pushed_meanwhile());
  return result->header.revision;
}

Result<std::int64_t> FleetStore::set_head(const FleetHead& head, std::int64_t head_revision) {
  const auto key = key_of(FleetKind::head);
  const auto result = write({key, head_revision, "", {{key, to_json(head)}}, {}});
  if (!result) return std::unexpected(result.error());
  if (!result->succeeded) return std::unexpected(pushed_meanwhile());
  return result->header.revision;
}

Result<> FleetStore::confirm(const FleetHead& head, std::int64_t head_revision) {
  const auto key = key_of(FleetKind::head);
  const auto trial = key_of(FleetKind::trial);
  const auto result = write(
      {key, head_revision, trial, {{key, to_json(head)}}, {trial, key_of(FleetKind::before)}});
  if (!result) return std::unexpected(result.error());
  if (result->succeeded) return {};
  return std::unexpected(
      Error{fmt::format("push {} cannot be confirmed any more: its time is over, or somebody has "
                        "pushed meanwhile",
                        head.push),
            "see moat fleet status"});
}

}  // namespace moat
