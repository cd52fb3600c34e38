// SPDX-License-Identifier: BSD-2-Clause
// Edits of any database file: one that succeeds leaves a file that reads without errors and says
// what it said before, but for the edit.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "control/files/database_edit.h"
#include "control/text/input_limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

namespace moat::testing {
namespace {

constexpr WallTime kTime{std::chrono::seconds{1'800'000'000}};

std::string words(const Rule& rule) {
  return fmt::format("{} {}|{}|{}", to_string(rule.kind()), rule.source(), rule.label,
                     rule.expires ? format_time(*rule.expires) : "");
}

// All that the file says, a line each; without rule ids, which others' sources may move.
std::vector<std::string> said(const Database& database) {
  std::vector<std::string> lines{database.id,
                                 std::string(to_string(database.mode.value_or(Mode::enforce)))};
  for (const auto port : database.endpoint.ports) lines.push_back(fmt::format("port {}", port));
  for (const Rule& rule : database.rules) lines.push_back(words(rule));
  for (const NetPeering& peering : database.peerings)
    lines.push_back(fmt::format("{} {} {} {}", peering.id, format_prefix(peering.cidr),
                                peering.account, peering.label));
  return lines;
}

Rule make_rule(FuzzedDataProvider& input) {
  static constexpr const char* labels[] = {"",       "Office",          "a: b # c", "'quoted'",
                                           "\"\"",   "- dash",          "yes",      "2027-01-31",
                                           "[x, y]", "M\u00fcnchen, {", "*star",    " space "};
  Rule rule;
  const auto length = input.ConsumeIntegralInRange<std::uint8_t>(0, 32);
  rule.cidr = Prefix::of(Address(input.ConsumeIntegral<std::uint32_t>()), length);
  rule.label = input.PickValueInArray(labels);
  if (input.ConsumeBool()) rule.expires = kTime + std::chrono::hours{1};
  return rule;
}

// A file put together of lines that may well make sense together: a byte stands for a line where
// there is one, else for itself. Bytes alone seldom make a file that reads without errors.
std::string make_file(const std::string& choices) {
  static constexpr std::string_view lines[] = {"database: orders\n",
                                               "endpoint: {port: 5432}\n",
                                               "endpoint:\n  ports: [1, 2]\n",
                                               "endpoint: {address: 10.0.0.1, ports: all}\n",
                                               "rules:\n",
                                               "rules: []\n",
                                               "rules: [\n",
                                               "rules: [{cidr: 1.0.0.0/8}, {cidr: 2.0.0.0/8}]\n",
                                               "]\n",
                                               "\n",
                                               "  # a comment\n",
                                               "# a comment at the margin\n",
                                               "---\n",
                                               "\r\n",
                                               "...\n",
                                               "mode: monitor\n",
                                               "mode: enforce # why\n",
                                               "  - cidr: 3.0.0.0/8\n",
                                               "  - cidr: 4.0.0.0/8 # trailing\n",
                                               "- cidr: 5.0.0.0/8\n",
                                               "-   cidr: 6.0.0.0/8\n",
                                               "    label: one\n",
                                               "    label: 'two: #2'\n",
                                               "  label: three\n",
                                               "    label:\n      four\n      lines\n",
                                               "    expires: 2027-06-30T00:00:00Z\n",
                                               "  - {cidr: 7.0.0.0/8, label: five}\n",
                                               "  {cidr: 8.0.0.0/8},\n",
                                               "  - managed-range: mr-a\n",
                                               "  - label: six\n    managed-range: mr-b\n",
                                               "  - id: r-1\n    cidr: 9.0.0.0/8\n",
                                               "net-peerings:\n",
                                               "  - {id: pcx-1, cidr: 11.0.0.0/8}\n",
                                               "  - id: pcx-2\n    cidr: 12.0.0.0/8\n",
                                               "  -\n    cidr: 13.0.0.0/8\n",
                                               "  - cidr: 14.0.0.0/8",
                                               "\"rules\":\n",
                                               "  - \"cidr\": \"15.0.0.0/8\"\n",
                                               "? rules\n: - cidr: 16.0.0.0/8\n",
                                               "\xef\xbb\xbf",
                                               "  - net-peering: pcx-1\n",
                                               "  - {net-peering: pcx-2, label: peers}\n",
                                               "    account: '042'\n"};
  std::string file;
  for (const char choice : choices) {
    const auto number = static_cast<unsigned char>(choice);
    if (number < std::size(lines))
      file += lines[number];
    else
      file += choice;
  }
  return file;
}

// What the file should say after adding `rule`.
std::vector<std::string> with(Database database, const Rule& rule) {
  database.rules.push_back(rule);
  return said(database);
}

std::vector<std::string> without(Database database, const std::string& id) {
  std::erase_if(database.rules, [&](const Rule& rule) { return rule.id == id; });
  return said(database);
}

void require_edit(const Database& before, const EditedText& edited,
                  const std::vector<std::string>& wanted) {
  if (!edited) {
    require(!edited.error().message.empty(), "a refusal says why");
    return;
  }
  const DatabaseResult after = read_database("orders.yaml", edited->bytes, kTime);
  const std::string faults = after.faults.empty() ? "" : format_fault(after.faults.front());
  require(after.value.has_value(), "an edited file reads without errors",
          faults + "\n" + edited->bytes);
  require(said(*after.value) == wanted, "an edit does what it says and nothing else",
          fmt::format("{} rules before\n{}", before.rules.size(), edited->bytes));
}

void add_any_peering(const DatabaseText& text, std::uint8_t choice, const std::string& label) {
  const Database& before = *text.reading.value;
  const NetPeering peering{"pcx-" + std::to_string(choice),
                           Prefix::of(Address(std::uint32_t{choice} << 24), 8),
                           label,
                           label,
                           {}};
  const auto is_taken = [&](const NetPeering& each) {
    return each.id == peering.id || each.cidr == peering.cidr;
  };
  if (std::ranges::any_of(before.peerings, is_taken)) return;
  Database wanted = before;
  wanted.peerings.push_back(peering);
  require_edit(before, add_peering(text, peering), said(wanted));
}

void run(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  const auto kind = input.ConsumeIntegralInRange<int>(0, 6);
  const Rule rule = make_rule(input);
  const auto choice = input.ConsumeIntegral<std::uint8_t>();
  const bool is_made = input.ConsumeBool();
  const std::string rest = input.ConsumeRemainingBytesAsString();
  const std::string bytes = is_made ? make_file(rest) : rest;
  const DatabaseText text = read_database_text("orders.yaml", bytes, kTime);
  const DatabaseResult& reading = text.reading;

  if (!reading.value) {
    require(!add_rule(text, rule), "a file with errors is not edited");
    require(!remove_rule(text, "r-00000000"), "a file with errors is not edited");
    require(!set_mode(text, Mode::monitor), "a file with errors is not edited");
    require(!remove_peering(text, "pcx-1"), "a file with errors is not edited");
    return;
  }
  const Database& before = *reading.value;
  const auto same_source = [&](const Rule& each) { return each.source() == rule.source(); };
  if (kind == 0 && before.rules.size() < limits::rules &&
      std::ranges::none_of(before.rules, same_source)) {
    require_edit(before, add_rule(text, rule), with(before, rule));
  } else if (kind == 1 && !before.rules.empty()) {
    const std::string& id = before.rules[choice % before.rules.size()].id;
    require_edit(before, remove_rule(text, id), without(before, id));
  } else if (kind == 2) {
    Database wanted = before;
    wanted.mode = choice % 2 == 0 ? Mode::monitor : Mode::enforce;
    require_edit(before, set_mode(text, *wanted.mode), said(wanted));
  } else if (kind == 5) {
    add_any_peering(text, choice, rule.label);
  } else if (kind == 6 && !before.peerings.empty()) {
    const std::string& id = before.peerings[choice % before.peerings.size()].id;
    Database wanted = before;
    std::erase_if(wanted.peerings, [&](const NetPeering& peering) { return peering.id == id; });
    const auto edited = remove_peering(text, id);
    const bool is_named =
        std::ranges::find(before.rules, id, &Rule::net_peering) != before.rules.end();
    require(!(edited && is_named), "a peering that a rule names stays", id);
    require_edit(before, edited, said(wanted));
  } else if (kind > 2 && kind < 5 && !before.rules.empty()) {
    Database wanted = before;
    auto& changed = wanted.rules[choice % before.rules.size()];
    if (kind == 3) changed.label = rule.label;
    if (kind == 4) changed.expires = rule.expires;
    const auto edited = kind == 3 ? set_label(text, changed.id, rule.label)
                                  : set_expiry(text, changed.id, rule.expires);
    require_edit(before, edited, said(wanted));
  }
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view bytes) {
  run(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}
