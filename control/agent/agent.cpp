// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/agent.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "control/agent/dns_source.h"
#include "control/agent/first_error.h"
#include "control/agent/local_source.h"
#include "control/agent/web_source.h"
#include "control/files/settings.h"
#include "control/os/log.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

using Clock = std::chrono::system_clock;

// The wall clock may be set, and a timer does not hear of it.
constexpr std::chrono::milliseconds longest_sleep{60'000};

}  // namespace

Result<AgentPlan> read_agent_plan(const std::string& agent_yaml, Faults& warnings) {
  const auto file = read_regular_file(AT_FDCWD, agent_yaml, agent_yaml, limits::file_bytes);
  if (!file) return std::unexpected(Error{format_fault(file.error()), ""});
  auto reading = read_agent_file(agent_yaml, file->bytes);
  if (!reading.value) return std::unexpected(first_error(reading.faults));
  warnings = std::move(reading.faults);
  const auto beside = std::filesystem::path(agent_yaml).parent_path() / reading.value->moat_yaml;
  Settings moat(beside);
  moat.read();
  if (!moat.is_known()) return std::unexpected(first_error(moat.faults()));
  return AgentPlan{std::move(*reading.value), moat.folders()};
}

Agent::Agent(std::string agent_yaml, AgentPlan plan, EventLoop loop, Log& log)
    : agent_yaml_(std::move(agent_yaml)),
      plan_(std::move(plan)),
      log_(log),
      loop_(std::move(loop)) {}

Result<std::unique_ptr<Agent>> Agent::start(const std::string& agent_yaml, Log& log) {
  Faults warnings;
  auto plan = read_agent_plan(agent_yaml, warnings);
  if (!plan) return std::unexpected(plan.error());
  for (const auto& warning : warnings) log.warn("{}", format_fault(warning));
  auto loop = EventLoop::open();
  if (!loop) return std::unexpected(loop.error());
  std::unique_ptr<Agent> agent(new Agent(agent_yaml, std::move(*plan), std::move(*loop), log));
  if (auto armed = agent->arm(); !armed) return std::unexpected(armed.error());
  return agent;
}

Result<> Agent::keep(Result<EventLoop::Source> source) {
  if (!source) return std::unexpected(source.error());
  sources_.push_back(std::move(*source));
  return {};
}

Result<> Agent::arm() {
  auto fetcher = Fetcher::open(loop_);
  if (!fetcher) return std::unexpected(fetcher.error());
  fetcher_ = std::move(*fetcher);
  auto timer = loop_.timer([this] { wake(); });
  if (!timer) return std::unexpected(timer.error());
  timer_ = std::move(*timer);
  for (const int signal : {SIGTERM, SIGINT}) {
    if (auto kept = keep(loop_.on_signal(signal, [this] { loop_.stop(); })); !kept) return kept;
  }
  // What was known is worth a request; without it the lists come again.
  if (auto known = read_agent_status(folder()); !known) {
    log_.warn("{}", format_error(known.error()));
  } else if (*known) {
    status_ = std::move(**known);
  }
  return keep_ranges();
}

Result<std::unique_ptr<Source>> Agent::make_source(const RangeSource& settings) {
  if (std::holds_alternative<LocalList>(settings.from)) return LocalSource::make(loop_, settings);
  if (std::holds_alternative<DnsName>(settings.from)) {
    const auto* before = status_.find(settings.id);
    const bool is_its_own = before != nullptr && before->origin == origin_of(settings);
    return DnsSource::make(loop_, settings,
                           is_its_own ? written_cidrs(folder(), settings.id) : Prefixes{});
  }
  return std::make_unique<WebSource>(*fetcher_, settings);
}

Result<> Agent::keep_ranges() {
  kept_.clear();
  const auto random = [this] { return std::uniform_real_distribution(0.0, 1.0)(random_); };
  for (const auto& settings : plan_.settings.ranges) {
    auto source = make_source(settings);
    if (!source) return std::unexpected(source.error());
    kept_.push_back(std::make_unique<Kept>(
        RangeKeeper(settings, folder(), status_.find(settings.id), random), std::move(*source)));
  }
  for (const auto& before : status_.sources) {
    const auto is_it = [&](const auto& kept) { return kept->keeper.settings().id == before.range; };
    if (std::ranges::none_of(kept_, is_it)) {
      log_.warn("{} is kept no longer: its file {} stays as it is", before.range,
                range_path(folder(), before.range));
    }
  }
  return {};
}

Result<> Agent::run() {
  if (auto added = keep(loop_.on_signal(SIGHUP, [this] { reload(); })); !added) return added;
  if (watch_.fd() >= 0) {
    if (auto added = keep(loop_.on_readable(watch_.fd(), [this] { look_for_wishes(); })); !added)
      return added;
  }
  watch_.follow({folder() + "/" + std::string(agent_refresh_name)});
  log_.info("managed ranges kept in {}: {}", folder(), kept_.size());
  timer_.set_after(std::chrono::microseconds(0));
  if (auto followed = follow(); !followed) return followed;
  return loop_.run();
}

