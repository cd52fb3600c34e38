// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace moat {
namespace {

// etcd takes 128 changes and 1.5 MiB at once unless it is told otherwise.
constexpr std::size_t max_changes = 126;
constexpr std::size_t max_bytes = std::size_t{1} << 20;

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

Result<std::vector<FleetReceipt>> FleetStore::receipts() {
  const auto listing = list(receipts_prefix(settings_.name));
  if (!listing) return std::unexpected(listing.error());
  std::vector<FleetReceipt> receipts;
  for (const auto& stored : listing->keys) {
    // One that a host has garbled is no receipt of its.
    if (auto receipt = parse_receipt(stored.value)) receipts.push_back(std::move(*receipt));
  }
  return receipts;
}

Result<std::int64_t> FleetStore::write(const std::vector<EtcdKey>& puts,
                                       std::int64_t head_revision) {
  const auto answer =
      call("/v3/kv/txn",
           put_if_request(fleet_key(settings_.name, FleetKind::head, ""), head_revision, puts));
  if (!answer) return std::unexpected(answer.error());
  const auto result = parse_txn(*answer);
  if (!result) return std::unexpected(result.error());
  if (!result->succeeded) {
    return std::unexpected(Error{"somebody else has pushed meanwhile: nothing was changed",
                                 "look at it with moat fleet history, and push again"});
  }
  return result->header.revision;
}

Result<std::int64_t> FleetStore::push(const FleetPush& push, const FleetHead& head,
                                      std::int64_t head_revision) {
  std::vector<EtcdKey> puts;
  const auto prefix = fleet_prefix(settings_.name);
  for (const auto& [path, value] : push.after)
    puts.push_back({prefix + path, value.value_or(std::string(tombstone))});
  puts.push_back({prefix + "head", to_json(head)});
  puts.push_back(
      {fmt::format("{}{:012}", history_prefix(settings_.name), push.push), to_json(push)});
  std::size_t bytes = 0;
  for (const auto& one : puts) bytes += one.key.size() + one.value.size();
  if (puts.size() > max_changes || bytes > max_bytes) {
    return std::unexpected(Error{
        fmt::format("the push changes {} keys and has {} KiB; one takes {} keys and {} KiB at most",
                    push.after.size(), bytes >> 10, max_changes - 2, max_bytes >> 10),
        "push it in parts; publish large lists by https: see agent.yaml(5)"});
  }
  return write(puts, head_revision);
}

Result<std::int64_t> FleetStore::set_head(const FleetHead& head, std::int64_t head_revision) {
  return write({{fleet_key(settings_.name, FleetKind::head, ""), to_json(head)}}, head_revision);
}

}  // namespace moat
