// SPDX-License-Identifier: BSD-2-Clause
// Gathers what the parsers of lists find. Only for the list_*.cpp of this folder.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "control/agent/list_format.h"

namespace moat {

class ListEntries {
 public:
  // Of an entry's field by one selector; it may have several values.
  using Values = std::vector<std::string>;

  explicit ListEntries(const Selection& selection) : selection_(selection) {}

  // Whether one of the values is among those wanted. Takes note of what there is, for hints.
  bool selects(std::string_view selector, const Values& values);

  // Takes an entry that was selected, from `where` ("line 3"). False: it is no network, or there
  // are too many; then error() is set.
  bool add(std::string_view text, std::string_view where);
  void take(const Prefix& prefix) { list_.cidrs.push_back(prefix); }
  void count_ipv6() { ++list_.ipv6; }
  void set_version(std::string_view version);
  void fail(std::string message, std::string remedy = {});
  [[nodiscard]] bool has_failed() const { return error_.has_value(); }

  // The error, or the list; one in which nothing was selected is an error.
  Result<ParsedList> finish();

 private:
  [[nodiscard]] Error nothing_selected() const;

  const Selection& selection_;
  ParsedList list_;
  std::map<std::string, std::set<std::string, std::less<>>, std::less<>> seen_;  // by selector
  std::optional<Error> error_;
};

[[nodiscard]] Result<ParsedList> parse_text_list(std::string_view bytes,
                                                 const Selection& selection);
[[nodiscard]] Result<ParsedList> parse_geofeed(std::string_view bytes, const Selection& selection);
[[nodiscard]] Result<ParsedList> parse_json_list(ListFormat format, std::string_view bytes,
                                                 const Selection& selection);

}  // namespace moat
