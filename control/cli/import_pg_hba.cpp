// SPDX-License-Identifier: BSD-2-Clause
// pg_hba.conf, as PostgreSQL reads it:
//
//   TYPE     DATABASE  USER      ADDRESS              METHOD [OPTIONS]
//   hostssl  orders    app,api   192.0.2.0/24         scram-sha-256
//   host     all       all       10.0.0.0 255.0.0.0   reject          # the mask as a field of its
//   own
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "control/cli/import_rules.h"

namespace moat {
namespace {

struct HbaField {
  std::string text;
  bool is_quoted = false;  // and so no keyword
};

// The fields of a line. "..." is taken as it stands; a comma joins what is after it, and one where
// a field could begin is nothing.
std::vector<HbaField> split_fields(std::string_view line) {
  std::vector<HbaField> fields;
  bool in_quotes = false;
  bool is_open = false;
  for (const char c : line) {
    if (!in_quotes && c == '#') break;
    if (!in_quotes && (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v')) {
      is_open = is_open && fields.back().text.ends_with(',');
      continue;
    }
    if (!in_quotes && c == ',' && !is_open) continue;
    if (!is_open) fields.emplace_back();
    is_open = true;
    if (c == '"') {
      in_quotes = !in_quotes;
      fields.back().is_quoted = true;
    } else {
      fields.back().text.push_back(c);
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
  static constexpr const char* chain = "pg_hba";

 public:
  FilterRuleset read(std::string_view text) {
    ruleset_.bases = {{chain, "", false, false}};
    (void)ruleset_.chains[chain];
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
    if (fields.empty() || fields[0].text == "local") return;
    place_ = line.substr(0, 200);
    at_ = at;
    if (fields[0].text.starts_with("include")) return leave_out("the other file was not read");
    constexpr std::array by_tcp = {"host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"};
    if (std::ranges::find(by_tcp, fields[0].text) == by_tcp.end())
      return leave_out("this line is not understood");
    if (fields.size() < 5) return leave_out("a field is missing");
    const bool has_mask =
        fields.size() > 5 && parse_address(fields[3].text) && parse_address(fields[4].text);
    const auto range = read_address(fields[3], has_mask ? fields[4].text : "");
    if (!range) return leave_out(range.error());
    add(fields, fields[has_mask ? 5 : 4].text == "reject", *range);
  }

  // A refusal of some users or databases leaves the network open to others, whom a later line may
  // let in.
  void add(const std::vector<HbaField>& fields, bool rejects, const AddressRange& range) {
    const auto is_all = [](const HbaField& field) {
      return field.text == "all" && !field.is_quoted;
    };
    if (rejects && !(fields[0].text == "host" && is_all(fields[1]) && is_all(fields[2]))) return;
    FilterRule rule;
    rule.verdict = rejects ? FilterRule::Verdict::drop : FilterRule::Verdict::accept;
    rule.sources = {{{range}, {}, false}};
    rule.line = at_;
    rule.place = place_;
    rule.label = fmt::format("{} as {}: pg_hba.conf, line {}", fields[1].text, fields[2].text, at_);
    ruleset_.chains[chain].push_back(std::move(rule));
  }

  static std::expected<AddressRange, std::string> read_address(const HbaField& field,
                                                               const std::string& mask) {
    const auto& text = field.text;
    if (text == "all" && !field.is_quoted) return AddressRange{};
    if ((text == "samehost" || text == "samenet") && !field.is_quoted)
      return std::unexpected("the host's own addresses are not in this file: name the networks");
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
