// SPDX-License-Identifier: BSD-2-Clause
// An edit of the file is an edit of the policy: random rules, written down in a random layout, then
// a random chain of edits, each of which must do to the file what it does to a list of rules, and
// leave every line alone that does not speak of the rule in question.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <sstream>

#include "control/files/database_edit.h"

namespace moat {
namespace {

// Each rule's lines carry its tag, "t7.", which no other line has.
std::string tag_of(int number) { return fmt::format("t{}.", number); }

Rule make_rule(int number) {
  Rule rule;
  if (number % 3 == 0) {
    rule.managed_range = fmt::format("mr-{}", tag_of(number));
  } else {
    rule.cidr = Prefix{Address(static_cast<std::uint32_t>(number) << 16 | 10u << 24), 24};
  }
  const char* const labels[] = {"Label {}", "{}: # [odd], 'label'", "\"{}\"", "it's {}"};
  rule.label = fmt::format(fmt::runtime(labels[number % 4]), tag_of(number));
  if (number % 5 == 0) rule.expires = parse_time("2027-01-31T18:00:00Z").value();
  return rule;
}

enum class Form { block, braces, brackets, bracket_lines };

struct Layout {
  Form form = Form::block;
  bool has_returns = false;    // \r\n
  bool is_open_ended = false;  // no line end at the end
  bool has_comments = false;   // above and after each rule
  bool has_blank_lines = false;
  bool has_peerings_below = false;
  bool has_marks = false;  // --- and ...
  std::size_t indent = 2;
  std::size_t gap = 2;
};

void showValue(const Layout& layout, std::ostream& out) {
  out << "form " << static_cast<int>(layout.form) << " indent " << layout.indent << " gap "
      << layout.gap;
}

rc::Gen<Layout> any_layout() {
  return rc::gen::build<Layout>(
      rc::gen::set(&Layout::form, rc::gen::element(Form::block, Form::braces, Form::brackets,
                                                   Form::bracket_lines)),
      rc::gen::set(&Layout::has_returns), rc::gen::set(&Layout::is_open_ended),
      rc::gen::set(&Layout::has_comments), rc::gen::set(&Layout::has_blank_lines),
      rc::gen::set(&Layout::has_peerings_below), rc::gen::set(&Layout::has_marks),
      rc::gen::set(&Layout::indent, rc::gen::inRange<std::size_t>(0, 5)),
      rc::gen::set(&Layout::gap, rc::gen::inRange<std::size_t>(2, 5)));
}

// The rule's keys and values, with the label quoted in the one way that is always right.
std::vector<std::string> pairs_of(const Rule& rule) {
  std::vector<std::string> pairs = {(rule.cidr ? "cidr: " : "managed-range: ") + rule.source()};
  std::string label;
  for (const char c : rule.label) label += c == '\'' ? "''" : std::string(1, c);
  if (rule.expires) pairs.push_back("expires: " + format_time(*rule.expires));
  pairs.push_back(fmt::format("label: '{}'", label));
  return pairs;
}

std::string render_rule(const Layout& layout, int number, bool is_last) {
  const auto pairs = pairs_of(make_rule(number));
  const std::string indent(layout.indent, ' ');
  const auto comment = layout.has_comments ? fmt::format("  # after {}", tag_of(number)) : "";
  std::string text;
  if (layout.has_blank_lines && !layout.has_comments) text += "\n";
  if (layout.has_comments) text += fmt::format("{}# above {}\n", indent, tag_of(number));
  if (layout.form == Form::bracket_lines) {
    return text + fmt::format("{}{{{}}}{}{}\n", indent, fmt::join(pairs, ", "), is_last ? "" : ",",
                              comment);
  }
  const auto dash = fmt::format("{}-{:{}}", indent, "", layout.gap - 1);
  if (layout.form == Form::braces) {
    return text + fmt::format("{}{{{}}}{}\n", dash, fmt::join(pairs, ", "), comment);
  }
  const std::string next(layout.indent + layout.gap, ' ');
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    // A tag on every line, so that each can be told to be the rule's.
    text += fmt::format("{}{}  # {}\n", i == 0 ? dash : next, pairs[i], tag_of(number));
  }
  return text;
}

std::string render_rules(const Layout& layout, const std::vector<int>& numbers) {
  if (numbers.empty()) return "rules: []  # list\n";
  std::string text;
  if (layout.form == Form::brackets) {
    for (const auto number : numbers) {
      const auto pairs = pairs_of(make_rule(number));
      text += fmt::format("{}{{{}}}", text.empty() ? "" : ", ", fmt::join(pairs, ", "));
    }
    return fmt::format("rules: [{}]  # list\n", text);
  }
  const bool has_brackets = layout.form == Form::bracket_lines;
  text = has_brackets ? "rules: [  # list\n" : "rules:  # list\n";
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    text += render_rule(layout, numbers[i], i + 1 == numbers.size());
  }
  return has_brackets ? text + "]\n" : text;
}

