// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/web_fleet.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "control/agent/fleet_bundle.h"
#include "control/agent/signature.h"
#include "control/agent/web_source.h"
#include "control/os/log.h"

namespace moat {
namespace {

constexpr std::size_t max_bundle = std::size_t{64} << 20;
constexpr std::size_t max_signature = 64 << 10;

std::string signature_url(const FleetSettings& settings) {
  const auto& url = settings.signature->url;
  return url.empty() ? settings.url + ".sig" : url;
}

}  // namespace

WebFleet::WebFleet(FleetTools tools, FleetSettings settings, const AgentFleet* before)
    : tools_(std::move(tools)), settings_(std::move(settings)) {
  if (before != nullptr && before->name == settings_.name) status_ = *before;
  status_.name = settings_.name;
  status_.store = public_url(settings_.url);
  status_.max_age = static_cast<std::uint64_t>(settings_.max_age.count());
}

Result<std::unique_ptr<Fleet>> WebFleet::make(const FleetTools& tools,
                                              const FleetSettings& settings,
                                              const AgentFleet* before) {
  std::unique_ptr<WebFleet> fleet(new WebFleet(tools, settings, before));
  auto timer = fleet->tools_.loop.timer([self = fleet.get()] { self->ask(); });
  if (!timer) return std::unexpected(timer.error());
  fleet->timer_ = std::move(*timer);
  fleet->ask();
  return fleet;
}

FetchRequest WebFleet::request_for(const std::string& url) const {
  FetchRequest request;
  request.url = url;
  request.ca = settings_.ca;
  request.certificate = settings_.certificate;
  request.key = settings_.key;
  return request;
}

void WebFleet::ask() {
  timer_.set_after(settings_.reconcile);
  auto request = request_for(settings_.url);
  request.etag = etag_;
  request.max_bytes = max_bundle;
  transfer_ = tools_.fetcher.start(std::move(request),
                                   [this](const Result<FetchAnswer>& answer) { take(answer); });
}

void WebFleet::take(const Result<FetchAnswer>& answer) {
  if (!answer) return note(std::unexpected(answer.error()));
  if (auto good = check_answer(settings_.url, *answer); !good) return note(good);
  if (answer->status == http_not_modified) return note({});
  if (!settings_.signature) return take_bundle(*answer);
  signed_ = *answer;
  auto request = request_for(signature_url(settings_));
  request.max_bytes = max_signature;
  transfer_ = tools_.fetcher.start(std::move(request),
                                   [this](const Result<FetchAnswer>& sig) { take_signature(sig); });
}

void WebFleet::take_signature(const Result<FetchAnswer>& signature) {
  const auto bundle = std::exchange(signed_, {});
  if (!signature) return note(std::unexpected(signature.error()));
  if (auto good = check_answer(signature_url(settings_), *signature); !good) return note(good);
  if (auto good = verify_signature(*settings_.signature, bundle.body, signature->body); !good)
    return note(good);
  take_bundle(bundle);
}

void WebFleet::take_bundle(const FetchAnswer& answer) { note(write(answer)); }

Result<> WebFleet::write(const FetchAnswer& answer) {
  const auto bundle = parse_bundle(answer.body);
  if (!bundle) return std::unexpected(bundle.error());
  if (bundle->fleet != settings_.name) {
    return std::unexpected(
        Error{fmt::format("this is the bundle of fleet \"{}\"", bundle->fleet), "check `url`"});
  }
  if (bundle->serial < status_.push) {
    return std::unexpected(
        Error{fmt::format("the bundle is older (serial {}) than the one that was taken before ({})",
                          bundle->serial, status_.push),
              ""});
  }
  auto result = write_fleet(bundle->content, settings_, tools_.folders);
  if (result.is_changed)
    tools_.log.info("fleet {}: serial {} is written", settings_.name, bundle->serial);
  if (!result.held_back.empty())
    tools_.log.warn("fleet {}: held back: {}", settings_.name, fmt::join(result.held_back, "; "));
  status_.push = bundle->serial;
  status_.held_back = first_of(std::move(result.held_back));
  // What was held back may be writable by then.
  etag_ = status_.held_back.empty() ? answer.etag : "";
  return {};
}

void WebFleet::note(const Result<>& result) {
  if (result) {
    status_.listed = std::chrono::system_clock::now();
    status_.error.clear();
  } else if (const auto text = format_error(result.error()); text != status_.error) {
    tools_.log.warn("fleet {}: {}; what was taken stays in force", settings_.name, text);
    status_.error = text;
  }
  tools_.on_news();
}

}  // namespace moat
