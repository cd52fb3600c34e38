// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/cidrs_file.h"

#include <fmt/format.h>

#include "control/text/check_text.h"
#include "control/text/input_limits.h"
#include "control/text/trim.h"

namespace moat {
namespace {

// The line's CIDR: without comment and the blanks around it.
std::string_view content_of(std::string_view line) { return trim(line.substr(0, line.find('#'))); }

std::size_t count_cidrs(std::string_view bytes) {
  std::size_t count = 0;
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    if (!content_of(bytes.substr(0, end)).empty()) ++count;
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
  }
  return count;
}

}  // namespace

Prefixes read_cidrs_file(std::string_view bytes, std::size_t most, FaultLog& log) {
  Prefixes cidrs;
  const auto errors = log.errors();
  const auto text = check_text(bytes, limits::cidrs_file_bytes, log);
  if (!text.is_readable) return cidrs;
  auto rest = text.bytes;
  for (Spot spot{1, 1}; !rest.empty(); ++spot.line) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    const auto content = content_of(line);
    if (!content.empty()) {
      const auto skipped = spot.line == 1 ? text.skipped : 0;
      spot.column = static_cast<unsigned>(content.data() - line.data()) + 1 + skipped;
      if (cidrs.size() == most) {
        log.error(spot, fmt::format("more than {} CIDRs in all", limits::prefixes), content,
                  fmt::format("{} too many", count_cidrs(rest)));
        return cidrs;
      }
      if (auto cidr = parse_prefix(content)) {
        cidrs.push_back(*cidr);
      } else if (content.starts_with(';') || content.starts_with("//")) {
        log.error(spot, "a comment begins with #", content, "write # before it");
      } else {
        log.error(spot, std::move(cidr.error().message), content, std::move(cidr.error().remedy));
      }
    }
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (log.errors() > errors && !cidrs.empty()) {
    log.warning({0, 0},
                fmt::format("{} CIDRs are good, {} not: the list is used as a whole or not at all",
                            cidrs.size(), log.errors() - errors));
  }
  return cidrs;
}

}  // namespace moat
