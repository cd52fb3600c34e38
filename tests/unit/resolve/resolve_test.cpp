// SPDX-License-Identifier: BSD-2-Clause
// Each row is a story in steps: the rule files as they are at one time after another, and what must
// be in force after the last of them. The first step is a first start.
#include "control/resolve/resolution.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/resolve_stories.h"

namespace moat {
namespace {

const std::string orders = database("orders", "port: 5432");
const std::string orders_edited = database("orders", "port: 5432", "[]");
const std::string orders_broken = database("orders", "port: 5432", "[{cidr: 192.0.2.1/33}]");
const std::string garbage = "database: [\n";
const std::string billing = database("billing", "port: 6432");
const std::string orders_named = database("orders", "port: 5432", "[{managed-range: mr-a}]");

const std::string orders_line = "orders port 5432: 192.0.2.1/32";
const std::string billing_line = "billing port 6432: 192.0.2.1/32";

struct Story {
  std::string name;
  std::vector<Files> steps;
  std::vector<std::string> policy;
  std::vector<std::string> statuses;
  std::vector<std::string> ranges = {};
  std::vector<std::string> faults = {};  // texts that must be among the faults
  bool not_guarded = false;
};

void PrintTo(const Story& story, std::ostream* out) { *out << story.name; }

class Resolve : public testing::TestWithParam<Story> {};

TEST_P(Resolve, enforces_what_the_story_says) {
  const auto resolution = run(GetParam().steps);
  EXPECT_EQ(policy_lines(resolution), GetParam().policy);
  EXPECT_EQ(status_lines(resolution), GetParam().statuses);
  EXPECT_EQ(range_lines(resolution), GetParam().ranges);
  EXPECT_EQ(resolution.not_guarded, GetParam().not_guarded);
  for (const auto& text : GetParam().faults) {
    EXPECT_NE(fault_text(resolution).find(text), std::string::npos) << text << "\nis not in\n"
                                                                    << fault_text(resolution);
  }
}

TEST_P(Resolve, tells_of_each_file_that_is_not_active_why) {
  for (const auto& file : run(GetParam().steps).files) {
    if (file.state == FileState::active) continue;
    EXPECT_FALSE(file.faults.empty()) << file.path;
    for (const auto& fault : file.faults) {
      EXPECT_FALSE(fault.place.file.empty()) << format_fault(fault);
      EXPECT_FALSE(fault.message.empty());
    }
  }
}

TEST_P(Resolve, does_not_change_when_nothing_changes) {
  auto steps = GetParam().steps;
  const auto before = run(steps);
  steps.push_back(steps.back());
  const auto after = run(steps);
  EXPECT_EQ(policy_lines(after), policy_lines(before));
  EXPECT_EQ(range_lines(after), range_lines(before));
  EXPECT_EQ(status_lines(after), status_lines(before));
}

const std::vector<Story> one_file = {
    {"first_start", {{{{"a.yaml", orders}}, {}}}, {orders_line}, {"a.yaml orders active"}},
    {"edit",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"a.yaml orders active"}},
    {"bad_file_holds_back_only_itself",
     {{{{"a.yaml", orders}, {"b.yaml", billing}}, {}},
      {{{"a.yaml", orders_broken}, {"b.yaml", database("billing", "port: 6433")}}, {}}},
     {"billing port 6433: 192.0.2.1/32", orders_line},
     {"a.yaml orders held-back", "b.yaml billing active"},
     {},
     {"a.yaml:3:16: error: "}},
    {"file_without_readable_id_is_known_by_its_path",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", garbage}}, {}}},
     {orders_line},
     {"a.yaml orders held-back"}},
    {"unreadable_file_is_known_by_its_path",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", "UNREADABLE"}}, {}}},
     {orders_line},
     {"a.yaml orders held-back"},
     {},
     {"a.yaml: error: writable by others"}},
    {"vanished_file_changes_nothing",
     {{{{"a.yaml", orders}, {"b.yaml", billing}}, {}}, {{{"b.yaml", billing}}, {}}},
     {billing_line, orders_line},
     {"a.yaml orders vanished", "b.yaml billing active"},
     {},
     {"a.yaml: warning: no file names this database any more", "moat databases forget orders"}},
    {"vanished_and_back",
     {{{{"a.yaml", orders}}, {}}, {{}, {}}, {{{"a.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"a.yaml orders active"}},
    {"forgotten", {{{{"a.yaml", orders}}, {}}, {{}, {}, {"orders"}}}, {}, {}},
    {"forgotten_but_named",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", orders_edited}}, {}, {"orders"}}},
     {"orders port 5432: "},
     {"a.yaml orders active"}},
    {"rename",
     {{{{"a.yaml", orders}}, {}}, {{{"z.yaml", orders}}, {}}},
     {orders_line},
     {"z.yaml orders active"}},
    {"rename_and_break",
     {{{{"a.yaml", orders}}, {}}, {{{"z.yaml", orders_broken}}, {}}},
     {orders_line},
     {"z.yaml orders held-back"}},
    {"rename_and_leave_garbage",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", garbage}, {"z.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"a.yaml  not-guarded", "z.yaml orders active"},
     {},
     {},
     true},
    {"new_id_leaves_the_old_one_in_force",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", billing}}, {}}},
     {billing_line, orders_line},
     {"a.yaml billing active", "a.yaml orders vanished"}},
    {"new_id_on_the_same_port_needs_a_forget",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", database("billing", "port: 5432")}}, {}}},
     {orders_line},
     {"a.yaml billing held-back", "a.yaml orders vanished"},
     {},
     {"this is guarded already by database orders, which this file was about before: \"port 5432\" "
      "(no file names that database: moat databases forget orders",
      "moat databases forget orders"}},
    {"two_files_swap_ids",
     {{{{"a.yaml", orders}, {"b.yaml", billing}}, {}},
      {{{"a.yaml", billing}, {"b.yaml", orders}}, {}}},
     {billing_line, orders_line},
     {"a.yaml billing active", "b.yaml orders active"}},
    {"mode_comes_back_with_the_last_form",
     {{{{"a.yaml", orders + "mode: monitor\n"}}, {}}, {{{"a.yaml", garbage}}, {}}},
     {orders_line + " (monitor)"},
     {"a.yaml orders held-back"}},
};

const std::vector<Story> first_starts = {
    {"bad_file_leaves_a_placeholder",
     {{{{"a.yaml", orders_broken}}, {}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back"}},
    {"bad_file_is_mended",
     {{{{"a.yaml", orders_broken}}, {}}, {{{"a.yaml", orders}}, {}}},
     {orders_line},
     {"a.yaml orders active"}},
    {"placeholder_follows_a_readable_endpoint",
     {{{{"a.yaml", orders_broken}}, {}},
      {{{"a.yaml", database("orders", "port: 5433", "[{cidr: x}]")}}, {}}},
     {"orders port 5433: placeholder"},
     {"a.yaml orders held-back"}},
    {"placeholder_stays_when_the_file_gets_worse",
     {{{{"a.yaml", orders_broken}}, {}}, {{{"a.yaml", garbage}}, {}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back"}},
    {"placeholder_stays_when_the_file_vanishes",
     {{{{"a.yaml", orders_broken}}, {}}, {{}, {}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders vanished"},
     {},
     {"guarded and nobody allowed"}},
    {"placeholder_can_be_forgotten",
     {{{{"a.yaml", orders_broken}}, {}}, {{}, {}, {"orders"}}},
     {},
     {}},
    {"placeholder_of_a_vanished_file_makes_way",
     {{{{"a.yaml", orders_broken}}, {}}, {{{"b.yaml", database("new", "port: 5432")}}, {}}},
     {"new port 5432: 192.0.2.1/32"},
     {"b.yaml new active"}},
    {"endpoint_without_id",
     {{{{"a.yaml", "endpoint: {port: 5432}\nrules: []\n"}}, {}}},
     {"+a.yaml port 5432: placeholder"},
     {"a.yaml  held-back"}},
    {"endpoint_without_id_then_garbage",
     {{{{"a.yaml", "endpoint: {port: 5432}\nrules: []\n"}}, {}}, {{{"a.yaml", garbage}}, {}}},
     {"+a.yaml port 5432: placeholder"},
     {"a.yaml  held-back"}},
    {"endpoint_without_id_then_mended",
     {{{{"a.yaml", "endpoint: {port: 5432}\nrules: []\n"}}, {}}, {{{"a.yaml", billing}}, {}}},
     {billing_line},
     {"a.yaml billing active"}},
    {"nothing_to_go_by",
     {{{{"a.yaml", garbage}, {"b.yaml", billing}}, {}}},
     {billing_line},
     {"a.yaml  not-guarded", "b.yaml billing active"},
     {},
     {},
     true},
    {"id_without_endpoint",
     {{{{"a.yaml", "database: orders\nendpoint: {port: x}\nrules: []\n"}}, {}}},
     {},
     {"a.yaml orders not-guarded"},
     {},
     {},
     true},
    {"unreadable", {{{{"a.yaml", "UNREADABLE"}}, {}}}, {}, {"a.yaml  not-guarded"}, {}, {}, true},
    {"one_id_in_two_files",
     {{{{"a.yaml", orders}, {"b.yaml", database("orders", "ports: [5432, 5433]")}}, {}}},
     {"orders port 5432: placeholder", "orders+2 port 5433: placeholder"},
     {"a.yaml orders held-back", "b.yaml orders held-back"},
     {},
     {"a.yaml:1:1: error: this database is also in b.yaml: \"orders\"",
      "b.yaml:1:1: error: this database is also in a.yaml: \"orders\""}},
    {"one_id_in_two_files_then_one_removed",
     {{{{"a.yaml", orders}, {"b.yaml", database("orders", "ports: [5432, 5433]")}}, {}},
      {{{"a.yaml", orders}}, {}}},
     {orders_line},
     {"a.yaml orders active"}},
    {"one_port_in_two_files",
     {{{{"a.yaml", orders}, {"b.yaml", database("billing", "ports: [5432, 6432]")}}, {}}},
     {"billing ports 5432, 6432: placeholder"},
     {"a.yaml orders held-back", "b.yaml billing held-back"},
     {},
     {"this is claimed too by database billing of b.yaml: \"port 5432\"",
      "this is claimed too by database orders of a.yaml: \"port 5432\""}},
    {"one_port_in_two_files_then_mended",
     {{{{"a.yaml", orders}, {"b.yaml", database("billing", "port: 5432")}}, {}},
      {{{"a.yaml", orders}, {"b.yaml", billing}}, {}}},
     {billing_line, orders_line},
     {"a.yaml orders active", "b.yaml billing active"}},
    {"one_port_in_two_files_then_one_removed",
     {{{{"a.yaml", orders}, {"b.yaml", database("billing", "port: 5432")}}, {}},
      {{{"a.yaml", orders}}, {}}},
     {orders_line},
     {"a.yaml orders active"}},
    {"port_of_a_bad_file",
     {{{{"a.yaml", orders_broken}, {"b.yaml", database("billing", "port: 5432")}}, {}}},
     {"billing port 5432: placeholder"},
     {"a.yaml orders held-back", "b.yaml billing held-back"}},
    {"unknown_managed_range",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-b")}}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back", "r.yaml  active"},
     {"mr-b: 192.0.2.0/24"},
     {"a.yaml:3:25: error: unknown managed range: \"mr-a\" (did you mean mr-b?)"}},
    {"unknown_managed_range_beside_another_fault",
     {{{{"a.yaml", database("orders", "port: 5432", "[{managed-range: mr-a}, {cidr: nonsense}]")}},
       {{"r.yaml", range("mr-b")}}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back", "r.yaml  active"},
     {"mr-b: 192.0.2.0/24"},
     {"a.yaml:3:25: error: unknown managed range: \"mr-a\" (did you mean mr-b?)"}},
    {"managed_range_in_a_bad_file",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a", "192.0.2.0/33")}}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back", "r.yaml  held-back"},
     {},
     {"perhaps it is in r.yaml, which is held back"}},
    {"one_managed_range_in_two_files",
     {{{{"a.yaml", orders_named}, {"b.yaml", billing}},
       {{"r.yaml", range("mr-a")}, {"s.yaml", range("mr-a") + range("mr-s")}}}},
     {billing_line, "orders port 5432: placeholder"},
     {"a.yaml orders held-back", "b.yaml billing active", "r.yaml  held-back", "s.yaml  held-back"},
     {},
     {"s.yaml:1:3: error: this managed range is also in r.yaml: \"mr-a\""}},
};

const std::vector<Story> conflicts = {
    {"enforced_file_keeps_its_id",
     {{{{"b.yaml", orders}}, {}},
      {{{"a.yaml", database("orders", "port: 7777")}, {"b.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"a.yaml orders held-back", "b.yaml orders active"},
     {},
     {"a.yaml:1:1: error: this database is the one of b.yaml: \"orders\""}},
    {"enforced_file_keeps_its_id_even_when_bad",
     {{{{"b.yaml", orders}}, {}}, {{{"a.yaml", orders_edited}, {"b.yaml", orders_broken}}, {}}},
     {orders_line},
     {"a.yaml orders held-back", "b.yaml orders held-back"}},
    {"renamed_and_copied",
     {{{{"a.yaml", orders}}, {}}, {{{"b.yaml", orders_edited}, {"c.yaml", orders_edited}}, {}}},
     {orders_line},
     {"b.yaml orders held-back", "c.yaml orders held-back"}},
    {"enforced_database_keeps_its_port",
     {{{{"b.yaml", orders}}, {}},
      {{{"a.yaml", database("billing", "ports: [5432, 6432]")}, {"b.yaml", orders_edited}}, {}}},
     {"billing port 6432: placeholder", "orders port 5432: "},
     {"a.yaml billing held-back", "b.yaml orders active"},
     {},
     {"a.yaml:2:11: error: this is guarded already by database orders of b.yaml: \"port 5432\" "
      "(take it out of one"}},
    {"newcomer_on_the_port_of_a_bad_file",
     {{{{"b.yaml", orders}}, {}},
      {{{"a.yaml", database("billing", "port: 5432")}, {"b.yaml", orders_broken}}, {}}},
     {orders_line},
     {"a.yaml billing held-back", "b.yaml orders held-back"}},
    {"port_moves_in_one_go",
     {{{{"a.yaml", database("a", "ports: [1, 2]")}, {"b.yaml", database("b", "port: 3")}}, {}},
      {{{"a.yaml", database("a", "port: 1")}, {"b.yaml", database("b", "ports: [2, 3]")}}, {}}},
     {"a port 1: 192.0.2.1/32", "b ports 2, 3: 192.0.2.1/32"},
     {"a.yaml a active", "b.yaml b active"}},
    {"ports_swap_in_one_go",
     {{{{"a.yaml", database("a", "port: 1")}, {"b.yaml", database("b", "port: 2")}}, {}},
      {{{"a.yaml", database("a", "port: 2")}, {"b.yaml", database("b", "port: 1")}}, {}}},
     {"a port 2: 192.0.2.1/32", "b port 1: 192.0.2.1/32"},
     {"a.yaml a active", "b.yaml b active"}},
    {"port_moves_from_a_file_that_is_held_back",
     {{{{"a.yaml", database("a", "ports: [1, 2]")}, {"b.yaml", database("b", "port: 3")}}, {}},
      {{{"a.yaml", database("a", "port: 1", "[{cidr: x}]")},
        {"b.yaml", database("b", "ports: [2, 3]")}},
       {}}},
     {"a ports 1, 2: 192.0.2.1/32", "b port 3: 192.0.2.1/32"},
     {"a.yaml a held-back", "b.yaml b held-back"}},
    {"a_chain_of_moves_falls_back_as_a_whole",
     {{{{"a.yaml", database("a", "port: 1")},
        {"b.yaml", database("b", "port: 2")},
        {"c.yaml", database("c", "port: 3")}},
       {}},
      {{{"a.yaml", database("a", "port: 2")},
        {"b.yaml", database("b", "port: 3")},
        {"c.yaml", database("c", "port: 4", "[{managed-range: mr-none}]")}},
       {}}},
     {"a port 1: 192.0.2.1/32", "b port 2: 192.0.2.1/32", "c port 3: 192.0.2.1/32"},
     {"a.yaml a held-back", "b.yaml b held-back", "c.yaml c held-back"},
     {},
     {"there are no managed ranges"}},
    {"two_newcomers_on_a_port_given_up",
     {{{{"a.yaml", database("a", "port: 1")},
        {"b.yaml", database("b", "port: 2")},
        {"c.yaml", database("c", "port: 3")}},
       {}},
      {{{"a.yaml", database("a", "port: 9")},
        {"b.yaml", database("b", "ports: [1, 2]")},
        {"c.yaml", database("c", "ports: [1, 3]")}},
       {}}},
     {"a port 9: 192.0.2.1/32", "b port 2: 192.0.2.1/32", "c port 3: 192.0.2.1/32"},
     {"a.yaml a active", "b.yaml b held-back", "c.yaml c held-back"}},
    {"address_wins_over_none",
     {{{{"a.yaml", database("a", "port: 1")},
        {"b.yaml", database("b", "port: 1, address: 10.0.0.5")},
        {"c.yaml", database("c", "port: 1, address: 10.0.0.6")}},
       {}}},
     {"a port 1: 192.0.2.1/32", "b port 1 of 10.0.0.5: 192.0.2.1/32",
      "c port 1 of 10.0.0.6: 192.0.2.1/32"},
     {"a.yaml a active", "b.yaml b active", "c.yaml c active"}},
    {"every_port_of_an_address",
     {{{{"a.yaml", database("a", "ports: all, address: 10.0.0.5")},
        {"n.yaml", database("n", "port: 1")}},
       {}},
      {{{"a.yaml", database("a", "ports: all, address: 10.0.0.5")},
        {"b.yaml", database("b", "port: 1, address: 10.0.0.5")},
        {"n.yaml", database("n", "port: 1")}},
       {}}},
     {"a every port of 10.0.0.5: 192.0.2.1/32", "n port 1: 192.0.2.1/32"},
     {"a.yaml a active", "b.yaml b held-back", "n.yaml n active"},
     {},
     {"guarded already by database a of a.yaml: \"port 1 of 10.0.0.5\""}},
    {"every_port_of_an_address_in_part_guarded",
     {{{{"b.yaml", database("b", "port: 1, address: 10.0.0.5")}}, {}},
      {{{"a.yaml", database("a", "ports: all, address: 10.0.0.5")},
        {"b.yaml", database("b", "port: 1, address: 10.0.0.5")}},
       {}}},
     {"b port 1 of 10.0.0.5: 192.0.2.1/32"},
     {"a.yaml a not-guarded", "b.yaml b active"},
     {},
     {"guarded already by database b"},
     true},
    {"every_port_against_one_at_first_start",
     {{{{"a.yaml", database("a", "port: 1, address: 10.0.0.5")},
        {"b.yaml", database("b", "ports: all, address: 10.0.0.5")}},
       {}}},
     {"b every port of 10.0.0.5: placeholder"},
     {"a.yaml a held-back", "b.yaml b held-back"}},
};

const std::vector<Story> managed_ranges = {
    {"new_cidrs_reach_a_database_that_is_held_back",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a")}}},
      {{{"a.yaml", garbage}}, {{"r.yaml", range("mr-a", "198.51.100.0/24")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders held-back", "r.yaml  active"},
     {"mr-a: 198.51.100.0/24"}},
    {"bad_file_keeps_its_ranges",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a") + range("mr-unnamed")}}},
      {{{"a.yaml", orders_named}}, {{"r.yaml", "- id: ["}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  held-back"},
     {"mr-a: 192.0.2.0/24", "mr-unnamed: 192.0.2.0/24"}},
    {"vanished_file_keeps_what_rules_name",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a") + range("mr-unnamed")}}},
      {{{"a.yaml", orders_named}}, {}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  vanished"},
     {"mr-a: 192.0.2.0/24 (withdrawn)"},
     {"r.yaml: warning: named by rules but by no file any more",
      "a.yaml:3:9: warning: no file names"}},
    {"withdrawn_range_keeps_its_cidrs_while_named",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a") + range("mr-b")}}},
      {{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-b", "198.51.100.0/24")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  active"},
     {"mr-a: 192.0.2.0/24 (withdrawn)", "mr-b: 198.51.100.0/24"}},
    {"withdrawn_range_goes_with_the_last_rule",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a")}}},
      {{{"a.yaml", orders_named}}, {}},
      {{{"a.yaml", orders}}, {}}},
     {orders_line},
     {"a.yaml orders active"}},
    {"withdrawn_range_stays_for_a_carried_database",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a")}}}, {{}, {}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders vanished", "r.yaml  vanished"},
     {"mr-a: 192.0.2.0/24 (withdrawn)"}},
    {"withdrawn_and_back",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a")}}},
      {{{"a.yaml", orders_named}}, {}},
      {{{"a.yaml", orders_named}}, {{"s.yaml", range("mr-a", "198.51.100.0/24")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "s.yaml  active"},
     {"mr-a: 198.51.100.0/24"}},
    {"unnamed_range_goes_at_once",
     {{{{"a.yaml", orders}}, {{"r.yaml", range("mr-a") + range("mr-b")}}},
      {{{"a.yaml", orders}}, {{"r.yaml", range("mr-b")}}}},
     {orders_line},
     {"a.yaml orders active", "r.yaml  active"},
     {"mr-b: 192.0.2.0/24"}},
    {"renamed_file",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a")}}},
      {{{"a.yaml", orders_named}}, {{"z.yaml", range("mr-a")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "z.yaml  active"},
     {"mr-a: 192.0.2.0/24"}},
    {"enforced_file_keeps_its_range",
     {{{{"a.yaml", orders_named}}, {{"s.yaml", range("mr-a")}}},
      {{{"a.yaml", orders_named}},
       {{"r.yaml", range("mr-a", "198.51.100.0/24") + range("mr-r")}, {"s.yaml", range("mr-a")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  held-back", "s.yaml  active"},
     {"mr-a: 192.0.2.0/24"},
     {"r.yaml:1:3: error: this managed range is the one of s.yaml: \"mr-a\""}},
    {"range_moves_between_files_in_one_go",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a") + range("mr-b")}, {"s.yaml", "[]\n"}}},
      {{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-b")}, {"s.yaml", range("mr-a")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  active", "s.yaml  active"},
     {"mr-a: 192.0.2.0/24", "mr-b: 192.0.2.0/24"}},
    {"file_held_back_for_one_range_keeps_its_other",
     {{{{"a.yaml", orders_named}},
       {{"r.yaml", range("mr-a")}, {"s.yaml", range("mr-s")}, {"t.yaml", range("mr-t")}}},
      {{{"a.yaml", orders_named}},
       {{"r.yaml", range("mr-a", "198.51.100.0/24") + range("mr-s")},
        {"s.yaml", range("mr-s")},
        {"t.yaml", range("mr-t") + range("mr-a")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  held-back", "s.yaml  active", "t.yaml  held-back"},
     {"mr-a: 192.0.2.0/24", "mr-s: 192.0.2.0/24", "mr-t: 192.0.2.0/24"}},
    {"unknown_range_in_an_edit",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", orders_named}}, {}}},
     {orders_line},
     {"a.yaml orders held-back"},
     {},
     {"a.yaml:3:25: error: unknown managed range: \"mr-a\" (there are no managed ranges)"}},
};

std::string name_of(const testing::TestParamInfo<Story>& info) { return info.param.name; }
// A file that is held back takes nothing from another database, and lets nobody in.
const std::string reports =
    database("reports", "address: 198.18.0.5, port: 5432", "[{managed-range: mr-no}]");
const std::string all_of_host =
    database("private", "address: 198.18.0.5, ports: all", "[{managed-range: mr-no}]");
const std::vector<Story> newcomers = {
    {"held_at_one_address_beside_a_guard_of_all",
     {{{{"a.yaml", orders}}, {}},
      {{{"a.yaml", orders}, {"b.yaml", reports + "mode: monitor\n"}}, {}}},
     {orders_line},
     {"a.yaml orders active", "b.yaml reports held-back"}},
    {"held_and_gone",
     {{{{"a.yaml", orders}}, {}},
      {{{"a.yaml", orders}, {"b.yaml", reports}}, {}},
      {{{"a.yaml", orders}}, {}}},
     {orders_line},
     {"a.yaml orders active"}},
    {"held_with_every_port_beside_a_guard_of_all",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", orders}, {"b.yaml", all_of_host}}, {}}},
     {orders_line},
     {"a.yaml orders active", "b.yaml private not-guarded"},
     {},
     {},
     true},
    {"held_with_every_port_alone",
     {{{{"b.yaml", all_of_host}}, {}}},
     {"private every port of 198.18.0.5: placeholder"},
     {"b.yaml private held-back"}},
    {"of_two_that_claim_a_port_the_stricter_counts",
     {{{{"a.yaml", orders + "mode: monitor\n"}, {"b.yaml", database("other", "port: 5432")}}, {}}},
     {"other port 5432: placeholder"},
     {"a.yaml orders held-back", "b.yaml other held-back"}},
    {"of_two_that_claim_an_id_the_stricter_counts",
     {{{{"a.yaml", orders + "mode: monitor\n"}, {"b.yaml", orders + "mode: enforce\n"}}, {}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back", "b.yaml orders held-back"}},
    {"the_laxer_one_at_one_address_does_not_go_before_the_stricter_one",
     {{{{"a.yaml", orders_broken}, {"b.yaml", reports + "mode: monitor\n"}}, {}}},
     {"orders port 5432: placeholder"},
     {"a.yaml orders held-back", "b.yaml reports held-back"}},
};

const std::string reports_on = database("reports", "address: 198.18.0.5, ports: [5432, 9999]");
const std::string all_on = database("private", "address: 198.18.0.5, ports: all");
const std::string relaxes_orders =
    "database reports is in monitor mode and has the address 198.18.0.5: what database orders "
    "drops at its ports there passes: \"5432\"";
const std::vector<Story> precedence = {
    {"at_an_address_the_database_that_has_it_decides",
     {{{{"a.yaml", orders}}, {}}, {{{"a.yaml", orders}, {"b.yaml", reports_on}}, {}}},
     {orders_line, "reports ports 5432, 9999 of 198.18.0.5: 192.0.2.1/32"},
     {"a.yaml orders active", "b.yaml reports active"},
     {},
     {"b.yaml:1:1: warning: database reports has the address 198.18.0.5: at its ports there its "
      "rules decide, and those of database orders do not count: \"5432\" (if that is not meant, "
      "write another port in b.yaml, or leave `address` out)"}},
    {"at_an_address_of_its_own_every_port",
     {{{{"a.yaml", orders + "mode: monitor\n"}, {"b.yaml", all_on}}, {}}},
     {orders_line + " (monitor)", "private every port of 198.18.0.5: 192.0.2.1/32"},
     {"a.yaml orders active", "b.yaml private active"},
     {},
     {"those of database orders do not count: \"5432\""}},

    {"a_port_by_one_in_monitor_mode_with_an_address",
     {{{{"a.yaml", orders}}, {}},
      {{{"a.yaml", orders}, {"b.yaml", reports_on + "mode: monitor\n"}}, {}}},
     {orders_line, "reports ports 5432, 9999 of 198.18.0.5: 192.0.2.1/32 (monitor)"},
     {"a.yaml orders active", "b.yaml reports active"},
     {},
     {relaxes_orders}},
    {"all_ports_by_one_in_monitor_mode",
     {{{{"a.yaml", orders}, {"b.yaml", all_on + "mode: monitor\n"}}, {}}},
     {orders_line, "private every port of 198.18.0.5: 192.0.2.1/32 (monitor)"},
     {"a.yaml orders active", "b.yaml private active"},
     {},
     {"what database orders drops at its ports there passes: \"5432\""}},
};

// Beside another file of the same id, and then alone.
const std::vector<Story> rivals = {
    {"do_not_win_by_the_others_vanishing",
     {{{{"a.yaml", orders}}, {}},
      {{{"a.yaml", orders}, {"a.bak.yaml", orders_edited}}, {}},
      {{{"a.bak.yaml", orders_edited}}, {}},
      {{{"a.bak.yaml", orders_edited}}, {}}},
     {orders_line},
     {"a.bak.yaml orders held-back"},
     {},
     {"a.bak.yaml:1:1: error: this database was last enforced from a.yaml, which no longer has it; "
      "this file was held back beside it: \"orders\" (to use this file, rename it: mv a.bak.yaml "
      "a.yaml)"}},
    {"win_once_they_are_renamed",
     {{{{"a.yaml", orders}}, {}},
      {{{"a.yaml", orders}, {"a.bak.yaml", orders_edited}}, {}},
      {{{"a.bak.yaml", orders_edited}}, {}},
      {{{"a.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"a.yaml orders active"}},
    {"take_no_name_that_is_another_files",
     {{{{"a.yaml", orders}}, {}},
      {{{"a.yaml", orders}, {"b.yaml", orders_edited}}, {}},
      {{{"a.yaml", billing}, {"b.yaml", orders_edited}, {"b-2.yaml", garbage}}, {}}},
     {billing_line, orders_line},
     {"a.yaml billing active", "b-2.yaml  not-guarded", "b.yaml orders held-back"},
     {},
     {"(to use this file, rename it: mv b.yaml b-3.yaml)"},
     true},
    {"take_no_name_in_a_folder_that_is_not_read",
     {{{{"old/a.yaml", orders}}, {}},
      {{{"old/a.yaml", orders}, {"new/a.yaml", orders_edited}}, {}},
      {{{"new/a.yaml", orders_edited}}, {}}},
     {orders_line},
     {"new/a.yaml orders held-back"},
     {},
     {"(to use this file, rename it: mv new/a.yaml new/a-2.yaml)"}},
    {"and_what_waits_for_them_are_told_what_to_do",
     {{{{"a.yaml", database("c", "ports: [1, 2]")}}, {}},
      {{{"a.yaml", database("c", "ports: [1, 2]")}, {"c.yaml", database("c", "port: 2")}}, {}},
      {{{"a.yaml", database("a", "port: 1")},
        {"b.yaml", database("b", "port: 2")},
        {"c.yaml", database("c", "port: 3")}},
       {}}},
     {"c ports 1, 2: 192.0.2.1/32"},
     {"a.yaml a held-back", "b.yaml b held-back", "c.yaml c held-back"},
     {},
     {"a.yaml:2:11: error: this is guarded already by database c of c.yaml: \"port 1\" (mend "
      "c.yaml "
      "first: it is held back, and what was last enforced stays)",
      "b.yaml:2:11: error: this is guarded already by database c of c.yaml: \"port 2\" (mend "
      "c.yaml "
      "first: ",
      "(to use this file, rename it: mv c.yaml c-2.yaml)"}},
    {"and_what_waits_for_them_are_used_once_that_is_done",
     {{{{"a.yaml", database("c", "ports: [1, 2]")}}, {}},
      {{{"a.yaml", database("c", "ports: [1, 2]")}, {"c.yaml", database("c", "port: 2")}}, {}},
      {{{"a.yaml", database("a", "port: 1")},
        {"b.yaml", database("b", "port: 2")},
        {"c.yaml", database("c", "port: 3")}},
       {}},
      {{{"a.yaml", database("a", "port: 1")},
        {"b.yaml", database("b", "port: 2")},
        {"c-2.yaml", database("c", "port: 3")}},
       {}}},
     {"a port 1: 192.0.2.1/32", "b port 2: 192.0.2.1/32", "c port 3: 192.0.2.1/32"},
     {"a.yaml a active", "b.yaml b active", "c-2.yaml c active"}},
    {"leave_to_be_forgotten_what_no_file_names_any_more",
     {{{{"a.yaml", orders}, {"b.yaml", billing}}, {}},
      {{{"a.yaml", database("shop", "port: 1")}, {"b.yaml", database("billing", "port: 5432")}},
       {}}},
     {billing_line, orders_line, "shop port 1: 192.0.2.1/32"},
     {"a.yaml orders vanished", "a.yaml shop active", "b.yaml billing held-back"},
     {},
     {"this is guarded already by database orders, last enforced from a.yaml: \"port 5432\" (no "
      "file names that database: moat databases forget orders opens its ports)"}},
    {"win_where_neither_was_enforced",
     {{{{"a.yaml", orders}, {"b.yaml", orders_edited}}, {}}, {{{"b.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"b.yaml orders active"}},
    {"a_file_that_is_renamed_is_none",
     {{{{"a.yaml", orders}}, {}}, {{{"b.yaml", orders_edited}}, {}}},
     {"orders port 5432: "},
     {"b.yaml orders active"}},
    {"of_managed_ranges",
     {{{{"a.yaml", orders_named}}, {{"r.yaml", range("mr-a")}}},
      {{{"a.yaml", orders_named}},
       {{"r.yaml", range("mr-a")}, {"r2.yaml", range("mr-a", "198.51.100.0/24")}}},
      {{{"a.yaml", orders_named}}, {{"r2.yaml", range("mr-a", "198.51.100.0/24")}}}},
     {"orders port 5432: mr-a"},
     {"a.yaml orders active", "r.yaml  vanished", "r2.yaml  held-back"},
     {"mr-a: 192.0.2.0/24 (withdrawn)"}},
};

const std::string peering = "net-peerings: [{id: pcx-1, cidr: 10.42.0.0/16}]\n";
const std::string admits_nobody =
    "a.yaml:4:16: warning: this net peering admits nobody: no rule lets it in: \"pcx-1\" (add a "
    "rule: "
    "moat rules add --database orders --net-peering pcx-1)";

// The warning that some of the stories are about is told, or is not.
TEST(ResolvePeerings, tells_of_one_that_no_rule_lets_in_whatever_rule_does) {
  const auto tells = [](const std::string& rules, const Texts& ranges = {}) {
    const auto text = fault_text(
        run({{{{"a.yaml", database("orders", "port: 5432", rules) + peering}}, ranges}}));
    return text.find(admits_nobody) != std::string::npos;
  };
  EXPECT_TRUE(tells("[]"));
  EXPECT_TRUE(tells("[{cidr: 10.43.0.0/16}]"));
  EXPECT_FALSE(tells("[{net-peering: pcx-1}]"));
  EXPECT_FALSE(tells("[{cidr: 10.42.7.0/24}]")) << "part of it";
  EXPECT_FALSE(tells("[{cidr: 10.0.0.0/8}]"));
  EXPECT_FALSE(tells("[{managed-range: mr-a}]", {{"r.yaml", range("mr-a", "10.42.7.0/24")}}));
  EXPECT_TRUE(tells("[{managed-range: mr-a}]", {{"r.yaml", range("mr-a")}}));
  EXPECT_FALSE(tells("[{net-peering: pcx-1, expires: 1970-01-01T00:00:00Z}]"))
      << "that it has expired is told";
}

const Story peerings[] = {
    {"are_let_in_by_a_rule",
     {{{{"a.yaml", database("orders", "port: 5432", "[{net-peering: pcx-1}]") + peering}}, {}}},
     {"orders port 5432: pcx-1"},
     {"a.yaml orders active"}},
    {"hold_back_a_file_whose_rule_names_none",
     {{{{"a.yaml", database("orders", "port: 5432", "[{net-peering: pcx-1}]") + peering}}, {}},
      {{{"a.yaml", database("orders", "port: 5432", "[{net-peering: pcx-2}]") + peering}}, {}}},
     {"orders port 5432: pcx-1"},
     {"a.yaml orders held-back"},
     {},
     {"a.yaml:3:23: error: unknown net peering: \"pcx-2\" (did you mean pcx-1?)"}},
};

INSTANTIATE_TEST_SUITE_P(peerings, Resolve, testing::ValuesIn(peerings), name_of);
INSTANTIATE_TEST_SUITE_P(one_file, Resolve, testing::ValuesIn(one_file), name_of);
INSTANTIATE_TEST_SUITE_P(first_starts, Resolve, testing::ValuesIn(first_starts), name_of);
INSTANTIATE_TEST_SUITE_P(conflicts, Resolve, testing::ValuesIn(conflicts), name_of);
INSTANTIATE_TEST_SUITE_P(newcomers, Resolve, testing::ValuesIn(newcomers), name_of);
INSTANTIATE_TEST_SUITE_P(precedence, Resolve, testing::ValuesIn(precedence), name_of);
INSTANTIATE_TEST_SUITE_P(rivals, Resolve, testing::ValuesIn(rivals), name_of);
INSTANTIATE_TEST_SUITE_P(managed_ranges, Resolve, testing::ValuesIn(managed_ranges), name_of);

}  // namespace
}  // namespace moat
