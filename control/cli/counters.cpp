// SPDX-License-Identifier: BSD-2-Clause
// moat counters
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "control/cli/outage.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"
#include "control/cli/screen.h"

namespace moat {
namespace {

using Steady = std::chrono::steady_clock;

struct CountersOptions {
  std::string database;
  bool watch = false;
};

constexpr std::chrono::seconds between_looks{2};

// ---- What is counted, in words ----

std::string name_of(const RuleView& rule) {
  return fmt::format("{}: rule {} ({}{}{})", rule.database, rule.id, rule.source,
                     rule.label.empty() ? "" : ", ", rule.label);
}

std::string name_of(const CountersView::Reason& reason) {
  return fmt::format("{}: {} {}", reason.owner, reason.reason,
                     !reason.is_drop    ? "passed"
                     : reason.monitored ? "passed in monitor mode"
                                        : "dropped");
}

std::string name_of_allowed(const CountersView::Total& total) {
  return total.database + ": allowed";
}
std::string name_of_dropped(const CountersView::Total& total) {
  return total.database + ": dropped";
}

using Counted = std::map<std::string, Counts>;  // by what it is

Counted count(const CountersView& counters) {
  Counted counted;
  for (const auto& total : counters.totals) {
    counted[name_of_allowed(total)] = total.allowed;
    counted[name_of_dropped(total)] = total.dropped;
  }
  for (const auto& rule : counters.rules) counted[name_of(rule)] = rule.hits;
  for (const auto& reason : counters.reasons) counted[name_of(reason)] = reason.counts;
  return counted;
}

// Since the look before.
class Rates {
 public:
  // Of a first look: none.
  Rates() = default;
  Rates(const Counted& before, Steady::duration passed) : before_(&before), passed_(passed) {}

  [[nodiscard]] bool are_known() const { return before_ != nullptr; }
  // Packets a second.
  [[nodiscard]] std::string of(const std::string& name, const Counts& now) const {
    const auto found = before_ == nullptr ? Counted::const_iterator() : before_->find(name);
    if (before_ == nullptr || found == before_->end() || found->second.packets > now.packets)
      return "-";
    const auto seconds = std::chrono::duration<double>(passed_).count();
    return format_number(static_cast<std::uint64_t>(
        static_cast<double>(now.packets - found->second.packets) / std::max(seconds, 0.001)));
  }

