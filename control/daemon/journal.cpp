// SPDX-License-Identifier: BSD-2-Clause
// What has happened, for the journal of events and for who waits for it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/daemon/daemon.h"
#include "control/service/settings_text.h"

namespace moat {
namespace {

std::string_view describe(const InterfaceStatus& interface) {
  if (interface.moved) return "moved away";
  if (!interface.present) return "absent";
  if (interface.foreign) return "somebody else's program";
  if (interface.mode == AttachMode::none) return "no program";
  return interface.mode == AttachMode::generic ? "generic mode" : "native mode";
}

}  // namespace

void Daemon::tell(std::string_view kind, std::string message, std::string subject,
                  std::string author, std::string code) {
  const auto kept =
      events_.add({0, WallClock::now(), std::string(kind), std::move(subject), std::move(code),
                   publisher_.generation(), std::move(author), std::move(message)});
  set_problem(Step::events, kept, "the journal lacks what has happened");
  if (!api_) return;
  api_->notify();
  api_timer_.set_after(std::chrono::microseconds(0));
}

// What there was no room for.
void Daemon::keep_events() {
  set_problem(Step::events, events_.keep(), "the journal lacks what has happened");
}

// The generation, and of what it only looks on.
std::string Daemon::in_force() const {
  const auto* enforced = publisher_.enforced();
  return fmt::format("generation {} is enforced{}", publisher_.generation(),
                     enforced == nullptr ? "" : describe_monitored(enforced->policy));
}

void Daemon::tell_change(const ApplyResult& applied, std::string_view kind) {
  const auto& cause = applied.cause;
  tell(kind,
       fmt::format("{}: {}{}{}", in_force(), cause.what, applied.change.empty() ? "" : ": ",
                   applied.change),
       "", cause.who);
  tell_modes(cause.who, applied.settings_changed ? applied.settings_author : cause.who);
}

// With a generation it is a part of what changed. Who asked for that has not written moat.yaml.
void Daemon::note_settings(const Cause& cause, ApplyResult& applied) {
  if (!applied.settings_changed) return;
  const auto before = std::exchange(settings_told_, settings_.config());
  const auto what = before ? describe_settings_change(*before, *settings_told_) : std::string();
  auto& author = applied.settings_author;
  if (author.empty()) author = applied.cause.who;
  if (!applied.committed) {
    tell(event_kind::change,
         fmt::format("moat.yaml has changed, and is in force{}{}", what.empty() ? "" : ": ", what),
         "", author);
    tell_modes(applied.cause.who, author);
  } else if (!what.empty()) {
    applied.change += fmt::format("{}moat.yaml{}: {}", applied.change.empty() ? "" : "; ",
                                  cause.what.empty() ? "" : ", written by " + author, what);
  }
}

// That somebody has written files by which no packet is judged otherwise: no generation names who.
void Daemon::tell_written(const ApplyResult& applied) {
  if (!applied.enforced || applied.committed || applied.settings_changed) return;
  tell(event_kind::change,
       fmt::format("{}: no rule in force changes, and generation {} stays", applied.cause.what,
                   applied.generation),
       "", applied.cause.who);
}

// What the modes were before the first look is not known.
void Daemon::tell_modes(const std::string& author, const std::string& settings_author) {
  const auto* enforced = publisher_.enforced();
  if (enforced == nullptr) return;
  const auto& policy = enforced->policy;
  std::map<std::string, Mode> now{{"", policy.mode}};
  for (const auto& database : policy.databases) now[database.id] = policy.mode_of(database);
  const auto before = std::exchange(modes_, now);
  if (!before) return;
  for (const auto& [id, mode] : now) {
    const auto was = before->find(id);
    if (was == before->end() || was->second == mode) continue;
    // A database that changes together with the host has no mode of its own, most likely.
    const bool is_by_host = before->at("") != policy.mode && mode == policy.mode;
    tell(event_kind::mode,
         fmt::format("{}: {} mode from now on",
                     id.empty() ? "the host (moat.yaml)" : "database " + id, to_string(mode)),
         id, is_by_host ? settings_author : author);
  }
}

void Daemon::tell_interfaces() {
  std::map<std::string, std::string> now;
  for (const auto& interface : interfaces_.status()) now[interface.name] = describe(interface);
  const auto before = std::exchange(links_told_, now);
  if (!before) return;
  for (const auto& [name, state] : now) {
    const auto was = before->find(name);
    if (was != before->end() && was->second == state) continue;
    tell(event_kind::interface,
         fmt::format("interface {}: {}{}{}", name, was == before->end() ? "" : was->second,
                     was == before->end() ? "" : " -> ", state),
         name);
  }
  for (const auto& [name, state] : *before) {
    if (!now.contains(name))
      tell(event_kind::interface, fmt::format("interface {}: no longer guarded", name), name);
  }
}

// Problems that the daemon before this one had told of are told again only if they have ended.
void Daemon::recall_problems() {
  for (const auto& event : events_.recent()) {
    if (event.kind == event_kind::problem) {
      problems_told_[{event.code, event.subject}] = event.message;
    } else if (event.kind == event_kind::problem_over) {
      problems_told_.erase({event.code, event.subject});
    }
  }
}

void Daemon::tell_problems(const StatusView& status) {
  std::map<std::pair<std::string, std::string>, std::string> now;
  for (const auto& problem : status.problems)
    now.emplace(std::pair(problem.code, problem.subject), problem.message);
  const auto before = std::exchange(problems_told_, now);
  for (const auto& [key, message] : before) {
    if (!now.contains(key))
      tell(event_kind::problem_over, "no longer: " + message, key.second, "", key.first);
  }
  for (const auto& [key, message] : now) {
    if (!before.contains(key)) tell(event_kind::problem, message, key.second, "", key.first);
  }
}

void Daemon::look_for_problems() {
  if (!is_detached_) tell_problems(views_.status(facts()));
}

}  // namespace moat