std::string render(const Layout& layout, const std::vector<int>& numbers) {
  const std::string peerings = "# peers\nnet-peerings:\n  - {id: p, cidr: 172.16.0.0/12}\n";
  auto text = std::string(layout.has_marks ? "---\n" : "") +
              "# head\ndatabase: orders  # name\nendpoint: {port: 5432}\n";
  if (!layout.has_peerings_below) text += peerings;
  text += render_rules(layout, numbers);
  if (layout.has_peerings_below) text += peerings;
  text += "# mode: monitor";
  if (layout.has_marks) text += "\n...";
  if (!layout.is_open_ended) text += "\n";
  if (!layout.has_returns) return text;
  std::string with_returns;
  for (const char c : text) with_returns += c == '\n' ? "\r\n" : std::string(1, c);
  return with_returns;
}

bool is_list_line(const std::string& line) {
  return line.starts_with("rules:") || line.starts_with("]");
}

// A comment that headed the rule of an edit before and, as it then stood above another one, stayed.
// It goes with that one.
bool is_orphan(const std::string& line, const std::vector<int>& numbers) {
  const auto above = line.find("# above ");
  return above != std::string::npos && std::ranges::none_of(numbers, [&](int number) {
           return line.substr(above + 8) == tag_of(number);
         });
}

// The lines that do not speak of the rule with this tag, nor open or close the list.
std::vector<std::string> other_lines(const std::string& text, int number,
                                     const std::vector<int>& numbers) {
  const auto tag = tag_of(number);
  const auto source = make_rule(number).source();
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.ends_with('\r')) line.pop_back();
    const bool is_about = line.find(tag) != std::string::npos ||
                          line.find(source) != std::string::npos ||
                          line.ends_with("expires: 2027-01-31T18:00:00Z");
    // Commas between lines in brackets come and go with the lines around them.
    if (const auto brace = line.find("},"); brace != std::string::npos) line.erase(brace + 1, 1);
    if (!is_about && !is_list_line(line) && !is_orphan(line, numbers)) lines.push_back(line);
  }
  return lines;
}

void check_says(const std::string& text, const std::vector<int>& numbers) {
  const auto reading = read_database("f", text, WallTime{});
  RC_ASSERT(reading.value.has_value());
  RC_ASSERT(reading.value->rules.size() == numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto wanted = make_rule(numbers[i]);
    const auto& found = reading.value->rules[i];
    RC_ASSERT(found.source() == wanted.source());
    RC_ASSERT(found.label == wanted.label);
    RC_ASSERT(found.expires == wanted.expires);
  }
  RC_ASSERT(reading.value->peerings.size() == 1u);
}

DatabaseText read(const std::string& text) { return read_database_text("f", text, WallTime{}); }

// Adds the rule if the list does not have it, else removes it.
std::string edit(const std::string& text, std::vector<int>& numbers, int number) {
  const auto known = std::ranges::find(numbers, number);
  const auto rule = make_rule(number);
  const auto before = read(text);
  EditedText edited;
  if (known == numbers.end()) {
    edited = add_rule(before, rule);
    numbers.push_back(number);
  } else {
    const auto& rules = before.reading.value->rules;
    edited = remove_rule(before, std::ranges::find(rules, rule.source(), &Rule::source)->id);
    numbers.erase(known);
  }
  RC_ASSERT(edited.has_value());
  RC_ASSERT(other_lines(edited->bytes, number, numbers) == other_lines(text, number, numbers));
  return edited->bytes;
}

