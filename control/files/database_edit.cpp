// SPDX-License-Identifier: BSD-2-Clause
// Each edit is done twice: on the text, and on the database that the text says. The new text must
// say exactly the new database, or the edit is refused; so no layout, however odd, can make an edit
// change another rule.
#include "control/files/database_edit.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/yaml/edit.h"

namespace moat {
namespace {

const Fault& first_error(const Faults& faults) {
  return *std::ranges::find(faults, Severity::error, &Fault::severity);
}

std::string with_value(const Fault& fault) {
  if (fault.value.empty()) return fault.message;
  return fmt::format("{}: \"{}\"", fault.message, fault.value);
}

std::expected<Database, Error> database_of(const DatabaseText& text) {
  if (text.reading.value) return *text.reading.value;
  const auto& fault = first_error(text.reading.faults);
  return std::unexpected(Error{fmt::format("the file has an error in line {}, column {}: {}",
                                           fault.place.line, fault.place.column, with_value(fault)),
                               fault.remedy});
}

bool is_same_rule(const Rule& a, const Rule& b) {
  return a.kind() == b.kind() && a.source() == b.source() && a.label == b.label &&
         a.expires == b.expires;
}

// Derived ids are left out: they follow from the sources.
bool is_same(const Database& a, const Database& b) {
  return a.id == b.id && a.endpoint == b.endpoint && a.mode == b.mode &&
         std::ranges::equal(a.rules, b.rules, is_same_rule) &&
         std::ranges::equal(a.peerings, b.peerings, &NetPeering::says_the_same);
}

EditedText check(const DatabaseText& text, YamlText::Result edited, const Database& wanted) {
  if (!edited) return std::unexpected(std::move(edited.error()));
  auto result = read_database_text(text.file, std::move(*edited), text.now);
  const auto& [value, faults] = static_cast<const ReadResult<Database>&>(result.reading);
  if (!value) {
    // Of the reader's own faults with what was asked for, such as one rule too many.
    const auto& fault = first_error(faults);
    return std::unexpected(Error{with_value(fault), fault.remedy});
  }
  if (!is_same(*value, wanted)) return std::unexpected(unknown_layout());
  return result;
}

YamlText yaml_of(const DatabaseText& text) { return {text.bytes, *text.tree.root}; }

Item item_of(const Rule& rule) {
  Item item;
  item.emplace_back(to_string(rule.kind()),
                    rule.cidr ? format_prefix(*rule.cidr) : quote_scalar(rule.source()));
  if (!rule.id.empty()) item.emplace_back("id", quote_scalar(rule.id));
  if (!rule.label.empty()) item.emplace_back("label", quote_scalar(rule.label));
  if (rule.expires) item.emplace_back("expires", format_time(*rule.expires));
  return item;
}

template <typename T>
std::expected<std::size_t, Error> find_index(const std::vector<T>& things, std::string_view id,
                                             std::string_view what) {
  const auto found = std::ranges::find(things, id, &T::id);
  if (found == things.end()) {
    return std::unexpected(
        Error{fmt::format("no {} has this id: \"{}\"", what, id), "list them for their ids"});
  }
  return static_cast<std::size_t>(found - things.begin());
}

}  // namespace

EditedText add_rule(const DatabaseText& text, const Rule& rule) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  database->rules.push_back(rule);
  return check(text, yaml_of(text).append_item("rules", item_of(rule)), *database);
}

EditedText remove_rule(const DatabaseText& text, std::string_view rule_id) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  auto& rules = database->rules;
  const auto index = find_index(rules, rule_id, "rule");
  if (!index) return std::unexpected(index.error());
  rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(*index));
  return check(text, yaml_of(text).remove_item("rules", *index, WhenEmpty::keep_key), *database);
}

EditedText set_label(const DatabaseText& text, std::string_view rule_id, std::string_view label) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  const auto index = find_index(database->rules, rule_id, "rule");
  if (!index) return std::unexpected(index.error());
  database->rules[*index].label = label;
  const auto value = label.empty() ? std::nullopt : std::optional(quote_scalar(label));
  return check(text, yaml_of(text).set_in_item("rules", *index, "label", value), *database);
}

EditedText set_expiry(const DatabaseText& text, std::string_view rule_id,
                      std::optional<WallTime> expires) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  const auto index = find_index(database->rules, rule_id, "rule");
  if (!index) return std::unexpected(index.error());
  database->rules[*index].expires = expires;
  const auto value = expires ? std::optional(format_time(*expires)) : std::nullopt;
  return check(text, yaml_of(text).set_in_item("rules", *index, "expires", value), *database);
}

EditedText add_peering(const DatabaseText& text, const NetPeering& peering) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  database->peerings.push_back(peering);
  Item item = {{"id", quote_scalar(peering.id)}, {"cidr", format_prefix(peering.cidr)}};
  if (!peering.account.empty()) item.emplace_back("account", quote_scalar(peering.account));
  if (!peering.label.empty()) item.emplace_back("label", quote_scalar(peering.label));
  return check(text, yaml_of(text).append_item("net-peerings", item), *database);
}

EditedText remove_peering(const DatabaseText& text, std::string_view peering_id) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  auto& peerings = database->peerings;
  const auto index = find_index(peerings, peering_id, "net peering");
  if (!index) return std::unexpected(index.error());
  peerings.erase(peerings.begin() + static_cast<std::ptrdiff_t>(*index));
  auto edited = yaml_of(text).remove_item("net-peerings", *index, WhenEmpty::remove_key);
  return check(text, std::move(edited), *database);
}

EditedText set_mode(const DatabaseText& text, Mode mode) {
  auto database = database_of(text);
  if (!database) return std::unexpected(database.error());
  database->mode = mode;
  return check(text, yaml_of(text).set_value("mode", to_string(mode)), *database);
}

}  // namespace moat
