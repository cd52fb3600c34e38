// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/enforcer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "control/enforce/describe_change.h"
#include "control/files/host_checks.h"
#include "control/os/log.h"
#include "control/resolve/resolve.h"

namespace moat {
namespace {

double milliseconds(Enforcer::Steady::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// What has expired since the live table was compiled.
std::string expired_meanwhile(const Publisher& publisher) {
  const auto* enforced = publisher.enforced();
  const auto from = publisher.expired_until();
  if (enforced == nullptr || !from) return "";
  return describe_expiries(enforced->policy, *from, publisher.expiry_time());
}

std::string join_changes(const std::string& one, const std::string& other) {
  return one + (one.empty() || other.empty() ? "" : "; ") + other;
}

// " (rule added, by ada)"
std::string by(const Cause& cause) {
  if (cause.what.empty() && cause.who.empty()) return "";
  if (cause.who.empty()) return fmt::format(" ({})", cause.what);
  return fmt::format(" ({}, by {})", cause.what, cause.who);
}

}  // namespace

Enforcer::Enforcer(Settings& settings, FileScanner& scanner, Publisher& publisher, Log& log)
    : settings_(settings),
      scanner_(scanner),
      publisher_(publisher),
      log_(log),
      exposed_(publisher.state().exposed) {}

ApplyResult Enforcer::apply(const Cause& cause) {
  std::optional<Policy> before;
  if (publisher_.enforced() != nullptr) before = publisher_.enforced()->policy;
  const auto expired = expired_meanwhile(publisher_);
  const auto owner = scanner_.changed().find(settings_.path());
  const auto author = owner == scanner_.changed().end() ? "" : owner->second;
  Resolution resolution;
  const auto outcome = publish_what_fits(resolution);
  tell_held_back(resolution);
  if (!outcome) {
    auto applied = fail(outcome.error());
    applied.settings_author = author;
    guard_anyway(resolution.state.policy);
    return applied;
  }
  if (before) {
    const auto& after = resolution.state.policy;
    report_exposed(exposed_.replace(*before, after, publisher_.expiry_time()), after);
    publisher_.keep_exposed(exposed_.ports());
    tell_relaxed(*before, after);
  }

  auto applied = result_of(*outcome, complete(cause));
  if (outcome->committed) {
    applied.change =
        join_changes(describe_change(before.value_or(Policy{}), resolution.state.policy), expired);
    log_generation(applied, outcome->enforced_at - scanner_.scan_begun());
  }
  for (const auto& [id, count] : resolution.not_held)
    log_.warn("{} prefixes that have left managed range {} are not held down: there is no room",
              count, id);
  succeed(std::move(resolution), *outcome);
  applied.settings_changed = scanner_.take_settings_changed();
  applied.settings_author = author;
  return applied;
}

// A generation that was committed just now.
void Enforcer::log_generation(const ApplyResult& applied, Steady::duration took) {
  const auto* in_force = publisher_.enforced();
  log_.set_generation(applied.generation);
  log_.about(LogEvent::enforced)
      .info("generation {} {} in {:.1f} ms{}{}{}{}", applied.generation,
            applied.enforced ? "enforced" : "live, but not everywhere yet,", milliseconds(took),
            in_force == nullptr ? "" : describe_monitored(in_force->policy),
            applied.change.empty() ? "" : ": ", applied.change, by(applied.cause));
}

// What was published is enforced once everything judges by it.
ApplyResult Enforcer::result_of(const Publisher::PublishResult& outcome, Cause cause) {
  const auto everywhere = publisher_.check_everywhere();
  is_behind_ = !everywhere;
  return {.enforced = !is_behind_,
          .committed = outcome.committed,
          .is_behind = is_behind_,
          .generation = outcome.generation,
          .enforced_at = outcome.enforced_at,
          .why_not = everywhere ? "" : format_error(everywhere.error()),
          .cause = std::move(cause)};
}

ResolveInput Enforcer::resolve_input() const {
  const auto& config = settings_.config();
  const auto& state = publisher_.state();
  const auto hold_down = std::chrono::ceil<std::chrono::seconds>(config.hold_down);
  return {scanner_.files(),          config.mode,
          publisher_.enforced(),     state.forgotten,
          publisher_.resolve_time(), {config.guard, hold_down, state.accepted, versions_}};
}

// `resolution`: what shall be enforced.
Result<Publisher::PublishResult> Enforcer::publish_what_fits(Resolution& resolution) {
  const auto input = resolve_input();
  const auto no_help = settings_.has_fallen_back() ? settings_.path() : "";
  resolution = resolve(input);
  auto outcome = publisher_.publish(resolution, no_help);
  if (outcome) return outcome;
  // Only now, as it is seldom so, and to look costs as much as to publish.
  auto fitting = hold_back_to_fit(input, resolution);
  if (!fitting) return outcome;
  resolution = *std::move(fitting);
  return publisher_.publish(resolution, no_help);
}

// Without a table all ports are open, after a boot: rather what was enforced last, and where that
// cannot be had, nobody.
void Enforcer::guard_anyway(const Policy& wanted) {
  if (publisher_.generation() != 0) return;
  if (const auto last = publisher_.renew(true); last && last->committed) {
    log_.set_generation(last->generation);
    log_.about(LogEvent::enforced)
        .warn("generation {} is enforced: what was enforced last", last->generation);
  } else if (const auto closed = publisher_.close(wanted); closed) {
    log_.set_generation(closed->generation);
    log_.about(LogEvent::not_enforced)
        .error("generation {} is enforced: nobody is allowed", closed->generation);
  } else {
    log_.about(LogEvent::not_enforced)
        .error("nothing is guarded: {}", format_error(closed.error()));
  }
}

void Enforcer::succeed(Resolution resolution, const Publisher::PublishResult& outcome) {
  std::vector<std::string> held_back;
  for (const auto& file : resolution.files) {
    if (file.state != FileState::active) held_back.push_back(file.path);
  }
  if (settings_.is_held_back()) held_back.push_back(settings_.path());
  if (is_behind_)
    scanner_.set_stale();
  else
    scanner_.set_enforced(outcome.generation, held_back);
  resolution_ = std::move(resolution);
  if (!failure_.empty())
    log_.about(LogEvent::problem_over).info("enforced again after: {}", failure_);
  failure_.clear();
}

ApplyResult Enforcer::fail(const Error& error) {
  auto why = format_error(error);
  if (why != failure_) {
    log_.about(LogEvent::not_enforced)
        .error("not enforced, generation {} stays: {}", publisher_.generation(), why);
  }
  scanner_.set_stale();
  failure_ = why;
  return {.settings_changed = scanner_.take_settings_changed(),
          .generation = publisher_.generation(),
          .why_not = why};
}

ApplyResult Enforcer::renew(const std::string& why, bool forced) {
  const auto begun = Steady::now();
  const auto expired = expired_meanwhile(publisher_);
  const auto outcome = publisher_.renew(forced);
  if (!outcome) return fail(outcome.error());
  auto done = result_of(*outcome, {why, "", ""});
  if (outcome->committed) {
    done.change = expired;
    log_generation(done, outcome->enforced_at - begun);
  }
  return done;
}

Cause Enforcer::complete(const Cause& cause) const {
  if (!cause.what.empty()) return cause;
  std::vector<std::string> names;
  std::set<std::string> owners;
  for (const auto& [path, owner] : scanner_.changed()) {
    names.push_back(std::filesystem::path(path).filename());
    owners.insert(owner);
  }
  auto whole = cause;
  whole.what = fmt::format("{}", fmt::join(names, ", "));
  if (whole.who.empty()) whole.who = fmt::format("{}", fmt::join(owners, ", "));
  return whole;
}

// Once for each fault, not at each turn.
void Enforcer::tell_held_back(const Resolution& resolution) {
  std::set<std::string> now;
  std::string_view database;
  const auto tell_once = [&](spdlog::level::level_enum level, std::string text) {
    if (!told_.contains(text)) log_.about(LogEvent::held_back, database).log(level, text);
    now.insert(std::move(text));
  };
  const auto tell = [&](const Faults& faults) {
    for (const auto& fault : faults) {
      if (fault.severity == Severity::error) tell_once(spdlog::level::err, format_fault(fault));
    }
  };
  tell(settings_.faults());
  for (const auto& fault : scanner_.files().passed_over)
    tell_once(spdlog::level::warn, format_fault(fault));
  for (const auto& file : resolution.files) {
    if (file.state == FileState::active) continue;
    database = file.id;
    const auto some = some_faults(file.faults);
    tell(some);
    if (const auto rest = count_faults(file.faults) - some.size(); rest > 0) {
      tell_once(spdlog::level::warn,
                fmt::format("{}: and {} more: moat check shows them", file.path, rest));
    }
    tell_once(spdlog::level::warn, fmt::format("{}: {}", file.path, word(file.state)));
  }
  told_ = std::move(now);
}

void Enforcer::tell_relaxed(const Policy& before, const Policy& after) {
  for (const auto& database : after.databases) {
    const auto* old = before.find(database.id);
    if (old == nullptr || before.mode_of(*old) == Mode::monitor) continue;
    if (after.mode_of(database) == Mode::enforce) continue;
    log_.about(LogEvent::monitored, database.id)
        .warn("database {} is in monitor mode from now on: what would be dropped passes",
              database.id);
  }
}

void Enforcer::report_exposed(const std::vector<ExposedPort>& ports, const Policy& policy) {
  if (ports.empty()) return;
  const auto open = listeners();
  if (!open) return;
  for (const auto& exposed :
       exposed_.open(policy, *open, host_addresses(), publisher_.expiry_time()))
    log_.about(LogEvent::exposed).warn("{} ({})", exposed.message, exposed.remedy);
}

}  // namespace moat
