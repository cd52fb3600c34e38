// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_command.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ranges>
#include <thread>

#include "control/agent/first_error.h"
#include "control/agent/fleet_bundle.h"
#include "control/agent/fleet_push.h"
#include "control/agent/fleet_store.h"
#include "control/os/local_names.h"
#include "control/policy/expiry.h"
#include "control/text/input_limits.h"
#include "control/text/some_of.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int done = 0;
constexpr int refused = 1;
constexpr std::chrono::milliseconds between_looks{200};
constexpr std::size_t max_named = 10;

void say(const std::string& line) { std::printf("%s\n", printable(line).c_str()); }

int fail(const Error& error) {
  std::fprintf(stderr, "moat: %s\n", printable(format_error(error)).c_str());
  return refused;
}

Result<FleetSettings> read_settings(const FleetOptions& options) {
  const auto& path = options.config;
  const auto file = read_regular_file(AT_FDCWD, path, path, limits::file_bytes);
  if (!file) return std::unexpected(Error{format_fault(file.error()), ""});
  auto reading = read_agent_file(path, file->bytes);
  if (!reading.value) return std::unexpected(first_error(reading.faults));
  if (!reading.value->fleet)
    return std::unexpected(Error{path + " names no fleet", "write `fleet:`, see agent.yaml(5)"});
  return std::move(*reading.value->fleet);
}

Result<FleetSettings> read_store_settings(const FleetOptions& options) {
  auto settings = read_settings(options);
  if (settings && settings->endpoints.empty()) {
    return std::unexpected(Error{"this fleet is kept on a web server, which takes no push",
                                 "make its file with moat fleet bundle"});
  }
  return settings;
}

double milliseconds_at(const std::vector<std::uint64_t>& sorted, double part) {
  const auto index = static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1));
  return static_cast<double>(sorted[index]) / 1000;
}

void say_progress(const FleetProgress& progress) {
  if (progress.hosts == 0) return say("no host has told of itself yet");
  say(fmt::format("{} of {} hosts enforce it", progress.enforced, progress.hosts));
  if (!progress.latencies.empty()) {
    say(fmt::format("received -> enforced: p50 {:.0f} ms, p99 {:.0f} ms",
                    milliseconds_at(progress.latencies, 0.5),
                    milliseconds_at(progress.latencies, 0.99)));
  }
  if (progress.ended_sessions > 0) say(fmt::format("sessions ended: {}", progress.ended_sessions));
  for (const auto& host : progress.failed) say(host);
  if (!progress.undone.empty()) say("undone on: " + some_of(progress.undone, max_named));
  if (!progress.missing.empty()) say("no receipt yet: " + some_of(progress.missing, max_named));
}

// In seconds; 0: it need not be confirmed.
Result<std::uint64_t> read_trial(const FleetOptions& options) {
  if (options.confirm.empty()) return 0;
  if (!options.canary.empty()) {
    return std::unexpected(
        Error{"both --confirm and --canary", "give one of them: a canary is taken back by itself"});
  }
  const auto length = parse_length(options.confirm);
  if (!length)
    return std::unexpected(Error{"--confirm: " + length.error().message, length.error().remedy});
  const auto length_s = static_cast<std::uint64_t>(length->count());
  if (length_s < shortest_trial_s || length_s > longest_trial_s) {
    return std::unexpected(
        Error{fmt::format("--confirm: not within {} s and {} s", shortest_trial_s, longest_trial_s),
              "write 60s, say"});
  }
  return length_s;
}

class Pusher {
 public:
  Pusher(const FleetSettings& settings, const FleetOptions& options)
      : store_(settings), options_(options) {}

