// SPDX-License-Identifier: BSD-2-Clause
// moat drops: who was refused lately, or is being refused now.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "control/cli/outage.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"

namespace moat {
namespace {

struct DropsOptions {
  std::string database;
  bool follow = false;
};

constexpr std::chrono::milliseconds poll_interval{500};
constexpr std::size_t max_at_first = 10;  // of what was there before, when following

std::string format_seconds(std::chrono::system_clock::time_point time) {
  return format_time(std::chrono::floor<std::chrono::seconds>(time));
}

// What stands where there is nothing to tell.

void print_table(const std::vector<DropView>& drops) {
  TextTable table({{"LAST"},
                   {"SOURCE"},
                   {"DATABASE"},
                   {"PORT", true},
                   {"REASON"},
                   {"INTERFACE"},
                   {"VLAN", true},
                   {"PACKETS", true},
                   {"FIRST"},
                   {"NOTE"}});
  for (const auto& drop : drops) {
    table.add({{format_seconds(drop.last)},
               {or_dash(drop.source)},
               {or_dash(drop.database)},
               {or_dash(drop.port)},
               {drop.reason},
               {or_dash(drop.interface)},
               {or_dash(drop.vlan)},
               {format_number(drop.packets)},
               {format_seconds(drop.first)},
               {drop.monitored ? "passed: monitor mode" : "", Colour::doubtful}});
  }
  table.print();
}

// In columns as far as that goes when nobody knows what comes next.
void print_row(const DropView& drop) {
  const auto port = drop.port == 0 ? "" : fmt::format(":{}", drop.port);
  const auto vlan = drop.vlan == 0 ? "" : fmt::format(" vlan {}", drop.vlan);
  print_line(printable(fmt::format(
      "{}  {:<15}  {:<20}  {:<12}  {:<8}  {}{}", format_seconds(drop.last), or_dash(drop.source),
      or_dash(drop.database) + port, drop.reason, drop.interface + vlan, drop.packets,
      drop.monitored ? "  passed: monitor mode" : "")));
}

void print_rest(const DropsView& view) {
  if (view.unlisted == 0) return;
  tell(
      fmt::format("{} on this host not listed, but counted: too many at once, or too long ago. See "
                  "`moat counters`",
                  view.unlisted == 1 ? "1 more dropped packet"
                                     : format_number(view.unlisted) + " more dropped packets"));
}

ClientResult<DropsView> fetch_drops(const Client& client, const DropsOptions& options,
                                    std::uint64_t since) {
  return as<DropsView>(client.get(
      "/v1/drops", {{"database", options.database}, {"since", fmt::format("{}", since)}}));
}

Exit list_drops(const Cli& cli, const DropsOptions& options) {
  const auto view = fetch_drops(Client(cli), options, 0);
  if (!view) return fail(cli, view.error());
  if (cli.json) {
    print_json(document(encode(*view)));
    return Exit::done;
  }
  const Pager pager(cli);
  if (view->drops.empty()) tell("no drops");
  print_table(view->drops);
  print_rest(*view);
  return Exit::done;
}

// The latest last.
void print_rows(const Cli& cli, std::vector<DropView> drops) {
  std::ranges::reverse(drops);
  for (const auto& drop : drops) {
    if (cli.json) {
      print_json_line(document(encode(drop)));
    } else {
      print_row(drop);
    }
  }
  std::fflush(stdout);
}

// A line for each row that is new or has changed; until interrupted.
Exit follow_drops(const Cli& cli, const DropsOptions& options) {
  const Client client(cli);
  Outage outage;
  std::uint64_t since = 0;
  bool is_first = true;
  for (;; std::this_thread::sleep_for(poll_interval)) {
    auto view = fetch_drops(client, options, since);
    // Another moatd numbers its rows anew.
    if (view && since != 0 && (outage.end() || view->next < since))
      view = fetch_drops(client, options, 0);
    if (!view) {
      if (outage.covers(view.error())) continue;
      return fail(cli, view.error());
    }
    outage.end();
    if (std::exchange(is_first, false) && view->drops.size() > max_at_first)
      view->drops.resize(max_at_first);
    since = view->next;
    print_rows(cli, std::move(view->drops));
  }
}

Exit show_drops(const Cli& cli, const DropsOptions& options) {
  return options.follow ? follow_drops(cli, options) : list_drops(cli, options);
}

}  // namespace

Action command::drops(Options& options) {
  const auto values = std::make_shared<DropsOptions>();
  options = {{"--database", "ID", &values->database, "On the way to this database alone"},
             {"--follow", "", &values->follow, "Go on with what comes, until interrupted"}};
  return make_action(values, show_drops);
}

}  // namespace moat