Result<> Agent::follow() {
  fleet_.reset();
  if (!plan_.settings.fleet) {
    status_.fleet.reset();
    return {};
  }
  auto fleet = follow_fleet({loop_, *fetcher_, log_, plan_.folders, [this] { save(); }},
                            *plan_.settings.fleet, status_.fleet ? &*status_.fleet : nullptr);
  if (!fleet) return std::unexpected(fleet.error());
  fleet_ = std::move(*fleet);
  return {};
}

void Agent::reload() {
  Faults warnings;
  auto plan = read_agent_plan(agent_yaml_, warnings);
  if (!plan) {
    log_.error("{}; what was read before stays in force", format_error(plan.error()));
    return;
  }
  for (const auto& warning : warnings) log_.warn("{}", format_fault(warning));
  plan_ = std::move(*plan);
  for (auto step : {&Agent::keep_ranges, &Agent::follow}) {
    if (auto done = (this->*step)(); !done) log_.error("{}", format_error(done.error()));
  }
  watch_.follow({folder() + "/" + std::string(agent_refresh_name)});
  log_.info("{} is read anew; managed ranges: {}", agent_yaml_, kept_.size());
  wake();
}

void Agent::look_for_wishes() {
  static_cast<void>(watch_.drain());
  watch_.follow({folder() + "/" + std::string(agent_refresh_name)});
  wake();
}

void Agent::ask(Kept& kept, const std::function<void(const Result<WriteResult>&)>& done,
                WriteMode mode) {
  kept.is_asking = true;
  const auto known = kept.keeper.begin(Clock::now());
  // To try it out, the whole list is wanted.
  kept.source->ask(mode == WriteMode::write ? known : KnownList{},
                   [this, &kept, done, mode](const Result<SourceAnswer>& answer) {
                     kept.is_asking = false;
                     const auto before = kept.keeper.status().error;
                     const auto result = kept.keeper.finish(answer, Clock::now(), mode);
                     if (mode == WriteMode::write) tell(kept, result, before);
                     done(result);
                   });
}

void Agent::tell(const Kept& kept, const Result<WriteResult>& result,
                 const std::string& error_before) {
  const auto& status = kept.keeper.status();
  if (!result) {
    if (status.error != error_before)
      log_.warn("{}: {}; {}", status.range, status.error,
                status.digest.empty() ? "there is no list of it yet"
                                      : "the last good list stays in force");
    return;
  }
  if (result->is_changed) {
    log_.info("{}: {} prefixes added, {} removed{}{}", status.range, result->added, result->removed,
              status.version.empty() ? "" : ", version ", status.version);
  } else if (!error_before.empty()) {
    log_.info("{}: {} answers again", status.range, status.source);
  }
}

void Agent::wake() {
  const auto now = Clock::now();
  for (const auto& wish : read_refresh_requests(folder())) {
    for (const auto& kept : kept_) {
      const auto& status = kept->keeper.status();
      if (status.range == wish.range && (!status.attempted || *status.attempted < wish.time))
        kept->keeper.hurry();
    }
  }
  auto sleep = longest_sleep;
  for (const auto& kept : kept_) {
    if (kept->is_asking) continue;
    if (kept->keeper.is_due(now)) {
      ask(
          *kept,
          [this](const Result<WriteResult>&) {
            save();
            wake();
          },
          WriteMode::write);
    } else {
      const auto left = *kept->keeper.status().next - now;
      sleep = std::min(sleep, std::chrono::ceil<std::chrono::milliseconds>(left));
    }
  }
  timer_.set_after(sleep);
}

void Agent::save() {
  status_.sources.clear();
  for (const auto& kept : kept_) status_.sources.push_back(kept->keeper.status());
  if (fleet_) status_.fleet = fleet_->status();
  if (auto written = write_agent_status(folder(), status_); !written)
    log_.error("{}", format_error(written.error()));
}

Result<std::vector<Agent::Try>> Agent::fetch(const std::vector<std::string>& only, WriteMode mode) {
  std::vector<Try> tries;
  std::size_t waiting = 0;
  for (const auto& id : only) {
    const auto is_it = [&](const auto& kept) { return kept->keeper.settings().id == id; };
    if (std::ranges::none_of(kept_, is_it)) {
      return std::unexpected(
          Error{fmt::format("{} names no managed range \"{}\"", agent_yaml_, id), ""});
    }
  }
  for (const auto& kept : kept_) {
    const auto& id = kept->keeper.settings().id;
    if (!only.empty() && std::ranges::find(only, id) == only.end()) continue;
    ++waiting;
    ask(
        *kept,
        [&, id, it = kept.get()](const Result<WriteResult>& result) {
          tries.push_back({id, result, it->keeper.status()});
          if (--waiting == 0) loop_.stop();
        },
        mode);
  }
  if (waiting > 0) {
    if (auto ran = loop_.run(); !ran) return std::unexpected(ran.error());
  }
  if (waiting > 0) return std::unexpected(Error{"interrupted", ""});
  if (mode == WriteMode::write) save();
  std::ranges::sort(tries, {}, &Try::id);
  return tries;
}

}  // namespace moat
