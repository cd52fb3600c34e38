// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/announce.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "control/cli/ask.h"
#include "control/cli/output.h"
#include "dataplane/host/processes.h"

namespace moat {
namespace {

constexpr std::size_t max_rows = 20;

const PreviewView::Rule* find_rule(const PreviewView& preview, const SessionView& session) {
  const auto rule = std::ranges::find_if(preview.rules, [&](const PreviewView::Rule& each) {
    return each.id == session.rule && each.database == session.database;
  });
  return rule == preview.rules.end() ? nullptr : &*rule;
}

void print_ends(const PreviewView& preview) {
  tell(fmt::format("{} connected now would end:", plural(preview.ends.size(), "session")),
       Colour::bad);
  const auto owners = socket_owners();
  TextTable table({{"PEER"},
                   {"DATABASE"},
                   {"RULE"},
                   {"LABEL"},
                   {"HITS", true},
                   {"LAST HIT"},
                   {"IDLE", true},
                   {"PROCESS"}});
  for (const auto& session : preview.ends) {
    if (table.size() == max_rows) break;
    const auto* rule = find_rule(preview, session);
    const auto owner = owners.find(session.socket);
    table.add({{format_peer(session)},
               {session.database},
               {or_dash(session.rule)},
               {session.label},
               {rule != nullptr ? format_number(rule->hits.packets) : "-"},
               {rule != nullptr ? ago(rule->last_hit) : "-"},
               {session.idle ? format_duration(*session.idle) : "-"},
               {session.socket == 0 || owner == owners.end()
                    ? "-"
                    : fmt::format("{} ({})", owner->second.name, owner->second.pid)}});
  }
  table.print(stderr);
  if (preview.ends.size() > max_rows)
    tell(fmt::format("and {} more", plural(preview.ends.size() - max_rows, "session")));
}

// "all sessions of rule r-1 (192.0.2.1/32, Office) end": why it is not done without a word.
std::vector<std::string> reasons_to_ask(const PreviewView& preview) {
  auto reasons = preview.opens;
  for (const auto& rule : preview.rules) {
    if (!rule.is_cut()) continue;
    reasons.push_back(
        fmt::format("all sessions of rule {} end ({}{}{}), and it had hits in the last minute",
                    rule.id, rule.source, rule.label.empty() ? "" : ", ", rule.label));
  }
  return reasons;
}

CommandError needs_yes(std::string_view meaning, const std::vector<std::string>& reasons) {
  return {Exit::usage,
          {Refusal::Kind::conflict,
           fmt::format("nothing was changed: {}, and nobody is here to ask",
                       reasons.empty() ? std::string(meaning)
                                       : fmt::format("{}", fmt::join(reasons, "; "))),
           "give --yes if that is meant",
           {}}};
}

}  // namespace

void tell_effects(const PreviewView& preview) {
  if (!preview.ends.empty()) print_ends(preview);
  for (const auto& reason : reasons_to_ask(preview)) tell("! " + reason, Colour::bad);
}

std::expected<void, CommandError> announce(const PreviewView& preview, Asks asks,
                                           std::string_view meaning) {
  tell_effects(preview);
  const auto reasons = reasons_to_ask(preview);
  if (preview.ends.empty() && reasons.empty() && asks != Asks::always) return {};
  if (isatty(STDIN_FILENO) == 0) {
    if (!preview.needs_yes && asks != Asks::always) return {};
    return std::unexpected(needs_yes(meaning, reasons));
  }
  if (ask("Make this change?")) return {};
  return std::unexpected(
      CommandError{Exit::refused,
                   {Refusal::Kind::conflict, "nothing was changed: you did not say yes", "", {}}});
}

}  // namespace moat
