// SPDX-License-Identifier: BSD-2-Clause
// moat diff, apply: from what is enforced to what rule files say.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "control/cli/candidate.h"
#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"
#include "control/cli/policy_diff.h"
#include "control/files/host_checks.h"
#include "control/files/rule_files.h"
#include "control/text/digit.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

constexpr std::string_view newest = "now";

struct DiffOptions {
  std::string folder;  // or a generation
  std::string other{newest};
};

struct ApplyOptions {
  std::string folder;
  bool dry_run = false;
  ChangeOptions change;
};

struct What {
  std::string_view sign;
  std::string_view word;
  Colour colour;
};

What describe(PolicyChange::What what) {
  switch (what) {
    case PolicyChange::What::added:
      return {"+", "added", Colour::good};
    case PolicyChange::What::removed:
      return {"-", "removed", Colour::bad};
    case PolicyChange::What::changed:
      return {"~", "changed", Colour::doubtful};
  }
  return {"", "", Colour::none};
}

struct Enforced {
  PolicyItems items;
  std::vector<DatabaseView> databases;
  std::vector<ManagedRangeView> ranges;
};

ClientResult<Enforced> read_enforced(const Client& client) {
  auto databases = as_list<DatabaseView>(client.get("/v1/databases"), "databases");
  if (!databases) return std::unexpected(databases.error());
  const auto rules = as_list<RuleView>(client.get("/v1/rules"), "rules");
  if (!rules) return std::unexpected(rules.error());
  const auto peerings = as_list<NetPeeringView>(client.get("/v1/net-peerings"), "net_peerings");
  if (!peerings) return std::unexpected(peerings.error());
  auto ranges = as_list<ManagedRangeView>(client.get("/v1/managed-ranges"), "managed_ranges");
  if (!ranges) return std::unexpected(ranges.error());
  return Enforced{policy_items(*databases, *rules, *peerings, *ranges), std::move(*databases),
                  std::move(*ranges)};
}

// `status`: of the daemon that enforces another.
ClientResult<LoadedRules> read_wanted(const Client& client, const StatusView& status,
                                      const std::string& folder, WhoseRanges whose) {
  auto rules = load_candidate(client, folder, whose);
  if (rules && !rules->config) rules->policy.mode = status.mode;
  return rules;
}

// Two digests tell a person nothing: says how many CIDRs come and go instead.
ClientResult<std::string> describe_cidrs(const Client& client, const Policy& wanted,
                                         const std::string& id) {
  auto live = as<ManagedRangeView>(client.get("/v1/managed-ranges/" + escape(id)));
  if (!live) return std::unexpected(live.error());
  auto& before = live->cidrs;
  std::vector<std::string> after;
  for (const auto cidr : *wanted.ranges.find(id)->second.cidrs) {
    after.push_back(format_prefix(cidr));
  }
  for (auto* list : {&before, &after}) {
    std::ranges::sort(*list);
    list->erase(std::ranges::unique(*list).begin(), list->end());
  }
  std::vector<std::string> both;
  std::ranges::set_intersection(before, after, std::back_inserter(both));
  return fmt::format("{} added, {} removed, {} stay", after.size() - both.size(),
                     before.size() - both.size(), both.size());
}

std::string name(const PolicyItem& item) {
  if (item.id.empty()) return item.kind;
  return item.database.empty() ? fmt::format("{} {}", item.kind, item.id)
                               : fmt::format("{} {} of {}", item.kind, item.id, item.database);
}

std::string describe_fields(const PolicyChange& change) {
  std::string text;
  const auto add = [&text](std::string_view part) {
    text += text.empty() ? "" : ", ";
    text += part;
  };
  if (change.what == PolicyChange::What::changed) {
    for (const auto& [field, before, after] : change.fields) {
      add(field == "cidrs" ? fmt::format("cidrs: {}", after)
                           : fmt::format("{}: \"{}\" -> \"{}\"", field, before, after));
    }
    return text;
  }
  for (const auto& [field, value] : change.item.fields) {
    if (!value.empty() && value != "never" && field != "cidrs") {
      add(fmt::format("{} {}", field, value));
    }
  }
  return text;
}

