// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/database_edit.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace moat {
namespace {

Rule rule(std::string_view cidr, std::string label = "") {
  Rule made;
  made.cidr = parse_prefix(cidr).value();
  made.label = std::move(label);
  return made;
}

NetPeering peering(std::string id, std::string_view cidr) {
  return {std::move(id), parse_prefix(cidr).value(), "", "", {}};
}

// The bytes that an edit of `before` makes.
template <typename... Wanted>
std::expected<std::string, Error> edit(EditedText (*function)(const DatabaseText&, Wanted...),
                                       const std::string& before,
                                       const std::type_identity_t<Wanted>&... wanted) {
  auto edited = function(read_database_text("f", before, WallTime{}), wanted...);
  if (!edited) return std::unexpected(edited.error());
  return edited->bytes;
}

Database read(std::string_view bytes) {
  return read_database("f", bytes, WallTime{}).value.value();
}

// The id of the rule with this source.
std::string id_of(std::string_view bytes, std::string_view source) {
  const auto database = read(bytes);
  const auto found = std::ranges::find(database.rules, source, &Rule::source);
  return found == database.rules.end() ? "no such rule" : found->id;
}

const std::string head = "database: orders\nendpoint: {port: 5432}\n";

struct AddCase {
  const char* name;
  std::string before;
  std::string after;
};

// All add 192.0.2.1/32 with the label "New one".
const AddCase add_cases[] = {
    {"after the last rule, indented as it is",
     head + "rules:\n    -   cidr: 10.0.0.0/8\n        label: a\nmode: enforce\n",
     head + "rules:\n    -   cidr: 10.0.0.0/8\n        label: a\n"
            "    -   cidr: 192.0.2.1/32\n        label: New one\nmode: enforce\n"},
    {"to a list without indentation", head + "rules:\n- cidr: 10.0.0.0/8\n",
     head + "rules:\n- cidr: 10.0.0.0/8\n- cidr: 192.0.2.1/32\n  label: New one\n"},
    {"in braces as the last rule", head + "rules:\n  - {cidr: 10.0.0.0/8}  # x\n",
     head + "rules:\n  - {cidr: 10.0.0.0/8}  # x\n  - {cidr: 192.0.2.1/32, label: New one}\n"},
    {"after a dash on a line of its own", head + "rules:\n  -\n      cidr: 10.0.0.0/8\n",
     head + "rules:\n  -\n      cidr: 10.0.0.0/8\n  - cidr: 192.0.2.1/32\n    label: New one\n"},
    {"below the comments of the last rule, above those of what follows",
     head + "rules:\n  - cidr: 10.0.0.0/8\n    # label: old\n\n  # peers\n\n# mode: monitor\n",
     head + "rules:\n  - cidr: 10.0.0.0/8\n    # label: old\n"
            "  - cidr: 192.0.2.1/32\n    label: New one\n\n  # peers\n\n# mode: monitor\n"},
    {"with carriage returns",
     "database: a\r\nendpoint: {port: 1}\r\nrules:\r\n  - cidr: 10.0.0.0/8\r\n",
     "database: a\r\nendpoint: {port: 1}\r\nrules:\r\n  - cidr: 10.0.0.0/8\r\n"
     "  - cidr: 192.0.2.1/32\r\n    label: New one\r\n"},
    {"without a line end at the end", head + "rules:\n  - cidr: 10.0.0.0/8",
     head + "rules:\n  - cidr: 10.0.0.0/8\n  - cidr: 192.0.2.1/32\n    label: New one"},
    {"before the document's end mark", "---\n" + head + "rules:\n  - cidr: 10.0.0.0/8\n...\n",
     "---\n" + head +
         "rules:\n  - cidr: 10.0.0.0/8\n"
         "  - cidr: 192.0.2.1/32\n    label: New one\n...\n"},
    {"to nobody", head + "rules: []\n",
     head + "rules:\n  - cidr: 192.0.2.1/32\n    label: New one\n"},
    {"to nobody, with a comment and more below", head + "rules: [ ]  # nobody yet\nmode: enforce\n",
     head + "rules:  # nobody yet\n  - cidr: 192.0.2.1/32\n    label: New one\nmode: enforce\n"},
    {"to nobody at the very end", head + "rules: []",
     head + "rules:\n  - cidr: 192.0.2.1/32\n    label: New one"},
    {"to nobody, as the peerings are written",
     head + "rules: []\nnet-peerings:\n- id: p\n  cidr: 10.0.0.0/8\n",
     head + "rules:\n- cidr: 192.0.2.1/32\n  label: New one\n"
            "net-peerings:\n- id: p\n  cidr: 10.0.0.0/8\n"},
    {"to nobody in an indented file", "  database: a\n  endpoint: {port: 1}\n  rules: []\n",
     "  database: a\n  endpoint: {port: 1}\n  rules:\n    - cidr: 192.0.2.1/32\n      label: New "
     "one\n"},
    {"to nobody in brackets with a comment", head + "rules: [  # nobody\n  ]\n",
     head + "rules: [  # nobody\n    {cidr: 192.0.2.1/32, label: New one}\n  ]\n"},
    {"to nobody in brackets with an example, which may be used later",
     head + "rules: [\n  # {cidr: 10.0.0.0/8},\n]\n",
     head + "rules: [\n  # {cidr: 10.0.0.0/8},\n  {cidr: 192.0.2.1/32, label: New one}\n]\n"},
    {"to nobody in brackets below the key", head + "rules:\n  []\n",
     head + "rules:\n  [{cidr: 192.0.2.1/32, label: New one}]\n"},
    {"in brackets", head + "rules: [{cidr: 10.0.0.0/8}]  # all\n",
     head + "rules: [{cidr: 10.0.0.0/8}, {cidr: 192.0.2.1/32, label: New one}]  # all\n"},
    {"in brackets with a comma at the end", head + "rules: [{cidr: 10.0.0.0/8},]\n",
     head + "rules: [{cidr: 10.0.0.0/8}, {cidr: 192.0.2.1/32, label: New one},]\n"},
    {"in brackets, one rule a line", head + "rules: [\n  {cidr: 10.0.0.0/8}  # a, ]\n]\n",
     head + "rules: [\n  {cidr: 10.0.0.0/8},  # a, ]\n  {cidr: 192.0.2.1/32, label: New one}\n]\n"},
    {"in brackets, one rule a line and commas", head + "rules: [\n  {cidr: 10.0.0.0/8},  # a\n]\n",
     head + "rules: [\n  {cidr: 10.0.0.0/8},  # a\n  {cidr: 192.0.2.1/32, label: New one},\n]\n"},
    {"in brackets closed on the last line",
     head + "rules: [{cidr: 10.0.0.0/8},\n        {cidr: 10.0.0.0/9}]\n",
     head + "rules: [{cidr: 10.0.0.0/8},\n        {cidr: 10.0.0.0/9},\n"
            "        {cidr: 192.0.2.1/32, label: New one}]\n"},
    {"past brackets in quotes", head + "rules: [{cidr: 10.0.0.0/8, label: \"]}\\\"],\"}]\n",
     head + "rules: [{cidr: 10.0.0.0/8, label: \"]}\\\"],\"}, "
            "{cidr: 192.0.2.1/32, label: New one}]\n"},
    {"past quotes within a word", head + "rules: [{cidr: 10.0.0.0/8, label: it's a#1}]\n",
     head + "rules: [{cidr: 10.0.0.0/8, label: it's a#1}, "
            "{cidr: 192.0.2.1/32, label: New one}]\n"},
    {"past single quotes", head + "rules: [{cidr: 10.0.0.0/8, label: 'it''s ]}, #'}]\n",
     head + "rules: [{cidr: 10.0.0.0/8, label: 'it''s ]}, #'}, "
            "{cidr: 192.0.2.1/32, label: New one}]\n"},
    {"in braces all over", "{database: a, endpoint: {port: 1}, rules: []}",
     "{database: a, endpoint: {port: 1}, rules: [{cidr: 192.0.2.1/32, label: New one}]}"},
};

TEST(AddRule, ChangesNoOtherByte) {
  for (const auto& row : add_cases) {
    const auto result = edit(add_rule, row.before, rule("192.0.2.1/32", "New one"));
    ASSERT_TRUE(result) << row.name << ": " << result.error().message;
    EXPECT_EQ(*result, row.after) << row.name;
  }
}

TEST(AddRule, QuotesALabelWhereYamlNeedsIt) {
  for (const auto* label :
       {"plain", "with spaces", "B\xc3\xbcro", "a: b", "a #b",  "# a",        "- a",
        "[a]",   "{a}",         "a, b",        "'a'",  "\"a\"", "it's",       "a\\b",
        "null",  "~",           "true",        "No",   "12",    "1e3",        " a",
        "a ",    "&a",          "*a",          "!a",   "%a",    "@a",         "`a`",
        "|",     ">",           "?",           ":",    "a:",    "2027-01-31", "\xe2\x98\x95"}) {
    for (const auto* before : {"rules:\n  - cidr: 10.0.0.0/8\n", "rules: [{cidr: 10.0.0.0/8}]\n"}) {
      const auto result = edit(add_rule, head + before, rule("192.0.2.1/32", label));
      ASSERT_TRUE(result) << label << ": " << result.error().message;
      EXPECT_EQ(read(*result).rules.at(1).label, label);
    }
  }
}

TEST(AddRule, WritesEveryFieldOfARule) {
  Rule guest;
  guest.managed_range = "mr-app";
  guest.id = "guest";
  guest.label = "Guest";
  guest.expires = parse_time("2027-01-31T18:00:00Z").value();
  EXPECT_EQ(edit(add_rule, head + "rules: []\n", guest).value(),
            head +
                "rules:\n  - managed-range: mr-app\n    id: guest\n    label: Guest\n"
                "    expires: 2027-01-31T18:00:00Z\n");
}

std::string refusal(const std::expected<std::string, Error>& result) {
  return result ? "done" : result.error().message + " | " + result.error().remedy;
}

TEST(AddRule, RefusesInTheWordsOfTheReader) {
  const auto one = head + "rules:\n  - cidr: 10.0.0.0/8\n";
  EXPECT_EQ(refusal(edit(add_rule, one, rule("10.0.0.0/8"))),
            "the same source twice: \"10.0.0.0/8\" | the first is in line 4");
  EXPECT_EQ(refusal(edit(add_rule, one, rule("11.0.0.0/8", "a\nb"))),
            "there is a control character in `label`: \"a\nb\" | write one line of plain text");
  std::string full = head + "rules:\n";
  for (int i = 0; i < 30; ++i) full += "  - cidr: 10.0." + std::to_string(i) + ".0/24\n";
  EXPECT_EQ(refusal(edit(add_rule, full, rule("11.0.0.0/8"))),
            "more than 30 rules | 1 too many: merge CIDRs, or use a managed range");
}

TEST(AddRule, RefusesAFileWithErrors) {
  EXPECT_EQ(refusal(edit(add_rule, head + "rules:\n", rule("11.0.0.0/8"))),
            "the file has an error in line 3, column 1: `rules` has no value | write `rules: []` "
            "for nobody");
}

TEST(AddRule, RefusesALayoutItCannotEdit) {
  const std::string by_hand =
      "the file is laid out in a way that cannot be edited safely | edit it by hand, or write one "
      "item a line, each begun by a dash";
  for (const auto* before : {"? rules\n: - cidr: 10.0.0.0/8\n", "rules: [cidr: 10.0.0.0/8]\n"}) {
    EXPECT_EQ(refusal(edit(add_rule, head + before, rule("11.0.0.0/8"))), by_hand) << before;
  }
}

struct RemoveCase {
  const char* name;
  std::string before;
  const char* source;
  std::string after;
};

const std::string two = head + "rules:\n  - cidr: 10.0.0.0/8\n    label: a\n  - cidr: 11.0.0.0/8\n";

const RemoveCase remove_cases[] = {
    {"the first of two", two, "10.0.0.0/8", head + "rules:\n  - cidr: 11.0.0.0/8\n"},
    {"the second of two", two, "11.0.0.0/8", head + "rules:\n  - cidr: 10.0.0.0/8\n    label: a\n"},
    {"the only one", head + "rules:  # who\n  - cidr: 10.0.0.0/8\n\nmode: enforce\n", "10.0.0.0/8",
     head + "rules: []  # who\n\nmode: enforce\n"},
    {"the only one, without a line end", head + "rules:\n  - cidr: 10.0.0.0/8", "10.0.0.0/8",
     head + "rules: []\n"},
    {"the only one under a quoted key", head + "\"rules\" :\n  - cidr: 10.0.0.0/8\n", "10.0.0.0/8",
     head + "\"rules\" : []\n"},
    {"with its own comments",
     head + "rules:\n  # about a\n  - cidr: 10.0.0.0/8  # a\n    # still a\n  # about b\n"
            "  - cidr: 11.0.0.0/8\n",
     "10.0.0.0/8", head + "rules:\n  # about b\n  - cidr: 11.0.0.0/8\n"},
    {"without the comment that heads the next one too",
     head + "rules:\n  # the office\n  - cidr: 10.0.0.0/8\n  - cidr: 11.0.0.0/8\n", "10.0.0.0/8",
     head + "rules:\n  # the office\n  - cidr: 11.0.0.0/8\n"},
    {"without a heading, or a rule that is commented out",
     head + "rules:\n  # Offices\n  # -------\n  # Paris\n  - cidr: 10.0.0.0/8\n\n"
            "  # - cidr: 12.0.0.0/8\n  # Lyon,\n  # third floor\n  - cidr: 11.0.0.0/8\n",
     "11.0.0.0/8",
     head + "rules:\n  # Offices\n  # -------\n  # Paris\n  - cidr: 10.0.0.0/8\n\n"
            "  # - cidr: 12.0.0.0/8\n"},
    {"without the further lines of a rule that is commented out",
     head + "rules:\n  - cidr: 10.0.0.0/8\n  # - cidr: 12.0.0.0/8\n"
            "  #   expires: 2027-01-31T18:00:00Z\n  - cidr: 11.0.0.0/8\n",
     "11.0.0.0/8",
     head + "rules:\n  - cidr: 10.0.0.0/8\n  # - cidr: 12.0.0.0/8\n"
            "  #   expires: 2027-01-31T18:00:00Z\n"},
    {"with a comment below a rule that is commented out",
     head + "rules:\n  #- cidr: 12.0.0.0/8\n  #\tlabel: x\n  #Lyon\n  - cidr: 11.0.0.0/8\n",
     "11.0.0.0/8", head + "rules: []\n  #- cidr: 12.0.0.0/8\n  #\tlabel: x\n"},
    {"without comments that are indented otherwise",
     head + "rules:\n# Offices\n  # Paris\n  - cidr: 10.0.0.0/8\n\n    # x\n  - cidr: 11.0.0.0/8\n",
     "10.0.0.0/8", head + "rules:\n# Offices\n\n    # x\n  - cidr: 11.0.0.0/8\n"},
    {"without what stands above a blank line",
     head + "rules:\n  # general\n\n  - cidr: 10.0.0.0/8\n", "10.0.0.0/8",
     head + "rules: []\n  # general\n\n"},
    {"without the comments below it", two + "# mode: monitor\n", "11.0.0.0/8",
     head + "rules:\n  - cidr: 10.0.0.0/8\n    label: a\n# mode: monitor\n"},
    {"of several lines with carriage returns",
     "database: a\r\nendpoint: {port: 1}\r\nrules:\r\n- cidr: 10.0.0.0/8\r\n  label: x\r\n"
     "- cidr: 11.0.0.0/8\r\n",
     "10.0.0.0/8", "database: a\r\nendpoint: {port: 1}\r\nrules:\r\n- cidr: 11.0.0.0/8\r\n"},
    {"with a dash on a line of its own",
     head + "rules:\n  - # a\n      cidr: 10.0.0.0/8\n  -\n      cidr: 11.0.0.0/8\n", "10.0.0.0/8",
     head + "rules:\n  -\n      cidr: 11.0.0.0/8\n"},
    {"the first in brackets", head + "rules: [{cidr: 10.0.0.0/8}, {cidr: 11.0.0.0/8}] # x\n",
     "10.0.0.0/8", head + "rules: [{cidr: 11.0.0.0/8}] # x\n"},
    {"the last in brackets", head + "rules: [{cidr: 10.0.0.0/8}, {cidr: 11.0.0.0/8}] # x\n",
     "11.0.0.0/8", head + "rules: [{cidr: 10.0.0.0/8}] # x\n"},
    {"the only one in brackets", head + "rules: [ {cidr: 10.0.0.0/8}, ] # x\n", "10.0.0.0/8",
     head + "rules: [] # x\n"},
    {"a line in brackets", head + "rules: [\n  {cidr: 10.0.0.0/8},  # a\n  {cidr: 11.0.0.0/8}\n]\n",
     "10.0.0.0/8", head + "rules: [\n  {cidr: 11.0.0.0/8}\n]\n"},
    {"the last line in brackets",
     head + "rules: [\n  {cidr: 10.0.0.0/8},  # a\n  # b\n  {cidr: 11.0.0.0/8}\n]\n", "11.0.0.0/8",
     head + "rules: [\n  {cidr: 10.0.0.0/8},  # a\n]\n"},
    {"the only line in brackets", head + "rules: [\n  {cidr: 10.0.0.0/8}\n]\n", "10.0.0.0/8",
     head + "rules: []\n"},
    {"the only line in brackets, with a comment of the list",
     head + "rules: [  # who\n  {cidr: 10.0.0.0/8}\n]\n", "10.0.0.0/8",
     head + "rules: [  # who\n]\n"},
    {"in braces all over",
     "{database: a, endpoint: {port: 1}, rules: [{cidr: 10.0.0.0/8, label: ']'}], mode: enforce}\n",
     "10.0.0.0/8", "{database: a, endpoint: {port: 1}, rules: [], mode: enforce}\n"},
};

TEST(RemoveRule, TakesOutWhatBelongsToItAlone) {
  for (const auto& row : remove_cases) {
    const auto result = edit(remove_rule, row.before, id_of(row.before, row.source));
    ASSERT_TRUE(result) << row.name << ": " << result.error().message;
    EXPECT_EQ(*result, row.after) << row.name;
  }
}

TEST(RemoveRule, KnowsAWrittenId) {
  EXPECT_EQ(edit(remove_rule, head + "rules:\n  - {id: a, cidr: 10.0.0.0/8}\n", "a").value(),
            head + "rules: []\n");
}

TEST(RemoveRule, RefusesAnIdThatNoRuleHas) {
  EXPECT_EQ(refusal(edit(remove_rule, two, "r-00000000")),
            "no rule has this id: \"r-00000000\" | list them for their ids");
}

struct SetCase {
  const char* name;
  std::string before;
  std::string label;    // empty: none
  std::string expires;  // of the rule then, as the file says it; empty: never
  std::string after;
};

// All set the rule for 10.0.0.0/8.
const SetCase set_cases[] = {
    {"below the last key of the rule, indented as it is",
     head + "rules:\n    -   cidr: 10.0.0.0/8  # a\n    # b\n    - cidr: 11.0.0.0/8\n", "New one",
     "2027-01-31T18:00:00Z",
     head + "rules:\n    -   cidr: 10.0.0.0/8  # a\n        label: New one\n"
            "        expires: 2027-01-31T18:00:00Z\n    # b\n    - cidr: 11.0.0.0/8\n"},
    {"in the place of what was there, whatever its quotes",
     head + "rules:\n  - label: 'it''s # old'  # a\n    cidr: 10.0.0.0/8\n"
            "    expires: 2026-01-31T18:00:00Z  # b\n",
     "New one", "2027-01-31T18:00:00Z",
     head + "rules:\n  - label: New one  # a\n    cidr: 10.0.0.0/8\n"
            "    expires: 2027-01-31T18:00:00Z  # b\n"},
    {"out of the rule, with the comments that speak of it",
     head + "rules:\n  - cidr: 10.0.0.0/8\n    # mine\n    label: a\n\n    # until then\n"
            "    expires: 2027-01-31T18:00:00Z  # b\n",
     "", "", head + "rules:\n  - cidr: 10.0.0.0/8\n\n"},
    {"out of the place beside the dash",
     head + "rules:\n  - label: a  # b\n    cidr: 10.0.0.0/8  # c\n", "", "",
     head + "rules:\n  - cidr: 10.0.0.0/8  # c\n"},
    {"out of the place below the dash",
     head + "rules:\n  -\n    label: a  # b\n    cidr: 10.0.0.0/8  # c\n", "", "",
     head + "rules:\n  -\n    cidr: 10.0.0.0/8  # c\n"},
    {"in braces", head + "rules:\n  - {cidr: 10.0.0.0/8}  # a\n", "a, b", "2027-01-31T18:00:00Z",
     head +
         "rules:\n  - {cidr: 10.0.0.0/8, label: \"a, b\", expires: 2027-01-31T18:00:00Z}  # a\n"},
    {"out of braces, at their end",
     head + "rules: [{cidr: 10.0.0.0/8, label: '}'}, {cidr: 11.0.0.0/8}]\n", "", "",
     head + "rules: [{cidr: 10.0.0.0/8}, {cidr: 11.0.0.0/8}]\n"},
    {"out of braces, at their beginning",
     head + "rules: [{label: a, expires: 2027-01-31T18:00:00Z, cidr: 10.0.0.0/8}]\n", "", "",
     head + "rules: [{cidr: 10.0.0.0/8}]\n"},
    {"out of braces on several lines",
     head + "rules:\n  - {cidr: 10.0.0.0/8,  # a\n     label: b,  # c\n"
            "     expires: 2027-01-31T18:00:00Z}\n",
     "", "", head + "rules:\n  - {cidr: 10.0.0.0/8,  # a\n     }\n"},
    {"with carriage returns", "database: a\r\nendpoint: {port: 1}\r\nrules:\r\n- cidr: 10.0.0.0/8",
     "b", "", "database: a\r\nendpoint: {port: 1}\r\nrules:\r\n- cidr: 10.0.0.0/8\r\n  label: b"},
};

TEST(SetRule, ChangesOneRuleInItsPlaceAndKeepsItsId) {
  for (const auto& row : set_cases) {
    const auto id = id_of(row.before, "10.0.0.0/8");
    const auto expires =
        row.expires.empty() ? std::nullopt : std::optional(parse_time(row.expires).value());
    const auto labelled = set_label(read_database_text("f", row.before, WallTime{}), id, row.label);
    ASSERT_TRUE(labelled) << row.name << ": " << labelled.error().message;
    const auto edited = set_expiry(*labelled, id, expires);
    ASSERT_TRUE(edited) << row.name << ": " << edited.error().message;
    EXPECT_EQ(edited->bytes, row.after) << row.name;
    EXPECT_EQ(id_of(edited->bytes, "10.0.0.0/8"), id) << row.name;
  }
}

TEST(SetRule, ChangesNothingThatIsSoAlready) {
  const auto before = head + "rules:\n  - {id: a, cidr: 10.0.0.0/8}\n";
  EXPECT_EQ(edit(set_label, before, "a", "").value(), before);
  EXPECT_EQ(edit(set_expiry, before, "a", std::nullopt).value(), before);
}

TEST(SetRule, RefusesALabelThatNoFileMayHave) {
  const auto before = head + "rules:\n  - {id: a, cidr: 10.0.0.0/8}\n";
  const auto words = refusal(edit(set_label, before, "a", std::string(300, 'x')));
  EXPECT_TRUE(words.starts_with("`label` has 300 bytes")) << words;
}

TEST(SetRule, RefusesALayoutThatHasNoEnds) {
  EXPECT_EQ(
      refusal(edit(set_label, head + "rules: [cidr: 10.0.0.0/8]\n",
                   id_of(head + "rules: [cidr: 10.0.0.0/8]\n", "10.0.0.0/8"), "a")),
      "the file is laid out in a way that cannot be edited safely | edit it by hand, or write "
      "one item a line, each begun by a dash");
}

TEST(AddPeering, MakesTheKeyIfThereIsNone) {
  const auto p = peering("p", "10.42.0.0/16");
  EXPECT_EQ(edit(add_peering, head + "rules:\n    - cidr: 10.0.0.0/8\n\n# end\n", p).value(),
            head +
                "rules:\n    - cidr: 10.0.0.0/8\n"
                "net-peerings:\n    - id: p\n      cidr: 10.42.0.0/16\n\n# end\n");
  EXPECT_EQ(edit(add_peering, head + "rules: []", p).value(),
            head + "rules: []\nnet-peerings:\n  - id: p\n    cidr: 10.42.0.0/16");
  EXPECT_EQ(edit(add_peering, "{database: a, endpoint: {port: 1}, rules: []}", p).value(),
            "{net-peerings: [{id: p, cidr: 10.42.0.0/16}], database: a, endpoint: {port: 1}, "
            "rules: []}");
}

TEST(AddPeering, TakesWhoseItIsAndWhatItIsFor) {
  auto p = peering("p", "10.42.0.0/16");
  p.account = "042";
  p.label = "Staging: #2";
  EXPECT_EQ(edit(add_peering, head + "rules: []\n", p).value(),
            head +
                "rules: []\nnet-peerings:\n  - id: p\n    cidr: 10.42.0.0/16\n"
                "    account: \"042\"\n    label: \"Staging: #2\"\n");
}

TEST(AddRule, NamesANetPeering) {
  Rule rule;
  rule.net_peering = "p";
  const auto peered = head + "rules: []\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}]\n";
  EXPECT_EQ(edit(add_rule, peered, rule).value(),
            head + "rules:\n  - net-peering: p\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}]\n");
  EXPECT_EQ(refusal(edit(add_rule, head + "rules: []\n", rule)),
            "unknown net peering: \"p\" | write it under `net-peerings`, with its id and cidr");
}

TEST(RemovePeering, IsRefusedWhileARuleNamesIt) {
  EXPECT_EQ(refusal(edit(remove_peering,
                         head + "rules: [{net-peering: p}]\n"
                                "net-peerings: [{id: p, cidr: 10.0.0.0/8}]\n",
                         "p")),
            "unknown net peering: \"p\" | write it under `net-peerings`, with its id and cidr");
}

TEST(AddPeering, GoesAfterTheLastOne) {
  EXPECT_EQ(edit(add_peering, head + "net-peerings:\n- {id: p, cidr: 10.0.0.0/8}\nrules: []\n",
                 peering("q", "11.0.0.0/8"))
                .value(),
            head +
                "net-peerings:\n- {id: p, cidr: 10.0.0.0/8}\n- {id: q, cidr: 11.0.0.0/8}\n"
                "rules: []\n");
}

TEST(AddPeering, RefusesTheSameIdTwice) {
  EXPECT_EQ(
      refusal(edit(add_peering, head + "rules: []\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}]\n",
                   peering("p", "11.0.0.0/8"))),
      "the same net peering twice: \"p\" | the first is in line 4");
}

TEST(RemovePeering, TakesTheKeyWithTheLastOne) {
  const auto before = head +
                      "# peers\nnet-peerings:\n  # p\n  - id: p\n    cidr: 10.0.0.0/8\n\n"
                      "rules: []\n";
  EXPECT_EQ(edit(remove_peering, before, "p").value(), head + "\nrules: []\n");
  EXPECT_EQ(
      edit(remove_peering, head + "net-peerings: [{id: p, cidr: 10.0.0.0/8}]\nrules: []\n", "p")
          .value(),
      head + "rules: []\n");
  EXPECT_EQ(
      edit(remove_peering,
           head +
               "rules: []\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}, {id: q, cidr: 11.0.0.0/8}]\n",
           "p")
          .value(),
      head + "rules: []\nnet-peerings: [{id: q, cidr: 11.0.0.0/8}]\n");
}

TEST(RemovePeering, RefusesAnIdThatNoneHas) {
  EXPECT_EQ(refusal(edit(remove_peering, head + "rules: []\n", "p")),
            "no net peering has this id: \"p\" | list them for their ids");
}

TEST(SetMode, ReplacesOrAddsTheLine) {
  EXPECT_EQ(edit(set_mode, head + "mode: 'enforce' # x\nrules: []\n", Mode::monitor).value(),
            head + "mode: monitor # x\nrules: []\n");
  EXPECT_EQ(edit(set_mode, head + "rules: []\n\n# mode: monitor\n", Mode::monitor).value(),
            head + "rules: []\nmode: monitor\n\n# mode: monitor\n");
  EXPECT_EQ(edit(set_mode, "{database: a, endpoint: {port: 1}, rules: []}", Mode::enforce).value(),
            "{mode: enforce, database: a, endpoint: {port: 1}, rules: []}");
}

}  // namespace
}  // namespace moat
