// SPDX-License-Identifier: BSD-2-Clause
// moat events: what has happened, and what happens now.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "control/cli/outage.h"
#include "control/cli/output.h"
#include "control/policy/expiry.h"

namespace moat {
namespace {

struct EventsOptions {
  bool follow = false;
  std::string since;
};

constexpr auto wait_for_news = "8s";             // less than a client waits for an answer
constexpr std::size_t max_events_at_first = 10;  // of what was there before, when following
constexpr std::chrono::milliseconds between_tries{500};

ClientResult<EventsView> fetch_events(const Client& client, std::uint64_t since, bool waits) {
  return as<EventsView>(client.get(
      "/v1/events", {{"since", fmt::format("{}", since)}, {"wait", waits ? wait_for_news : ""}}));
}

// All there are, an answer's worth at a time.
ClientResult<EventsView> ask_all(const Client& client) {
  EventsView all;
  for (;;) {
    auto view = fetch_events(client, all.next, false);
    if (!view) return view;
    all.next = view->next;
    if (view->events.empty()) return all;
    std::ranges::move(view->events, std::back_inserter(all.events));
  }
}

Colour colour_of(const Event& event) {
  if (event.kind == event_kind::problem || event.kind == event_kind::detach) return Colour::bad;
  return event.kind == event_kind::problem_over ? Colour::good : Colour::none;
}

std::string describe(const Event& event) {
  return printable(
      fmt::format("{}{}{}", event.message, event.author.empty() ? "" : ", by ", event.author));
}

void print_lines(const Cli& cli, const std::vector<Event>& events) {
  for (const auto& event : events) {
    if (cli.json) {
      print_json_line(document(encode(event)));
    } else {
      print_line(fmt::format("{}  {:<12}  {}", format_time_ms(event.time), printable(event.kind),
                             paint(describe(event), colour_of(event))));
    }
  }
  std::fflush(stdout);
}

void keep_since(std::vector<Event>& events, const std::optional<WallTime>& then) {
  if (then) std::erase_if(events, [&](const Event& event) { return event.time < *then; });
}

Exit list_events(const Cli& cli, const std::optional<WallTime>& then) {
  auto view = ask_all(Client(cli));
  if (!view) return fail(cli, view.error());
  keep_since(view->events, then);
  if (cli.json) {
    print_json(document(encode(*view)));
    return Exit::done;
  }
  if (view->events.empty()) tell("no events");
  print_lines(cli, view->events);
  return Exit::done;
}

// Until interrupted.
Exit follow_events(const Cli& cli, const std::optional<WallTime>& then) {
  const Client client(cli);
  Outage outage;
  auto first = ask_all(client);
  if (!first) return fail(cli, first.error());
  outage.end();
  keep_since(first->events, then);
  if (!then && first->events.size() > max_events_at_first)
    first->events.erase(first->events.begin(), first->events.end() - max_events_at_first);
  print_lines(cli, first->events);
  for (auto since = first->next;;) {
    const auto view = fetch_events(client, since, true);
    if (!view) {
      if (!outage.covers(view.error())) return fail(cli, view.error());
      std::this_thread::sleep_for(between_tries);
      continue;
    }
    outage.end();
    since = view->next;  // of a journal that was lost it begins anew
    print_lines(cli, view->events);
  }
}

Exit show_events(const Cli& cli, const EventsOptions& options) {
  std::optional<WallTime> then;
  if (!options.since.empty()) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto read = parse_since(options.since, now);
    if (!read) return fail(cli, misspelt(read.error(), options.since));
    then = *read;
  }
  return options.follow ? follow_events(cli, then) : list_events(cli, then);
}

}  // namespace

Action command::events(Options& options) {
  const auto values = std::make_shared<EventsOptions>();
  options = {{"--follow", "", &values->follow, "Go on with what comes, until interrupted"},
             {"--since", "WHEN", &values->since, "Not before: 2h, 7d, a day or a time"}};
  return make_action(values, show_events);
}

}  // namespace moat