struct Difference {
  std::vector<PolicyChange> changes = {};  // from what is enforced to what the files say
  std::vector<Problem> problems = {};      // of the host by now
  std::vector<DatabaseView> unnamed = {};  // see find_unnamed()
  std::string folder = {};
  std::string same = "no difference: what the files say is enforced";  // where there is none

  // A file that the host has, and the folder has not, would go. One that has vanished is a problem
  // of the host already.
  [[nodiscard]] bool takes_files_away() const {
    return !std::ranges::all_of(unnamed, &has_vanished);
  }
  [[nodiscard]] bool is_different() const { return !changes.empty() || takes_files_away(); }

  static bool has_vanished(const DatabaseView& database) {
    return database.state == FileState::vanished;
  }
};

Json as_json(const Difference& difference) {
  Json list = Json::array();
  for (const auto& change : difference.changes) {
    Json fields = Json::object();
    if (change.what == PolicyChange::What::changed) {
      for (const auto& [field, before, after] : change.fields) {
        fields[field] = {{"before", before}, {"after", after}};
      }
    } else {
      for (const auto& [field, value] : change.item.fields) fields[field] = value;
    }
    list.push_back({{"what", describe(change.what).word},
                    {"kind", change.item.kind},
                    {"database", change.item.database},
                    {"id", change.item.id},
                    {"fields", std::move(fields)}});
  }
  Json wrong = Json::array();
  for (const auto& problem : difference.problems) wrong.push_back(encode(problem));
  Json unnamed = Json::array();
  for (const auto& database : difference.unnamed) unnamed.push_back(database.id);
  return document({{"is_different", difference.is_different()},
                   {"changes", std::move(list)},
                   {"unnamed", std::move(unnamed)},
                   {"problems", std::move(wrong)}});
}

void print(const Difference& difference) {
  const auto& [changes, problems, unnamed, folder, same] = difference;
  std::array<std::size_t, 3> counts{};
  for (const auto& change : changes) {
    ++counts[static_cast<std::size_t>(change.what)];
    const auto what = describe(change.what);
    const auto line =
        fmt::format("{} {}: {}", what.sign, name(change.item), describe_fields(change));
    print_line(paint(printable(line), what.colour));
  }
  for (const auto& database : unnamed) {
    if (Difference::has_vanished(database)) continue;  // a problem says so
    const auto sentence = describe_unnamed(database, folder);
    print_line(paint(fmt::format("! {}", printable(sentence)), Colour::bad));
  }
  for (const auto& problem : problems) {
    print_line(paint(fmt::format("! {}", printable(problem.message)), Colour::bad));
  }
  if (difference.is_different()) {
    tell(fmt::format("{} added, {} removed, {} changed", counts[0], counts[1], counts[2]));
  } else {
    tell(problems.empty() ? same
                          : "no difference to what was last enforced; but not all is well: see "
                            "moat status");
  }
}

void show(const Cli& cli, const Difference& difference) {
  if (cli.json) {
    print_json(as_json(difference));
  } else {
    const Pager pager(cli);
    print(difference);
  }
}

// Leaves out what is not named and stays all the same: databases, with what belongs to them, and
// managed ranges that their rules name.
void keep_unnamed(const Enforced& enforced, const Policy& wanted, Difference& difference) {
  std::set<std::string> staying;  // moat-agent's as well
  for (const auto& database : enforced.databases)
    if (wanted.find(database.id) == nullptr) staying.insert(database.id);
  const auto stays = [&](const PolicyItem& item) {
    if (item.kind == "database") return staying.contains(item.id);
    if (item.kind != "managed-range") return staying.contains(item.database);
    const auto range = std::ranges::find(enforced.ranges, item.id, &ManagedRangeView::id);
    return range != enforced.ranges.end() &&
           std::ranges::any_of(range->used_by,
                               [&](const std::string& id) { return staying.contains(id); });
  };
  std::erase_if(difference.changes, [&](const PolicyChange& change) {
    return change.what == PolicyChange::What::removed && stays(change.item);
  });
  difference.unnamed = find_unnamed(enforced.databases, wanted);
}

