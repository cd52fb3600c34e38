// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/etcd_fleet.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "control/agent/host_name.h"
#include "control/os/log.h"

namespace moat {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds first_retry{500};
constexpr milliseconds last_retry{10'000};
// By which a host's own timer is later than the store's.
constexpr std::chrono::seconds grace{3};

StoreMemory memory_of(const AgentFleet* before, const FleetSettings& settings) {
  if (before == nullptr || before->name != settings.name) return {};
  return {before->cluster, before->revision, before->epoch, before->push};
}

}  // namespace

EtcdFleet::EtcdFleet(FleetTools tools, FleetSettings settings, const AgentFleet* before)
    : tools_(std::move(tools)),
      settings_(std::move(settings)),
      host_(host_name_of(settings_)),
      client_(tools_.fetcher, settings_),
      mirror_(settings_.name, memory_of(before, settings_)),
      receipts_(tools_, settings_, client_) {
  if (before != nullptr && before->name == settings_.name) status_ = *before;
  status_.name = settings_.name;
  status_.store = "etcd " + settings_.endpoints.front();
  status_.max_age = static_cast<std::uint64_t>(settings_.max_age.count());
}

Result<std::unique_ptr<Fleet>> EtcdFleet::make(const FleetTools& tools,
                                               const FleetSettings& settings,
                                               const AgentFleet* before) {
  std::unique_ptr<EtcdFleet> fleet(new EtcdFleet(tools, settings, before));
  auto retry = fleet->tools_.loop.timer([self = fleet.get()] { self->list(); });
  if (!retry) return std::unexpected(retry.error());
  auto reconcile = fleet->tools_.loop.timer([self = fleet.get()] { self->reconcile(); });
  if (!reconcile) return std::unexpected(reconcile.error());
  fleet->retry_timer_ = std::move(*retry);
  fleet->reconcile_timer_ = std::move(*reconcile);
  auto trial = fleet->tools_.loop.timer([self = fleet.get()] { self->end_trial(); });
  if (!trial) return std::unexpected(trial.error());
  fleet->trial_timer_ = std::move(*trial);
  if (auto armed = fleet->receipts_.arm(); !armed) return std::unexpected(armed.error());
  fleet->reconcile_timer_.set_after(settings.reconcile);
  if (const auto& known = fleet->status_.trial; known && !known->is_undone) {
    const auto left = known->until - std::chrono::system_clock::now();
    fleet->trial_timer_.set_after(std::clamp<std::chrono::microseconds>(
        std::chrono::ceil<std::chrono::microseconds>(left), milliseconds(0),
        std::chrono::seconds(longest_trial_s) + grace));
  }
  fleet->list();
  return fleet;
}

void EtcdFleet::list() {
  if (is_listing_) return;
  is_listing_ = true;
  client_.stop_watching();
  client_.call("/v3/kv/range", list_request(fleet_prefix(settings_.name)),
               [this](const Result<std::string>& answer) {
                 is_listing_ = false;
                 take_listing(answer);
               });
}

void EtcdFleet::take_listing(const Result<std::string>& answer) {
  if (!answer) return fail(answer.error());
  const auto listing = parse_listing(*answer);
  if (!listing) return fail(listing.error());
  if (const auto taken = mirror_.take_listing(*listing); !taken) return fail(taken.error());
  note_good();
  apply(true);
  watch();
}

void EtcdFleet::watch() {
  client_.watch(
      watch_request(fleet_prefix(settings_.name), mirror_.memory().revision + 1),
      [this](const std::string& line) { take_line(line); },
      [this](const Error& error) { fail(error); });
}

void EtcdFleet::take_line(const std::string& line) {
  const auto news = parse_news(line);
  if (!news) return fail(news.error());
  if (news->is_cancelled) {
    // Compacted: what came in between is not to be had any more, but the keys as they are now are.
    if (news->compacted > 0) return list();
    return fail({news->why.empty() ? "etcd has ended the watch" : news->why, ""});
  }
  if (news->keys.empty()) return;
  if (const auto taken = mirror_.take_changes(news->header, news->keys); !taken)
    return fail(taken.error());
  apply(true);
}

void EtcdFleet::reconcile() {
  reconcile_timer_.set_after(settings_.reconcile);
  receipts_.keep_alive();
  if (!mirror_.is_known() || is_listing_) return list();
  client_.call("/v3/kv/range",
               list_request(fleet_prefix(settings_.name), mirror_.memory().revision + 1),
               [this](const Result<std::string>& answer) { take_changes(answer); });
}

void EtcdFleet::take_changes(const Result<std::string>& answer) {
  if (!answer) return fail(answer.error());
  const auto listing = parse_listing(*answer);
  if (!listing) return fail(listing.error());
  if (listing->header.cluster != mirror_.memory().cluster ||
      listing->header.revision < mirror_.memory().revision || listing->count == 0)
    return list();  // which tells what to make of it
  const bool is_news = !listing->keys.empty();
  if (is_news)
    tools_.log.info("fleet {}: a change was found before the watch told", settings_.name);
  if (const auto taken = mirror_.take_changes(listing->header, listing->keys); !taken)
    return fail(taken.error());
  if (!mirror_.has_all(listing->count)) return list();
  note_good();
  // Also without news: a file that could not be written may be by now.
  apply(is_news);
  if (is_news) watch();
}

bool EtcdFleet::is_in_turn() const {
  return position_of(host_, mirror_.head().push) < mirror_.head().share;
}

void EtcdFleet::apply(bool is_news) {
  const auto& memory = mirror_.memory();
  status_.cluster = memory.cluster;
  status_.revision = memory.revision;
  status_.epoch = memory.epoch;
  status_.held_back = first_of(mirror_.complaints());
  if (!mirror_.is_known()) {
    status_.held_back.emplace_back("the fleet has no keys yet");
    return tools_.on_news();
  }
  if (!is_in_turn()) {
    status_.waiting = fmt::format("push {} is being tried on other hosts", mirror_.head().push);
    return tools_.on_news();
  }
  const auto pushed = mirror_.content(FleetMirror::Version::pushed);
  follow_trial(pushed);
  status_.waiting = is_undone() ? fmt::format("push {} was not confirmed in time, and is undone",
                                              mirror_.head().push)
                                : "";
  const auto result =
      write_fleet(is_undone() ? mirror_.content(FleetMirror::Version::before) : pushed, settings_,
                  tools_.folders);
  status_.push = mirror_.head().push;
  status_.held_back.insert(status_.held_back.end(), result.held_back.begin(),
                           result.held_back.end());
  status_.held_back = first_of(std::move(status_.held_back));
  if (result.is_changed) {
    tools_.log.info("fleet {}: push {} by {} is {}, revision {}", settings_.name,
                    mirror_.head().push, mirror_.head().author,
                    is_undone() ? "undone, as nobody has confirmed it" : "written",
                    memory.revision);
  }
  if (is_news && !status_.held_back.empty())
    tools_.log.warn("fleet {}: held back: {}", settings_.name, fmt::join(status_.held_back, "; "));
  if (is_news || result.is_changed)
    receipts_.tell(mirror_.head(), memory.revision, status_.held_back, is_undone());
  tools_.on_news();
}

bool EtcdFleet::is_undone() const {
  return mirror_.has_lapsed() || (status_.trial && status_.trial->is_undone);
}

// What has to be known to undo the push without the store; before its files are written.
void EtcdFleet::follow_trial(const FleetContent& pushed) {
  const auto& head = mirror_.head();
  if (!mirror_.is_on_trial()) {
    status_.trial.reset();
    trial_timer_.stop();
    return;
  }
  if (status_.trial && status_.trial->push == head.push) return;
  auto databases = selected_databases(pushed, settings_);
  const auto before = selected_databases(mirror_.content(FleetMirror::Version::before), settings_);
  databases.insert(databases.end(), before.begin(), before.end());
  auto undo = own_part(mirror_.undo(), databases, tools_.folders);
  const auto within = std::chrono::seconds(std::min(head.confirm_s, longest_trial_s)) + grace;
  status_.trial = {head.push, std::chrono::system_clock::now() + within, false,
                   std::move(undo.databases), std::move(undo.ranges)};
  tools_.on_news();  // which keeps it over a restart
  trial_timer_.set_after(within);
}

void EtcdFleet::end_trial() {
  if (!status_.trial) return;
  status_.trial->is_undone = true;
  if (mirror_.is_known()) return apply(true);
  const auto result =
      write_all({status_.trial->databases, {}, status_.trial->ranges}, tools_.folders);
  if (result.is_changed)
    tools_.log.warn("fleet {}: push {} is undone, as nobody has confirmed it", settings_.name,
                    status_.trial->push);
  for (const auto& sentence : result.held_back)
    tools_.log.error("fleet {}: push {} is not undone: {}", settings_.name, status_.trial->push,
                     sentence);
  tools_.on_news();
}

void EtcdFleet::fail(const Error& error) {
  client_.stop_watching();
  const auto text = format_error(error);
  if (text != status_.error)
    tools_.log.warn("fleet {}: {}; what was taken stays in force", settings_.name, text);
  status_.error = text;
  client_.turn_to_next();
  const auto wait = std::min(last_retry, first_retry * (1 << std::min(failures_, 5U)));
  ++failures_;
  // Not all hosts at once: they have lost their watch in the same moment.
  const auto spread = position_of(host_, failures_) % 1000;
  retry_timer_.set_after(wait * (500 + spread) / 1000);
  tools_.on_news();
}

void EtcdFleet::note_good() {
  failures_ = 0;
  if (!status_.error.empty())
    tools_.log.info("fleet {}: {} answers again", settings_.name, client_.member());
  status_.error.clear();
  status_.listed = std::chrono::system_clock::now();
}

}  // namespace moat