  Result<> push(FleetPush push, const StoredFleet& before) {
    const auto stages = parse_stages(options_.canary.empty() ? "100%" : options_.canary);
    if (!stages) return std::unexpected(stages.error());
    const auto wait = parse_length(options_.wait);
    if (!wait)
      return std::unexpected(Error{"--wait: " + wait.error().message, wait.error().remedy});
    const auto trial = read_trial(options_);
    if (!trial) return std::unexpected(trial.error());
    const auto receipts = store_.receipts();
    if (!receipts) return std::unexpected(receipts.error());
    const auto known = store_.hosts();
    if (!known) return std::unexpected(known.error());
    hosts_ = hosts_of(*known, *receipts);
    if (hosts_.empty() && !options_.canary.empty()) {
      return std::unexpected(Error{"no host has told of itself, so there is none to go first",
                                   "push without --canary"});
    }
    head_ = before.head;
    head_.push = push.push = before.head.push + 1;
    head_.author = push.author = user_name(::geteuid());
    head_.time = push.time = format_time_ms(std::chrono::system_clock::now());
    head_.message = push.message = options_.message;
    head_.host_count = hosts_.size();
    head_.confirm_s = *trial;
    head_.share = share_for(hosts_, head_.push, stages->front());
    if (options_.is_new_store) {
      head_.epoch =
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                         std::chrono::system_clock::now().time_since_epoch())
                                         .count());
    }
    const auto revision = store_.push(push, head_, hosts_, before.head_revision);
    if (!revision) return std::unexpected(revision.error());
    revision_ = *revision;
    say(fmt::format("push {} is in the store, revision {}", head_.push, revision_));
    if (head_.confirm_s > 0)
      say(fmt::format("the hosts undo it in {} s, unless before: moat fleet confirm",
                      head_.confirm_s));
    return options_.waits || stages->size() > 1 ? carry(push, *stages, *wait) : Result<>();
  }

 private:
  Result<> carry(const FleetPush& push, const std::vector<unsigned>& stages,
                 std::chrono::seconds wait) {
    const bool has_canary = stages.size() > 1;
    for (std::size_t stage = 0; stage < stages.size(); ++stage) {
      if (stage > 0) {
        head_.share = share_for(hosts_, head_.push, stages[stage]);
        const auto revision = store_.set_head(head_, revision_);
        if (!revision) return std::unexpected(revision.error());
        revision_ = *revision;
      }
      const auto progress = await(wait, has_canary);
      if (!progress) return std::unexpected(progress.error());
      if (has_canary) say(fmt::format("{}% of the hosts:", stages[stage] / 100.0));
      say_progress(*progress);
      const auto why = why_not(*progress);
      if (why.empty()) continue;
      if (!has_canary) return std::unexpected(Error{why, "see moat fleet status"});
      return take_back(push, why);
    }
    return {};
  }

  [[nodiscard]] std::string why_not(const FleetProgress& progress) const {
    if (!progress.failed.empty()) return "a host holds it back: " + progress.failed.front();
    if (!progress.missing.empty())
      return fmt::format("no receipt within {}: {}", options_.wait,
                         some_of(progress.missing, max_named));
    if (options_.max_ended > 0 && progress.ended_sessions > options_.max_ended) {
      return fmt::format("it has ended {} sessions, more than {}", progress.ended_sessions,
                         options_.max_ended);
    }
    return {};
  }

  Result<FleetProgress> await(std::chrono::seconds wait, bool ends_early) {
    const auto deadline = Steady::now() + wait;
    for (;;) {
      const auto receipts = store_.receipts();
      if (!receipts) return std::unexpected(receipts.error());
      auto progress = progress_of(head_, hosts_, *receipts);
      const bool is_over = progress.is_done() || (ends_early && !progress.failed.empty());
      if (is_over || Steady::now() >= deadline) return progress;
      // All receipts are read each time: rarely of many.
      std::this_thread::sleep_for(
          std::max(between_looks, std::chrono::milliseconds(hosts_.size() / 5)));
    }
  }

  // What was there before is pushed to all: those hosts that have not taken it notice nothing.
  Result<> take_back(const FleetPush& push, const std::string& why) {
    auto history = store_.history();
    if (!history) return std::unexpected(history.error());
    auto undo = plan_rollback(*history, push.push - 1);
    if (!undo) {
      // The first push of all: nothing was there before.
      undo = FleetPush{.before = push.after, .after = push.before};
      for (auto& [key, value] : undo->after)
        if (!value) value = std::string(tombstone);
    }
    head_.push = undo->push = push.push + 1;
    head_.share = all_shares;
    head_.message = undo->message = fmt::format("push {} taken back: {}", push.push, why);
    head_.time = undo->time = format_time_ms(std::chrono::system_clock::now());
    undo->author = head_.author;
    const auto revision = store_.push(*undo, head_, hosts_, revision_);
    if (!revision) {
      return std::unexpected(Error{
          fmt::format("{}; and it could not be taken back: {}", why, revision.error().message),
          "see moat fleet status"});
    }
    return std::unexpected(
        Error{fmt::format("{}: push {} was taken back", why, push.push), "see moat fleet history"});
  }

  FleetStore store_;
  const FleetOptions& options_;
  std::vector<std::string> hosts_;
  FleetHead head_;
  std::int64_t revision_ = 0;
};

// The difference between the folder and what hosts are to have.
Result<FleetPush> plan(const StoredFleet& stored, const FleetContent& wanted) {
  if (stored.is_on_trial) {
    return std::unexpected(
        Error{fmt::format("push {} waits to be confirmed", stored.head.push),
              fmt::format("moat fleet confirm, or back with moat fleet rollback {}",
                          stored.head.push - 1)});
  }
  return stored.has_lapsed() ? plan_push_after_lapse(stored.content, stored.before, wanted)
                             : plan_push(stored.content, wanted);
}