// That files would close the host's only address; what is in force has been told.
void add_taken_address(const Policy& wanted, Difference& difference) {
  const auto addresses = host_addresses();
  for (const auto& database : wanted.databases) {
    const bool is_told = std::ranges::any_of(difference.problems, [&](const Problem& problem) {
      return problem.code == code::host_closed && problem.subject == database.id;
    });
    if (is_told || wanted.mode_of(database) == Mode::monitor ||
        !takes_only_address(database.endpoint, addresses))
      continue;
    difference.problems.push_back(make_problem(code::host_closed, database.id,
                                               describe_taken_address(database.id, "would close")));
  }
}

ClientResult<Difference> compare_with(const Cli& cli, Client& client, const std::string& folder,
                                      WhoseRanges whose) {
  const auto status = client.status();
  if (!status) return std::unexpected(status.error());
  auto enforced = read_enforced(client);
  if (!enforced) return std::unexpected(enforced.error());
  const auto wanted = read_wanted(client, *status, folder, whose);
  if (!wanted) return std::unexpected(wanted.error());
  auto items = policy_items(wanted->policy);
  if (wanted->config) {
    enforced->items.push_back(config_item(status->settings));
    items.push_back(config_item(*wanted->config));
  }
  Difference difference{.changes = diff_items(enforced->items, items),
                        .problems = status->problems,
                        .folder = folder};
  keep_unnamed(*enforced, wanted->policy, difference);
  add_taken_address(wanted->policy, difference);
  for (auto& change : difference.changes) {
    for (auto& field : change.fields) {
      if (cli.json || field.name != "cidrs") continue;
      auto text = describe_cidrs(client, wanted->policy, change.item.id);
      if (!text) return std::unexpected(text.error());
      field.after = std::move(*text);
    }
  }
  return difference;
}

struct GenerationItems {
  std::uint64_t generation = 0;  // 0: there is none
  PolicyItems items;
};

// What the database files of a generation said; `generation`: a number, or the newest.
ClientResult<GenerationItems> items_of(const Client& client, std::string generation) {
  if (generation == newest) {
    const auto all = as_list<HistoryView>(client.get("/v1/history"), "generations");
    if (!all) return std::unexpected(all.error());
    if (all->empty()) return GenerationItems();
    generation = fmt::format("{}", all->front().generation);
  }
  const auto entry = as<HistoryView>(client.get("/v1/history/" + escape(generation)));
  if (!entry) return std::unexpected(entry.error());
  Policy policy;
  for (const auto& file : entry->files) {
    auto reading = read_database(file.path, file.text, {});
    if (!reading.value) {
      return std::unexpected(CommandError{
          .refusal = {
              .message = fmt::format("what {} was in generation {} cannot be read by this moat",
                                     file.path, entry->generation),
              .remedy = fmt::format("see its text: moat history {}", entry->generation),
              .faults = std::move(reading.faults)}});
    }
    policy.databases.push_back(std::move(*reading.value));
  }
  GenerationItems items{entry->generation, policy_items(policy)};
  // What moat.yaml said then is not known.
  for (auto& item : items.items) {
    const auto* database = item.kind == "database" ? policy.find(item.id) : nullptr;
    if (database == nullptr || database->mode) continue;
    for (auto& [field, value] : item.fields)
      if (field == "mode") value = "as moat.yaml says";
  }
  return items;
}

Exit compare_generations(const Cli& cli, const DiffOptions& options) {
  const Client client(cli);
  const auto before = items_of(client, options.folder);
  if (!before) return fail(cli, before.error());
  const auto after = items_of(client, options.other);
  if (!after) return fail(cli, after.error());
  Difference difference{.changes = diff_items(before->items, after->items)};
  difference.same = before->generation == after->generation
                        ? fmt::format("no difference: both are generation {}", before->generation)
                        : fmt::format(
                              "no difference: the database files of generations {} and {} "
                              "say the same",
                              before->generation, after->generation);
  show(cli, difference);
  return difference.is_different() ? Exit::refused : Exit::done;
}

