// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/receipts.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "control/agent/etcd_messages.h"
#include "control/agent/host_name.h"
#include "control/os/log.h"
#include "control/policy/json_text.h"
#include "control/policy/policy.h"

namespace moat {
namespace {

// Of the lease: so many reconciles may fail.
constexpr int missed_renewals = 3;
constexpr std::chrono::seconds for_enforcing{130};  // moatd's bound, and some more

// The generation that moatd's answer to a reload tells of, or why there is none.
void read_change(const std::string& body, FleetReceipt& receipt) {
  const auto json = read_json(body);
  if (!json.is_object()) {
    receipt.problem = "moatd's answer is not understood";
    return;
  }
  if (const auto error = json.find("error"); error != json.end() && error->is_object()) {
    receipt.problem = "moatd: " + error->value("message", "refused");
    return;
  }
  receipt.ended_sessions = json.value("ended_sessions", std::uint64_t{0});
  if (json.value("enforced", false)) {
    receipt.generation = json.value("generation", std::uint64_t{0});
  } else {
    receipt.problem = "moatd: " + json.value("why_not", "not enforced");
  }
}

}  // namespace

Receipts::Receipts(FleetTools tools, FleetSettings settings, EtcdClient& client)
    : tools_(std::move(tools)), settings_(std::move(settings)), client_(client) {}

Result<> Receipts::arm() {
  auto timer = tools_.loop.timer([this] { put(); });
  if (!timer) return std::unexpected(timer.error());
  timer_ = std::move(*timer);
  return {};
}

void Receipts::tell(const FleetHead& head, std::int64_t revision,
                    const std::vector<std::string>& held_back, bool is_undone) {
  receipt_ = FleetReceipt{.host = host_name_of(settings_),
                          .push = head.push,
                          .revision = revision,
                          .held_back = held_back,
                          .is_undone = is_undone,
                          .version = MOAT_VERSION};
  begun_ = std::chrono::steady_clock::now();
  delay_ = receipt_delay(receipt_->host, head);
  if (settings_.socket.empty()) return put_in_turn();
  ask_moatd();
}

void Receipts::ask_moatd() {
  FetchRequest request;
  request.url = "http://moatd/v1/reload";
  request.allow_plaintext = true;
  request.socket = settings_.socket;
  request.body = "";
  request.timeout = for_enforcing;
  moatd_ = tools_.fetcher.start(
      std::move(request), [this](const Result<FetchAnswer>& answer) { take_enforced(answer); });
}

void Receipts::take_enforced(const Result<FetchAnswer>& answer) {
  receipt_->problem.clear();
  if (!answer) {
    receipt_->problem = "moatd: " + answer.error().message;
  } else {
    read_change(answer->body, *receipt_);
  }
  const auto took = std::chrono::steady_clock::now() - begun_;
  receipt_->latency_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(took).count());
  put_in_turn();
}

void Receipts::put_in_turn() {
  receipt_->time = format_time_ms(std::chrono::system_clock::now());
  timer_.set_after(delay_);
}

void Receipts::put() {
  if (is_putting_) {
    has_news_ = true;
    return;
  }
  is_putting_ = true;
  if (lease_ == 0) return grant();
  put_with_lease();
}

void Receipts::grant() {
  const auto seconds = settings_.reconcile.count() * missed_renewals;
  client_.call(
      "/v3/lease/grant", lease_request(seconds), [this](const Result<std::string>& answer) {
        const auto lease =
            answer ? parse_lease(*answer) : Result<std::int64_t>(std::unexpected(answer.error()));
        if (!lease) {
          tools_.log.warn("fleet {}: no receipt: {}", settings_.name, format_error(lease.error()));
          is_putting_ = false;
          return;
        }
        lease_ = *lease;
        put_with_lease();
      });
}

void Receipts::put_with_lease() {
  has_news_ = false;
  client_.call(
      "/v3/kv/put",
      put_request(receipts_prefix(settings_.name) + receipt_->host, to_json(*receipt_), lease_),
      [this](const Result<std::string>& answer) {
        is_putting_ = false;
        if (!answer) {
          lease_ = 0;  // it may be the lease that has ended
          tools_.log.warn("fleet {}: no receipt: {}", settings_.name, format_error(answer.error()));
        }
        if (has_news_) put();
      });
}

void Receipts::keep_alive() {
  if (!receipt_ || is_putting_) return;
  // It may not have been there yet.
  if (!receipt_->problem.empty()) ask_moatd();
  if (lease_ == 0) return put();
  client_.call("/v3/lease/keepalive", json_text(nlohmann::json{{"ID", std::to_string(lease_)}}),
               [this](const Result<std::string>& answer) {
                 const auto left = answer ? parse_time_left(*answer)
                                          : Result<std::int64_t>(std::unexpected(answer.error()));
                 if (left && *left > 0) return;
                 lease_ = 0;
                 put();
               });
}

}  // namespace moat