 private:
  const Counted* before_ = nullptr;
  Steady::duration passed_{};
};

// ---- As tables ----

bool is_monitored(const CountersView& counters) {
  return std::ranges::any_of(counters.totals, [](const CountersView::Total& total) {
    return total.mode == Mode::monitor || total.monitored.packets != 0;
  });
}

std::string totals_text(const CountersView& counters, const Rates& rates) {
  const bool has_monitored = is_monitored(counters);
  std::vector<Column> columns{{"DATABASE"}, {"PACKETS ALLOWED", true}, {"BYTES", true}};
  if (rates.are_known()) columns.push_back({"A SECOND", true});
  columns.insert(columns.end(), {{"PACKETS DROPPED", true}, {"BYTES", true}});
  if (rates.are_known()) columns.push_back({"A SECOND", true});
  if (has_monitored)
    columns.insert(columns.end(), {{"PASSED IN MONITOR", true}, {"BYTES", true}, {"MODE"}});
  TextTable table(std::move(columns));
  for (const auto& total : counters.totals) {
    std::vector<Cell> row{{total.database},
                          {format_number(total.allowed.packets)},
                          {format_bytes(total.allowed.bytes)}};
    if (rates.are_known()) row.push_back({rates.of(name_of_allowed(total), total.allowed)});
    row.push_back({format_number(total.dropped.packets)});
    row.push_back({format_bytes(total.dropped.bytes)});
    if (rates.are_known()) row.push_back({rates.of(name_of_dropped(total), total.dropped)});
    if (has_monitored) {
      const bool is_on = total.mode == Mode::monitor;
      row.push_back({format_number(total.monitored.packets)});
      row.push_back({format_bytes(total.monitored.bytes)});
      row.push_back(
          {is_on ? "monitor: they pass" : "enforce", is_on ? Colour::doubtful : Colour::none});
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string rules_text(const CountersView& counters, const Rates& rates) {
  std::vector<Column> columns{{"RULE"},        {"CIDR OR RANGE ID"}, {"LABEL"},   {"PACKETS", true},
                              {"BYTES", true}, {"LAST HIT"},         {"DATABASE"}};
  if (rates.are_known()) columns.insert(columns.begin() + 5, {"A SECOND", true});
  TextTable table(std::move(columns));
  for (const auto& rule : counters.rules) {
    std::vector<Cell> row{{rule.id},
                          {rule.source},
                          {rule.label},
                          {format_number(rule.hits.packets)},
                          {format_bytes(rule.hits.bytes)},
                          {ago(rule.last_hit)},
                          {rule.database}};
    if (rates.are_known()) row.insert(row.begin() + 5, {rates.of(name_of(rule), rule.hits)});
    table.add(std::move(row));
  }
  return table.empty() ? "" : "\n" + table.text();
}

// What a reason of packets that no rule was asked about means.
std::string meaning(const std::string& reason) {
  if (reason == "not-ip") return "neither IPv4 nor IPv6, as ARP and LLDP";
  if (reason == "not-guarded") return "no database guards what they are for";
  if (reason == "exempt") return "the host's own, or by a trusted interface";
  return "";
}

// The reasons of drops, or those of packets that passed without a rule.
std::string reasons_text(const CountersView& counters, const Rates& rates, bool drops) {
  std::vector<Column> columns{
      {drops ? "DROPPED AS" : "PASSED AS"}, {"OF"}, {"PACKETS", true}, {"BYTES", true}};
  if (rates.are_known()) columns.push_back({"A SECOND", true});
  columns.push_back({"NOTE"});
  TextTable table(std::move(columns));
  for (const auto& reason : counters.reasons) {
    if (reason.is_drop != drops) continue;
    std::vector<Cell> row{{reason.reason},
                          {reason.owner},
                          {format_number(reason.counts.packets)},
                          {format_bytes(reason.counts.bytes)}};
    if (rates.are_known()) row.push_back({rates.of(name_of(reason), reason.counts)});
    row.push_back({!drops             ? meaning(reason.reason)
                   : reason.monitored ? "passed: monitor mode"
                                      : "",
                   reason.monitored && drops ? Colour::doubtful : Colour::none});
    table.add(std::move(row));
  }
  return table.empty() ? "" : "\n" + table.text();
}

std::string text_of(const CountersView& counters, const Rates& rates) {
  return totals_text(counters, rates) + rules_text(counters, rates) +
         reasons_text(counters, rates, true) + reasons_text(counters, rates, false);
}

// ---- Once, or again and again ----

ClientResult<Document> look(const Cli& cli, const CountersOptions& options) {
  return Client(cli).get("/v1/counters", {{"database", options.database}});
}

Exit show_once(const Cli& cli, const CountersOptions& options) {
  const auto answer = look(cli, options);
  const auto counters = as<CountersView>(answer);
  if (!counters) return fail(cli, counters.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  if (counters->totals.empty()) tell("nothing counted yet");
  const Pager pager(cli);
  write_text(text_of(*counters, {}));
  return Exit::done;
}

// A line for each count that has changed.
void print_changes(const Counted& before, const Counted& now) {
  const auto time = format_time_ms(std::chrono::system_clock::now());
  for (const auto& [name, counts] : now) {
    const auto old = before.find(name);
    const Counts was = old == before.end() ? Counts{} : old->second;
    if (counts.packets == was.packets) continue;
    print_line(printable(
        fmt::format("{}  {}: {} packet{}, {}{}", time, name, format_number(counts.packets),
                    counts.packets == 1 ? "" : "s", format_bytes(counts.bytes),
                    old == before.end() || counts.packets < was.packets
                        ? ""
                        : fmt::format(" (+{})", format_number(counts.packets - was.packets)))));
  }
}

// Without a screen: for a file, a pipe or a program.
Exit watch_lines(const Cli& cli, const CountersOptions& options) {
  Outage outage;
  Counted before;
  for (;; std::this_thread::sleep_for(between_looks)) {
    const auto answer = look(cli, options);
    const auto counters = as<CountersView>(answer);
    if (!counters) {
      if (outage.covers(counters.error())) continue;
      return fail(cli, counters.error());
    }
    outage.end();
    if (cli.json) {
      print_json_line(**answer);
    } else {
      auto now = count(*counters);
      print_changes(before, now);
      before = std::move(now);
    }
    std::fflush(stdout);
  }
}

// What is on the screen, and what it is compared with the next time.
struct Watched {
  Counted before;
  Steady::time_point at;
  std::string text;

  // Nothing: go on. While moatd is away, that is what is shown.
  std::optional<CommandError> look_again(const Cli& cli, const CountersOptions& options) {
    const auto counters = as<CountersView>(look(cli, options));
    text = fmt::format("{}  moat counters, every {} s; q ends\n\n",
                       format_time_ms(std::chrono::system_clock::now()), between_looks.count());
    if (!counters) {
      if (counters.error().exit == Exit::refused) return counters.error();
      text += paint(printable(counters.error().refusal.message), Colour::bad) + "\n";
      before.clear();
      return std::nullopt;
    }
    const auto now = Steady::now();
    text += text_of(*counters, before.empty() ? Rates() : Rates(before, now - at));
    before = count(*counters);
    at = now;
    return std::nullopt;
  }
};

Exit watch_screen(const Cli& cli, const CountersOptions& options) {
  // What is wrong from the start is told on the terminal as it is.
  if (const auto first = look(cli, options); !first) return fail(cli, first.error());
  std::optional<CommandError> failure;
  Watched watched;
  {
    const Screen screen;
    for (auto event = Screen::Event::time_passed; event != Screen::Event::end;
         event = screen.wait(between_looks)) {
      if (event == Screen::Event::time_passed) failure = watched.look_again(cli, options);
      if (failure) break;
      Screen::draw(watched.text);
    }
  }
  return failure ? fail(cli, *failure) : Exit::done;
}

Exit show_counters(const Cli& cli, const CountersOptions& options) {
  if (!options.watch) return show_once(cli, options);
  if (cli.json || isatty(STDOUT_FILENO) == 0) return watch_lines(cli, options);
  return watch_screen(cli, options);
}

}  // namespace

Action command::counters(Options& options) {
  const auto values = std::make_shared<CountersOptions>();
  options = {
      {"--database", "ID", &values->database, "Of this database alone"},
      {"--watch", "", &values->watch, "Again every 2 seconds, with packets a second; q ends it"}};
  return make_action(values, show_counters);
}

}  // namespace moat
