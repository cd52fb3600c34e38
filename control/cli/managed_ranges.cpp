// SPDX-License-Identifier: BSD-2-Clause
// moat managed-ranges list, show, refresh, accept
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/cli/ask.h"
#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"

namespace moat {
namespace {

struct ShowOptions {
  std::string id;
};

constexpr std::chrono::seconds for_a_refresh{90};
constexpr std::chrono::milliseconds refresh_interval{100};

Cell status_cell(const ManagedRangeView& range) {
  const auto& source = range.source;
  if (range.held_version) return {"version held back", Colour::bad};
  if (range.withdrawn) return {"withdrawn", Colour::doubtful};
  if (source && source->is_stale) return {"stale", Colour::bad};
  if (source && !source->error.empty()) return {"failing", Colour::doubtful};
  if (range.held_down_prefixes > 0)
    return {fmt::format("active, {} held down", format_number(range.held_down_prefixes)),
            Colour::doubtful};
  return {"active", Colour::good};
}

std::string describe(const std::optional<RangeSourceView>& source) {
  if (!source) return "-";
  return source->version.empty() ? source->source
                                 : fmt::format("{} version {}", source->source, source->version);
}

struct AcceptOptions {
  std::string id;
  std::string digest;
  ChangeOptions change;
};

Exit list(const Cli& cli) {
  const auto answer = Client(cli).get("/v1/managed-ranges");
  const auto ranges = as_list<ManagedRangeView>(answer, "managed_ranges");
  if (!ranges) return fail(cli, ranges.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  TextTable table({{"ID"},
                   {"NAME"},
                   {"PREFIXES", true},
                   {"STATUS"},
                   {"USED BY"},
                   {"CHANGED"},
                   {"CHECKED"},
                   {"DIGEST"},
                   {"FILE"},
                   {"SOURCE"}});
  std::vector<std::string> failing;
  for (const auto& range : *ranges) {
    const auto& source = range.source;
    if (source && !source->error.empty())
      failing.push_back(fmt::format("{}: {}; next try at {}", range.id, source->error,
                                    source->next ? format_time_ms(*source->next) : "once"));
    table.add({{range.id},
               {range.name},
               {format_number(range.prefixes)},
               status_cell(range),
               {range.used_by.empty() ? "-" : fmt::format("{}", fmt::join(range.used_by, ", "))},
               {ago(range.changed)},
               {source ? ago(source->fetched) : "-"},
               {range.digest},
               {range.path},
               {describe(source)}});
  }
  if (table.empty()) tell("no managed ranges");
  table.print();
  for (const auto& sentence : failing) tell(printable(sentence), Colour::doubtful);
  return Exit::done;
}

void print_comment(const std::string& text) { print_line(printable("# " + text)); }

void print_source(const RangeSourceView& source) {
  print_comment(fmt::format("from {}, checked {}{}, next try {}", describe(source),
                            ago(source.fetched), source.is_stale ? " (STALE)" : "",
                            source.next ? "at " + format_time_ms(*source.next) : "at once"));
  if (!source.note.empty()) print_comment(source.note);
  if (source.ipv6 > 0) print_comment(fmt::format("{} IPv6 entries passed over", source.ipv6));
  if (!source.error.empty())
    print_comment(fmt::format("FAILING, {} times now: {}", source.failures, source.error));
}

// What is known of its versions.
void print_history(const ManagedRangeView& range) {
  if (range.enforced_at) {
    print_comment(fmt::format("this version since {}: {} added, {} removed",
                              format_time(*range.enforced_at), range.added, range.removed));
  }
  if (range.returned_since) {
    print_comment(range.returned == 0
                      ? fmt::format("no prefix has left and come back while held down since {}",
                                    format_time(*range.returned_since))
                      : fmt::format("left and came back while held down: {} since {}",
                                    range.returned == 1
                                        ? "1 prefix"
                                        : fmt::format("{} prefixes", range.returned),
                                    format_time(*range.returned_since)));
  }
  if (range.not_held > 0)
    print_comment(
        fmt::format("{} removed prefixes are not held down: there was no room", range.not_held));
  if (const auto& held = range.held_version) {
    print_comment(fmt::format("HELD BACK: version {} of {} prefixes {}", held->digest,
                              held->prefixes, held->change));
    print_comment(fmt::format("to enforce it: moat managed-ranges accept {} --digest {}", range.id,
                              held->digest));
  }
}

void print_held_down(const ManagedRangeView& range) {
  for (const auto& held : range.held_down) {
    print_comment(fmt::format("held down: {} left at {}, and stays allowed until {}",
                              format_prefix(held.prefix), format_time(held.left),
                              format_time(held.until)));
  }
  if (range.held_down_prefixes > range.held_down.size())
    print_comment(
        fmt::format("held down: and {} more", range.held_down_prefixes - range.held_down.size()));
}

// In the form of a cidrs-file, for whoever wants one.
Exit show(const Cli& cli, const ShowOptions& options) {
  const auto answer = Client(cli).get("/v1/managed-ranges/" + escape(options.id));
  const auto range = as<ManagedRangeView>(answer);
  if (!range) return fail(cli, range.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  print_line(printable(fmt::format("# {}: {}", range->id, range->name)));
  print_line(printable(
      fmt::format("# {}, digest {}, {}{}",
                  range->prefixes == 1 ? "1 prefix" : fmt::format("{} prefixes", range->prefixes),
                  range->digest, range->path, range->withdrawn ? ", withdrawn" : "")));
  if (!range->used_by.empty()) {
    print_line(printable(fmt::format("# used by {}", fmt::join(range->used_by, ", "))));
  }
  if (range->source) print_source(*range->source);
  print_history(*range);
  print_held_down(*range);
  for (const auto& cidr : range->cidrs) print_line(printable(cidr));
  return Exit::done;
}

// Once the agent has tried since `asked`; nothing: it has not in time.
ClientResult<std::optional<RangeSourceView>> await_try(Client& client, const RefreshView& asked) {
  const auto deadline = std::chrono::steady_clock::now() + for_a_refresh;
  while (std::chrono::steady_clock::now() < deadline) {
    // Without its CIDRs.
    const auto ranges =
        as_list<ManagedRangeView>(client.get("/v1/managed-ranges"), "managed_ranges");
    if (!ranges) return std::unexpected(ranges.error());
    const auto range = std::ranges::find(*ranges, asked.range, &ManagedRangeView::id);
    if (range != ranges->end() && range->source && range->source->attempted &&
        *range->source->attempted >= asked.asked)
      return range->source;
    std::this_thread::sleep_for(refresh_interval);
  }
  return std::nullopt;
}

Exit refresh(const Cli& cli, const ShowOptions& options) {
  Client client(cli);
  const auto asked = as<RefreshView>(client.post("/v1/refresh/" + escape(options.id), ""));
  if (!asked) return fail(cli, asked.error());
  const auto tried = await_try(client, *asked);
  if (!tried) return fail(cli, tried.error());
  const auto& source = *tried;
  if (!source) {
    return fail(cli, {Exit::not_enforced,
                      {Refusal::Kind::unavailable,
                       "moat-agent does not answer",
                       "see systemctl status moat-agent",
                       {}}});
  }
  if (cli.json) {
    print_json(encode(*source));
  } else if (source->error.empty()) {
    print_line(
        printable(fmt::format("{} is as {} has it{}{}", source->range, source->source,
                              source->version.empty() ? "" : ", version ", source->version)));
  } else {
    tell(printable(fmt::format("{} stays as it was: {}", source->range, source->error)));
  }
  return source->error.empty() ? Exit::done : Exit::refused;
}

struct Version {
  std::string digest;
  Asks asks = Asks::where_due;
};

// Which version is there to be accepted; says what it changes, and has somebody look at it.
ClientResult<Version> find_version(Client& client, const AcceptOptions& options) {
  if (!options.digest.empty()) return Version{options.digest};
  const auto range = as<ManagedRangeView>(client.get("/v1/managed-ranges/" + escape(options.id)));
  if (!range) return std::unexpected(range.error());
  if (!range->held_version) return Version{range->digest};  // moatd says that there is none
  const auto& [digest, prefixes, change] = *range->held_version;
  tell(printable(
      fmt::format("version {} of {}, with {} prefixes, {}", digest, range->id, prefixes, change)));
  return Version{digest, Asks::always};
}

Exit accept(const Cli& cli, const AcceptOptions& options) {
  Client client(cli);
  const auto version = find_version(client, options);
  if (!version) return fail(cli, version.error());
  const auto send = [&] {
    return client.patch("/v1/managed-ranges/" + escape(options.id), {},
                        dump(encode(AcceptedVersion{version->digest})));
  };
  const auto reply = send_edit(client, options.change, send, version->asks,
                               "a version is accepted once somebody has seen it");
  return report_change(cli, client, reply, options.change);
}

}  // namespace

Action command::refresh_range(Options& options) {
  const auto values = std::make_shared<ShowOptions>();
  options = {{"ID", "", &values->id, "The managed range"}};
  return make_action(values, refresh);
}

Action command::list_ranges(Options&) { return list; }

Action command::show_range(Options& options) {
  const auto values = std::make_shared<ShowOptions>();
  options = {{"ID", "", &values->id, "The managed range"}};
  return make_action(values, show);
}

Action command::accept_range(Options& options) {
  const auto values = std::make_shared<AcceptOptions>();
  options = {{"ID", "", &values->id, "The managed range"},
             {"--digest", "DIGEST", &values->digest, "Of the version that is meant"},
             yes(values->change.yes),
             no_wait(values->change)};
  return make_action(values, accept);
}

}  // namespace moat
