// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/parse_list.h"

#include "control/agent/list_entries.h"

namespace moat {

Result<ParsedList> parse_list(ListFormat format, std::string_view bytes,
                              const Selection& selection) {
  const auto first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::unexpected(Error{"the list is empty", ""});
  if (bytes[first] == '<')
    return std::unexpected(Error{"this is a page for people (HTML), not a list", "check the URL"});
  switch (format) {
    case ListFormat::text:
      return parse_text_list(bytes, selection);
    case ListFormat::geofeed:
      return parse_geofeed(bytes, selection);
    default:
      return parse_json_list(format, bytes, selection);
  }
}

}  // namespace moat