RC_GTEST_PROP(PolicyEdit, EditsTheFileAsItEditsThePolicy, ()) {
  const auto layout = *any_layout();
  auto numbers = *rc::gen::unique<std::vector<int>>(rc::gen::inRange(1, 12));
  const auto edits = *rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 12));
  auto text = render(layout, numbers);
  RC_LOG() << text;
  check_says(text, numbers);
  for (const auto number : edits) {
    text = edit(text, numbers, number);
    RC_LOG() << "--- " << number << "\n" << text;
    check_says(text, numbers);
    const bool has_returns = text.find('\r') != std::string::npos;
    RC_ASSERT(has_returns == layout.has_returns);
  }
}

// Another label, or end, for a rule of any layout leaves all other lines and rules as they were.
RC_GTEST_PROP(PolicyEdit, SetsARuleInItsPlace, ()) {
  const auto layout = *any_layout();
  const auto numbers =
      *rc::gen::nonEmpty(rc::gen::unique<std::vector<int>>(rc::gen::inRange(1, 9)));
  const auto number = *rc::gen::elementOf(numbers);
  const auto text = render(layout, numbers);
  RC_LOG() << text;
  const auto before = read(text);
  auto wanted = *before.reading.value;
  const auto rule = std::ranges::find(wanted.rules, make_rule(number).source(), &Rule::source);
  const auto label = *rc::gen::element<std::string>("", "{[: #", "New");
  rule->label = label.empty() ? "" : label + tag_of(number);
  rule->expires = *rc::gen::element<std::optional<WallTime>>(
      std::nullopt, parse_time("2027-01-31T18:00:00Z").value());
  const auto labelled = set_label(before, rule->id, rule->label);
  RC_ASSERT(labelled.has_value());
  RC_LOG() << "--- " << number << "\n" << labelled->bytes;
  const auto edited = set_expiry(*labelled, rule->id, rule->expires);
  RC_ASSERT(edited.has_value());
  RC_LOG() << "---\n" << edited->bytes;
  RC_ASSERT(other_lines(edited->bytes, number, numbers) == other_lines(text, number, numbers));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto& found = edited->reading.value->rules[i];
    RC_ASSERT(found.id == wanted.rules[i].id);
    RC_ASSERT(found.label == wanted.rules[i].label);
    RC_ASSERT(found.expires == wanted.rules[i].expires);
  }
}

// Whatever bytes there are: no crash, no third way between an edit and a refusal.
RC_GTEST_PROP(PolicyEdit, EditsADamagedFileRightOrRefuses, ()) {
  auto text = render(*any_layout(), *rc::gen::unique<std::vector<int>>(rc::gen::inRange(1, 8)));
  const auto damages = *rc::gen::inRange(1, 4);
  for (int i = 0; i < damages; ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    const auto erased = *rc::gen::inRange<std::size_t>(0, 12);
    const auto inserted = *rc::gen::container<std::string>(
        *rc::gen::inRange<std::size_t>(0, 3),
        rc::gen::elementOf(std::string("[]{},:#-'\"&*!|>%? \n\r\t\0\xc3\xa9x1", 26)));
    text.replace(at, erased, inserted);
  }
  const auto source = read(text);
  const auto& before = source.reading;
  RC_ASSERT(before.value.has_value() == !has_error(before.faults));
  const auto added = add_rule(source, make_rule(100));
  RC_CLASSIFY(before.value.has_value(), "reads");
  RC_CLASSIFY(added.has_value(), "edited");
  RC_ASSERT(before.value.has_value() || !added.has_value());
  if (!added) return;
  const auto after = read_database("f", added->bytes, WallTime{});
  RC_ASSERT(after.value->rules.size() == before.value->rules.size() + 1);
  const auto removed = remove_rule(*added, after.value->rules.back().id);
  if (removed) {
    RC_ASSERT(read_database("f", removed->bytes, WallTime{}).value->rules.size() ==
              before.value->rules.size());
  }
}

}  // namespace
}  // namespace moat
