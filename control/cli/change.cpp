// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/change.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <tuple>

#include "control/cli/output.h"
#include "control/service/status_text.h"
#include "control/text/some_of.h"

namespace moat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_asks{200};

// A change that failed left its generation in place: the one that enforces it is a later one. One
// that the fast path does not have yet is live already.
bool is_enforced(const StatusView& status, const ChangeView& change) {
  const bool waits = std::ranges::any_of(status.pending, [&](const Propagation& pending) {
    return change.path.empty() || pending.path == change.path;
  });
  if (waits || status.fast_path.is_behind) return false;
  return status.generation > change.generation ||
         (change.is_behind && status.generation == change.generation);
}

// Looks at the status until the change is in force, or the bound has passed.
ClientResult<ChangeView> wait_for(Client& client, ChangeView change) {
  const auto start = Clock::now();
  const auto already = change.took;
  while (!change.enforced && change.took < change.bound) {
    std::this_thread::sleep_for(between_asks);
    const auto status = client.status();
    if (!status) return std::unexpected(status.error());
    change.took = already + Milliseconds(Clock::now() - start);
    change.enforced = is_enforced(*status, change);
    if (!change.enforced) continue;
    change.generation = status->generation;
    std::erase_if(change.monitored, [&](const std::string& id) {
      return std::ranges::find(status->monitored, id) == status->monitored.end();
    });
  }
  return change;
}

// "2 sessions ended: 192.0.2.9 (orders), 192.0.2.10 (orders, 2 sessions)"; empty: none.
std::string describe_ended(const ChangeView& change) {
  if (change.ended_sessions == 0) return "";
  std::vector<std::string> peers;
  std::uint64_t named = 0;
  for (const auto& [peer, database, sessions] : change.ended) {
    named += sessions;
    std::vector<std::string> details;
    if (!database.empty()) details.push_back(database);
    if (sessions != 1) details.push_back(plural(sessions, "session"));
    peers.push_back(details.empty() ? peer
                                    : fmt::format("{} ({})", peer, fmt::join(details, ", ")));
  }
  if (named != change.ended_sessions)
    peers.push_back(fmt::format("and {} more", plural(change.ended_sessions - named, "session")));
  return fmt::format("{} ended: {}", plural(change.ended_sessions, "session"),
                     fmt::join(peers, ", "));
}

// It may be meant, and looks like any other change.
void tell_closed(const ChangeView& change) {
  for (const auto& database : change.closed) {
    tell(fmt::format("! {} has no rule in force: nobody can reach it", printable(database)),
         Colour::bad);
    tell(fmt::format("  -> moat rules add --database {} --cidr ...", printable(database)));
  }
}

// What files are left out of, and what that leaves: "NOT GUARDED: shop.yaml: its ports are open
// until this is mended", "held back: orders (orders.yaml): what was last enforced stays".
void tell_left_out(const std::optional<StatusView>& status) {
  bool has_told = false;
  if (status) {
    for (const auto& problem : status->problems) {
      if (problem.code != code::not_guarded && problem.code != code::held_back) continue;
      tell("! " + printable(problem.message), Colour::bad);
      has_told = true;
    }
  }
  if (!has_told) {
    tell("not all of it: what has errors is held back, and what was last enforced of it stays",
         Colour::bad);
  }
}

// "; monitor mode, so nothing is dropped: orders"; empty: what no rule allows is dropped.
std::string describe_monitored(const ChangeView& change) {
  if (change.monitored.empty()) return "";
  return printable(
      fmt::format("; monitor mode, so nothing is dropped: {}", some_of(change.monitored, 5)));
}

// `status`: after the change, where what it is not enforced by is to be told.
Exit tell_outcome(const ChangeView& change, const ChangeOptions& options,
                  const std::optional<StatusView>& status) {
  const auto gaps = status ? not_enforced_by(*status) : "";
  const auto bound = format_duration(change.bound);
  if (!change.unchanged.empty()) {
    tell(fmt::format("{}: nothing was changed", printable(change.unchanged)), Colour::good);
    if (change.enforced) return Exit::done;
  }
  if (change.enforced) {
    const bool is_whole = !has_error(change.warnings);
    if (!is_whole) tell_left_out(status);
    const std::string_view done = change.monitored.empty() ? "enforced" : "in force";
    if (gaps.empty()) {
      tell(fmt::format("generation {} {} in {} (bound {}){}", change.generation, done,
                       format_duration(change.took), bound, describe_monitored(change)),
           Colour::good);
    } else {
      tell(fmt::format("generation {} {}, but {}", change.generation, done, printable(gaps)),
           Colour::bad);
    }
    return is_whole && gaps.empty() ? Exit::done : Exit::refused;
  }
  const auto cause = change.why_not.empty() ? "moatd does not say why" : change.why_not;
  if (options.no_wait) {
    tell(fmt::format("accepted, not enforced yet: {}", cause), Colour::doubtful);
    return Exit::done;
  }
  tell(fmt::format("accepted, but NOT ENFORCED within {}: {}", bound, cause), Colour::bad);
  tell("      moatd goes on trying: see moat status");
  return Exit::not_enforced;
}

}  // namespace