int push_planned(const FleetSettings& settings, const FleetOptions& options,
                 const StoredFleet& before, Result<FleetPush> push) {
  if (!push) return fail(push.error());
  if (push->after.empty() && !options.is_new_store) {
    say("nothing to push: the fleet says the same already");
    return done;
  }
  for (const auto& line : describe_push(*push)) say(line);
  if (options.is_dry) return done;
  const auto pushed = Pusher(settings, options).push(std::move(*push), before);
  return pushed ? done : fail(pushed.error());
}

}  // namespace

int push_fleet(const FleetOptions& options) {
  const auto settings = read_store_settings(options);
  if (!settings) return fail(settings.error());
  Faults faults;
  const auto wanted = read_fleet_folder(options.folder, faults);
  for (const auto& fault : faults)
    std::fprintf(stderr, "%s\n", printable(format_fault(fault)).c_str());
  if (!wanted) return fail(wanted.error());
  const auto stored = FleetStore(*settings).read();
  if (!stored) return fail(stored.error());
  return push_planned(*settings, options, *stored, plan(*stored, *wanted));
}

int roll_back_fleet(const FleetOptions& options) {
  const auto settings = read_store_settings(options);
  if (!settings) return fail(settings.error());
  FleetStore store(*settings);
  const auto stored = store.read();
  if (!stored) return fail(stored.error());
  const auto history = store.history();
  if (!history) return fail(history.error());
  auto again = options;
  if (again.message.empty()) again.message = fmt::format("back to push {}", options.to);
  return push_planned(*settings, again, *stored, plan_rollback(*history, options.to));
}

int confirm_fleet(const FleetOptions& options) {
  const auto settings = read_store_settings(options);
  if (!settings) return fail(settings.error());
  FleetStore store(*settings);
  const auto stored = store.read();
  if (!stored) return fail(stored.error());
  auto head = stored->head;
  if (head.confirm_s == 0) return fail({"no push waits to be confirmed", "see moat fleet status"});
  head.confirm_s = 0;
  if (const auto confirmed = store.confirm(head, stored->head_revision); !confirmed)
    return fail(confirmed.error());
  say(fmt::format("push {} is confirmed, and stays", head.push));
  return done;
}

int show_fleet_status(const FleetOptions& options) {
  const auto settings = read_store_settings(options);
  if (!settings) return fail(settings.error());
  FleetStore store(*settings);
  const auto stored = store.read();
  if (!stored) return fail(stored.error());
  const auto receipts = store.receipts();
  if (!receipts) return fail(receipts.error());
  const auto known = store.hosts();
  if (!known) return fail(known.error());
  const auto hosts = hosts_of(*known, *receipts);
  const auto progress = progress_of(stored->head, hosts, *receipts);
  if (stored->head_revision == 0) {
    say(fmt::format("fleet {}: nothing was pushed yet", settings->name));
    return done;
  }
  say(fmt::format("fleet {}: push {} by {} at {}{}", settings->name, stored->head.push,
                  stored->head.author, stored->head.time,
                  stored->head.message.empty() ? "" : ": " + stored->head.message));
  if (stored->is_on_trial) say("it waits to be confirmed: moat fleet confirm");
  if (stored->has_lapsed())
    say("nobody has confirmed it in time, and hosts have what was there before");
  if (stored->head.share < all_shares)
    say(fmt::format("on {} of {} hosts, as a trial", progress.hosts, hosts.size()));
  say_progress(progress);
  return progress.is_done() ? done : refused;
}

int show_fleet_history(const FleetOptions& options) {
  const auto settings = read_store_settings(options);
  if (!settings) return fail(settings.error());
  const auto history = FleetStore(*settings).history();
  if (!history) return fail(history.error());
  for (const auto& push : std::views::reverse(*history)) {
    say(fmt::format("{}  {}  {}  {}", push.push, push.time, push.author, push.message));
    for (const auto& line : describe_push(push)) say("    " + line);
  }
  return done;
}

int print_fleet_bundle(const FleetOptions& options) {
  const auto settings = read_settings(options);
  if (!settings) return fail(settings.error());
  Faults faults;
  auto content = read_fleet_folder(options.folder, faults);
  for (const auto& fault : faults)
    std::fprintf(stderr, "%s\n", printable(format_fault(fault)).c_str());
  if (!content) return fail(content.error());
  const auto text = to_json(FleetBundle{settings->name, options.serial, std::move(*content)});
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? done : refused;
}

}  // namespace moat
