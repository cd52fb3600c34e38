// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/iptables_text.h"

#include <algorithm>

#include "control/policy/prefix.h"
#include "dataplane/number.h"

namespace moat {

std::vector<std::string> split_words(std::string_view line) {
  std::vector<std::string> words;
  bool is_open = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); i++) {
    if (line[i] == ' ' && quote == 0) {
      is_open = false;
      continue;
    }
    if (!is_open) words.emplace_back();
    is_open = true;
    if (quote != 0 && line[i] == quote) {
      quote = 0;
    } else if (quote == 0 && (line[i] == '"' || line[i] == '\'')) {
      quote = line[i];
    } else {
      if (line[i] == '\\' && quote == '"' && i + 1 < line.size()) i++;
      words.back().push_back(line[i]);
    }
  }
  return words;
}

std::optional<PortRange> parse_ports(std::string_view text, char separator) {
  const auto middle = std::min(text.find(separator), text.size());
  const auto first = parse_number<std::uint16_t>(text.substr(0, middle));
  const auto last =
      middle == text.size() ? first : parse_number<std::uint16_t>(text.substr(middle + 1));
  if (!first || !last) return std::nullopt;
  return PortRange{*first, *last};
}

std::optional<std::vector<PortRange>> parse_port_list(std::string_view text) {
  std::vector<PortRange> list;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto range = parse_ports(text.substr(0, comma), ':');
    if (!range) return std::nullopt;
    list.push_back(*range);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return list;
}

std::optional<AddressRange> parse_network(std::string_view text) {
  if (const auto prefix = parse_prefix(text)) return AddressRange{prefix->first(), prefix->last()};
  if (const auto address = parse_address(text)) return AddressRange{*address, *address};
  return std::nullopt;
}

}  // namespace moat