Option no_wait(ChangeOptions& options) {
  return {"--no-wait", "", &options.no_wait,
          "Return when the change is accepted, whether or not it is enforced yet"};
}

Option confirm(ChangeOptions& options) {
  return {"--confirm", "TIME", &options.confirm,
          "Undo it after this time, as in 60s, unless moat confirm comes first"};
}

void add_edit_options(ChangeOptions& options, Options& into) {
  into.push_back(yes(options.yes));
  into.push_back(confirm(options));
  into.push_back(no_wait(options));
}

ClientResult<ChangeView> foretell(Client& client,
                                  const std::function<ClientResult<Document>()>& send) {
  client.set_terms({{"dry-run", "1"}});
  auto told = as<ChangeView>(send());
  client.set_terms({});
  if (!told) return std::unexpected(told.error());
  if (!told->preview) return std::unexpected(not_understood("it has no preview of the change"));
  return told;
}

ClientResult<Document> send_edit(Client& client, const ChangeOptions& options,
                                 const std::function<ClientResult<Document>()>& send, Asks asks,
                                 std::string_view meaning) {
  Client::Arguments terms;
  if (!options.yes.yes) {
    const auto told = foretell(client, send);
    if (!told) return std::unexpected(told.error());
    const auto& preview = *told->preview;
    if (auto may = announce(preview, asks, meaning); !may) return std::unexpected(may.error());
    terms = {{"basis", preview.basis}};
  }
  if (options.confirm.empty()) {
    client.set_terms(std::move(terms));
    return send();
  }
  const auto trial = as<TrialView>(client.post("/v1/trial?within=" + escape(options.confirm)));
  if (!trial) return std::unexpected(trial.error());
  terms.emplace_back("trial", trial->id);
  client.set_terms(std::move(terms));
  auto reply = send();
  client.set_terms({});
  // Where nothing has changed there is nothing to undo.
  const auto change = as<ChangeView>(reply);
  const bool is_refused = !reply && reply.error().exit == Exit::refused;
  if (is_refused || (change && !change->unchanged.empty())) {
    client.set_terms({{"trial", trial->id}});
    std::ignore = client.post("/v1/confirm");
    client.set_terms({});
  }
  return reply;
}

std::string body_of(const Json& edit) {
  auto given = edit;
  for (auto at = given.begin(); at != given.end();) {
    at = *at == Json("") || *at == Json(false) ? given.erase(at) : std::next(at);
  }
  return dump(given);
}

Exit report_change(const Cli& cli, Client& client, const ClientResult<Document>& reply,
                   const ChangeOptions& options, PrintRuleId print_rule_id, TellGaps tell_gaps) {
  auto change = as<ChangeView>(reply);
  if (!change) return fail(cli, change.error());
  print_faults(change->warnings, stderr);
  if (!change->enforced && !options.no_wait) {
    tell(fmt::format("accepted, waiting for it to be enforced: {}", change->why_not),
         Colour::doubtful);
    change = wait_for(client, std::move(*change));
    if (!change) return fail(cli, change.error());
  }
  if (cli.json) {
    print_json(document(encode(*change)));
  } else if (print_rule_id == PrintRuleId::yes) {
    print_line(change->rule_id);
  }
  if (const auto ended = describe_ended(*change); !cli.json && !ended.empty())
    print_line(printable(ended));
  std::optional<StatusView> status;
  if (change->enforced && tell_gaps == TellGaps::yes) {
    auto now = client.status();
    if (!now) return fail(cli, now.error());
    status = std::move(*now);
  }
  const auto exit = tell_outcome(*change, options, status);
  tell_closed(*change);
  if (!options.confirm.empty() && !change->unchanged.empty()) {
    tell("there is nothing to confirm, and nothing will be undone");
  } else if (!options.confirm.empty()) {
    tell(fmt::format("undone in {} unless you run: moat confirm", printable(options.confirm)),
         Colour::doubtful);
  }
  return exit;
}

}  // namespace moat
