// SPDX-License-Identifier: BSD-2-Clause
// moat diff: from what is enforced to what rule files say.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "control/cli/output.h"
#include "control/cli/policy_diff.h"
#include "control/cli/rule_load.h"
#include "control/service/status_text.h"

namespace moat {
namespace {

struct DiffOptions {
  std::string folder;
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

ClientResult<PolicyItems> enforced_items(const Client& client) {
  const auto databases = as_list<DatabaseView>(client.get("/v1/databases"), "databases");
  if (!databases) return std::unexpected(databases.error());
  const auto rules = as_list<RuleView>(client.get("/v1/rules"), "rules");
  if (!rules) return std::unexpected(rules.error());
  const auto ranges = as_list<ManagedRangeView>(client.get("/v1/managed-ranges"), "managed_ranges");
  if (!ranges) return std::unexpected(ranges.error());
  return policy_items(*databases, *rules, *ranges);
}

// `status`: of the daemon that enforces another.
ClientResult<LoadedRules> read_wanted(const StatusView& status, const std::string& folder) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  auto rules = load_rules(folder, {now, nullptr, false});
  if (rules.has_error()) {
    CommandError failure{Exit::refused,
                         {Refusal::Kind::invalid,
                          "the files have errors, and would not be enforced",
                          "mend them first: see moat check",
                          {}}};
    for (auto& file : rules.files) {
      if (has_error(file.faults)) {
        std::ranges::move(file.faults, std::back_inserter(failure.refusal.faults));
      }
    }
    return std::unexpected(std::move(failure));
  }
  if (rules.is_without_config) tell(without_config, Colour::doubtful);
  if (!rules.config) rules.policy.mode = status.mode;
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

Json as_json(const std::vector<PolicyChange>& changes, const std::vector<Problem>& problems) {
  Json list = Json::array();
  for (const auto& change : changes) {
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
  for (const auto& problem : problems) wrong.push_back(problem.text);
  return document({{"is_different", !changes.empty()},
                   {"changes", std::move(list)},
                   {"problems", std::move(wrong)}});
}

void print(const std::vector<PolicyChange>& changes, const std::vector<Problem>& problems) {
  std::array<std::size_t, 3> counts{};
  for (const auto& change : changes) {
    ++counts[static_cast<std::size_t>(change.what)];
    const auto what = describe(change.what);
    const auto line =
        fmt::format("{} {}: {}", what.sign, name(change.item), describe_fields(change));
    print_line(paint(printable(line), what.colour));
  }
  for (const auto& problem : problems) {
    print_line(paint(fmt::format("! {}", printable(problem.text)), Colour::bad));
  }
  tell(!changes.empty()
           ? fmt::format("{} added, {} removed, {} changed", counts[0], counts[1], counts[2])
       : problems.empty()
           ? "no difference: what the files say is enforced"
           : "no difference to what was last enforced; but not all is well: see moat "
             "status");
}

Exit compare(const Cli& cli, const DiffOptions& options) {
  Client client(cli);
  const auto status = client.status();
  if (!status) return fail(cli, status.error());
  auto enforced = enforced_items(client);
  if (!enforced) return fail(cli, enforced.error());
  const auto wanted = read_wanted(*status, options.folder);
  if (!wanted) return fail(cli, wanted.error());
  auto items = policy_items(wanted->policy);
  if (wanted->config) {
    enforced->push_back(config_item(status->settings));
    items.push_back(config_item(*wanted->config));
  }
  auto changes = diff_items(*enforced, items);
  const auto wrong = problems(*status);
  const auto exit = changes.empty() && wrong.empty() ? Exit::done : Exit::refused;
  if (cli.json) {
    print_json(as_json(changes, wrong));
    return exit;
  }
  for (auto& change : changes) {
    for (auto& field : change.fields) {
      if (field.name != "cidrs") continue;
      auto text = describe_cidrs(client, wanted->policy, change.item.id);
      if (!text) return fail(cli, text.error());
      field.after = std::move(*text);
    }
  }
  print(changes, wrong);
  return exit;
}

}  // namespace

Action command::diff(Options& options) {
  const auto values = std::make_shared<DiffOptions>();
  options = {{"DIR", "", &values->folder, "A folder with moat.yaml, or with databases.d"}};
  return make_action(values, compare);
}

}  // namespace moat