Exit compare(const Cli& cli, const DiffOptions& options) {
  if (is_digits(options.folder)) return compare_generations(cli, options);
  if (options.other != newest) {
    return fail(cli, {Exit::usage,
                      {Refusal::Kind::invalid,
                       "a folder is compared with what is enforced, and with nothing else",
                       "leave the second argument out, or name two generations",
                       {}}});
  }
  Client client(cli);
  const auto difference = compare_with(cli, client, options.folder, WhoseRanges::folders);
  if (!difference) return fail(cli, difference.error());
  show(cli, *difference);
  return difference->is_different() || !difference->problems.empty() ? Exit::refused : Exit::done;
}

// ---- moat apply ----

ClientResult<std::string> read_text(const std::filesystem::path& path) {
  auto bytes = read_regular_file(AT_FDCWD, path, path, limits::file_bytes);
  if (bytes) return std::move(bytes->bytes);
  return std::unexpected(CommandError{
      Exit::refused, {Refusal::Kind::invalid, "a file cannot be read", "", {bytes.error()}}});
}

ClientResult<NewFiles> read_files(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::exists(folder, error))
    return std::unexpected(CommandError{Exit::refused,
                                        {Refusal::Kind::invalid,
                                         fmt::format("{} is not there", folder),
                                         "name a folder with moat.yaml, or with databases.d",
                                         {}}});
  const fs::path base =
      fs::is_directory(folder, error) ? fs::path(folder) : fs::path(folder).parent_path();
  NewFiles files;
  const auto databases = base / config_of(base).databases;
  if (const auto path = base / "moat.yaml"; fs::exists(path, error)) {
    auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    files.settings = std::move(*text);
  }
  for (const auto& file : fs::directory_iterator(databases, error)) {
    const auto name = file.path().filename().string();
    if (!is_rule_file_name(name)) continue;
    auto text = read_text(file.path());
    if (!text) return std::unexpected(text.error());
    files.databases.emplace(name, std::move(*text));
  }
  if (!files.databases.empty()) return files;
  return std::unexpected(CommandError{Exit::refused,
                                      {Refusal::Kind::invalid,
                                       fmt::format("no database file is in {}", databases.string()),
                                       "name a folder with moat.yaml, or with databases.d",
                                       {}}});
}

Exit apply_files(const Cli& cli, const ApplyOptions& options) {
  Client client(cli);
  const auto files = read_files(options.folder);
  if (!files) return fail(cli, files.error());
  const auto difference = compare_with(cli, client, options.folder, WhoseRanges::hosts);
  if (!difference) return fail(cli, difference.error());
  // What is sent is what is shown.
  if (const auto again = read_files(options.folder);
      !again || again->databases != files->databases || again->settings != files->settings) {
    return fail(
        cli, {Exit::refused,
              {Refusal::Kind::conflict, "the files change while they are read", "try again", {}}});
  }
  // With --json, stdout has one document: the difference, or what became of the change.
  if (!cli.json || options.dry_run) show(cli, *difference);
  const auto send = [&] { return client.post("/v1/apply", dump(encode(*files))); };
  if (options.dry_run || !options.change.yes.yes) {
    const auto told = foretell(client, send);
    if (!told) return fail(cli, told.error());
    if (options.dry_run) {
      tell_effects(*told->preview);
      return Exit::done;
    }
    if (!told->unchanged.empty()) {  // nothing is to be asked, or undone
      client.set_terms({{"basis", told->preview->basis}});
      return report_change(cli, client, send(), options.change);
    }
    if (!difference->is_different()) tell("only comments, the layout or the names of files differ");
  }
  const auto reply =
      send_edit(client, options.change, send, Asks::always, "apply makes these files the host's");
  return report_change(cli, client, reply, options.change);
}

}  // namespace

Action command::diff(Options& options) {
  const auto values = std::make_shared<DiffOptions>();
  options = {{"DIR", "", &values->folder,
              "A folder with moat.yaml or with databases.d; or a generation's number"},
             {"OTHER", "", &values->other, "The generation to compare it with: a number"}};
  return make_action(values, compare);
}

Action command::apply(Options& options) {
  const auto values = std::make_shared<ApplyOptions>();
  options = {{"DIR", "", &values->folder, "A folder with moat.yaml, or with databases.d"},
             {"--dry-run", "", &values->dry_run, "Show what would change, and change nothing"}};
  add_edit_options(values->change, options);
  return make_action(values, apply_files);
}

}  // namespace moat
