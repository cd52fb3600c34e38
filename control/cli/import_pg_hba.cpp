// SPDX-License-Identifier: BSD-2-Clause
// pg_hba.conf, as PostgreSQL reads it:
//
//   TYPE     DATABASE  USER      ADDRESS              METHOD [OPTIONS]
//   hostssl  orders    app,api   192.0.2.0/24         scram-sha-256
//   host     all       all       10.0.0.0 255.0.0.0   reject          # the mask in its own field
//
// A replication connection is met by the lines alone whose DATABASE says `replication`, any other
// by all but those. So there are two lists, and what either of them lets in is let in.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <ranges>

#include "control/cli/import_rules.h"

namespace moat {
namespace {

struct HbaWord {
  std::string text;
  bool is_quoted = false;  // and so no keyword
};

struct HbaField {
  std::vector<HbaWord> words;  // between its commas

  [[nodiscard]] std::string text() const {
    return fmt::format("{}", fmt::join(words | std::views::transform(&HbaWord::text), ","));
  }
  // How many of its words are this keyword.
  [[nodiscard]] std::size_t count(std::string_view keyword) const {
    const auto is_it = [&](const HbaWord& word) { return word.text == keyword && !word.is_quoted; };
    return static_cast<std::size_t>(std::ranges::count_if(words, is_it));
  }
};

// The fields of a line. "..." is taken as it stands; a comma joins what is after it, and one where
// a field could begin is nothing.
std::vector<HbaField> split_fields(std::string_view line) {
  std::vector<HbaField> fields;
  bool in_quotes = false;
  bool is_open = false;
  bool after_comma = false;
  for (const char c : line) {
    if (!in_quotes && c == '#') break;
    if (!in_quotes && (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v')) {
      is_open = is_open && after_comma;
      continue;
    }
    if (!in_quotes && c == ',') {
      after_comma = is_open;
      continue;
    }
    if (!is_open) fields.emplace_back();
    if (!is_open || after_comma) fields.back().words.emplace_back();
    is_open = true;
    after_comma = false;
    auto& word = fields.back().words.back();
    if (c == '"') {
      in_quotes = !in_quotes;
      word.is_quoted = true;
    } else {
      word.text.push_back(c);
    }
  }
  return fields;
}

std::optional<unsigned> parse_mask_length(std::string_view text) {
  if (text.empty() || text.size() > 2 ||
      text.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  unsigned length = 0;
  for (const char c : text) length = length * 10 + static_cast<unsigned>(c - '0');
  return length <= 32 ? std::optional(length) : std::nullopt;
}

// 255.255.255.0 as 24. Nothing: ones after zeros.
std::optional<unsigned> as_length(Address mask) {
  const auto length = static_cast<unsigned>(std::countl_one(mask.value));
  if (mask.value != Prefix::mask(length)) return std::nullopt;
  return length;
}

class HbaReader {
  static constexpr const char* base = "pg_hba";
  static constexpr const char* usual = "usual";
  static constexpr const char* replication = "replication";

 public:
  FilterRuleset read(std::string_view text) {
    using Verdict = FilterRule::Verdict;
    ruleset_.bases = {{base, "", false, false}};
    ruleset_.chains[base] = {{.verdict = Verdict::jump, .target = usual},
                             {.verdict = Verdict::jump, .target = replication}};
    while (!text.empty()) {
      std::string whole;
      const auto first = line_ + 1;
      // A backslash at the end goes on in the next line.
      do {
        const auto end = std::min(text.find('\n'), text.size());
        auto part = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        line_++;
        if (part.ends_with('\r')) part.remove_suffix(1);
        is_continued_ = part.ends_with('\\');
        if (is_continued_) part.remove_suffix(1);
        whole += part;
      } while (is_continued_ && !text.empty());
      read_line(whole, first);
    }
    return std::move(ruleset_);
  }

 private:
  void leave_out(std::string why) { ruleset_.left_out.push_back({place_, at_, std::move(why)}); }

  void read_line(const std::string& line, unsigned at) {
    const auto fields = split_fields(line);
    if (fields.empty()) return;
    const auto type = fields[0].text();
    if (type == "local") return;
    place_ = line.substr(0, 200);
    at_ = at;
    if (type.starts_with("include")) return leave_out("the other file was not read");
    constexpr std::array by_tcp = {"host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"};
    if (std::ranges::find(by_tcp, type) == by_tcp.end())
      return leave_out("this line is not understood");
    if (fields.size() < 5) return leave_out("a field is missing");
    const bool has_mask =
        fields.size() > 5 && parse_address(fields[3].text()) && parse_address(fields[4].text());
    const auto range = read_address(fields[3], has_mask ? fields[4].text() : "");
    if (!range) return leave_out(range.error());
    const auto method = fields[has_mask ? 5 : 4].text();
    if (method != "reject")
      add_accepting(fields, *range);
    else if (type == "host" && fields[2].count("all") > 0)
      add_rejecting(fields[1], *range);
    // A refusal of some users or of TLS leaves the network open to others, whom a later line may
    // let in.
  }

  void add_accepting(const std::vector<HbaField>& fields, const AddressRange& range) {
    FilterRule rule;
    rule.verdict = FilterRule::Verdict::accept;
    rule.label =
        fmt::format("{} as {}: pg_hba.conf, line {}", fields[1].text(), fields[2].text(), at_);
    const auto of_replication = fields[1].count("replication");
    if (of_replication < fields[1].words.size()) add(usual, rule, range);
    if (of_replication > 0) add(replication, std::move(rule), range);
  }

  void add_rejecting(const HbaField& databases, const AddressRange& range) {
    FilterRule rule;
    rule.verdict = FilterRule::Verdict::back;
    if (databases.count("all") > 0) add(usual, rule, range);
    if (databases.count("replication") > 0) add(replication, std::move(rule), range);
  }

  void add(const char* chain, FilterRule rule, const AddressRange& range) {
    rule.sources = {{{range}, {}, false}};
    rule.line = at_;
    rule.place = place_;
    ruleset_.chains[chain].push_back(std::move(rule));
  }

  static std::expected<AddressRange, std::string> read_address(const HbaField& field,
                                                               const std::string& mask) {
    if (field.count("all") > 0) return AddressRange{};
    if (field.count("samehost") + field.count("samenet") > 0)
      return std::unexpected("the host's own addresses are not in this file: name the networks");
    const auto text = field.text();
    if (text.find(':') != std::string::npos) return std::unexpected("there are no IPv6 rules");
    const auto slash = std::min(text.find('/'), text.size());
    const auto address = parse_address(text.substr(0, slash));
    if (!address && text.find_first_not_of("0123456789./") != std::string::npos)
      return std::unexpected(
          "a host name: Moat judges addresses, so name those that it stands for");
    const auto mask_address = parse_address(mask);
    const auto length = slash < text.size() ? parse_mask_length(text.substr(slash + 1))
                        : mask_address      ? as_length(*mask_address)
                                            : std::nullopt;
    if (!address || !length) return std::unexpected("this is no IPv4 network");
    const auto network = Prefix::of(*address, static_cast<std::uint8_t>(*length));
    return AddressRange{network.first(), network.last()};
  }

  FilterRuleset ruleset_;
  unsigned line_ = 0;
  bool is_continued_ = false;

  // Of the line that is being read.
  std::string place_;
  unsigned at_ = 0;
};

}  // namespace

FilterRuleset parse_pg_hba(std::string_view text) { return HbaReader().read(text); }

}  // namespace moat
