// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/list_entries.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/text/input_limits.h"
#include "control/text/nearest.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

constexpr std::size_t max_seen = 4096;        // values kept for hints
constexpr std::size_t max_entry_shown = 120;  // bytes of an entry that is in a message
// It is kept where moatd reads it.
constexpr std::size_t max_version = 256;

}  // namespace

bool ListEntries::selects(std::string_view selector, const Values& values) {
  const auto wanted = selection_.find(selector);
  if (wanted == selection_.end()) return true;
  auto& seen = seen_[std::string(selector)];
  bool is_wanted = false;
  for (const auto& value : values) {
    if (seen.size() < max_seen) seen.insert(value);
    is_wanted |= std::ranges::find(wanted->second, value) != wanted->second.end();
  }
  return is_wanted;
}

bool ListEntries::add(std::string_view text, std::string_view where) {
  const auto entry = parse_entry(text);
  if (!entry) {
    fail(fmt::format("{}: {}: \"{}\"", where, entry.error().message,
                     printable(shorten(text, max_entry_shown))),
         entry.error().remedy);
    return false;
  }
  if (!*entry) {
    count_ipv6();
    return true;
  }
  if (list_.cidrs.size() == limits::prefixes) {
    fail(fmt::format("{}: more than {} networks", where, limits::prefixes));
    return false;
  }
  take(**entry);
  return true;
}

void ListEntries::set_version(std::string_view version) {
  if (version.size() > max_version)
    fail(
        fmt::format("the list's version has {} bytes, of {} at most", version.size(), max_version));
  list_.version = version.substr(0, max_version);
}

void ListEntries::fail(std::string message, std::string remedy) {
  if (!error_) error_ = Error{std::move(message), std::move(remedy)};
}

Error ListEntries::nothing_selected() const {
  for (const auto& [selector, wanted] : selection_) {
    const auto seen = seen_.find(selector);
    if (seen == seen_.end()) continue;
    const std::vector<std::string_view> there(seen->second.begin(), seen->second.end());
    for (const auto& value : wanted) {
      if (seen->second.contains(value)) continue;
      const auto near = nearest(value, there);
      return {fmt::format("the list has no entry with {} \"{}\"", selector, value),
              near.empty() ? "" : fmt::format("do you mean \"{}\"?", printable(near))};
    }
  }
  if (list_.ipv6 > 0)
    return {fmt::format("the list has only IPv6 networks ({}) of what was selected", list_.ipv6),
            "Moat's rules are for IPv4"};
  return {"the list has no network of what was selected", "an empty list is not taken"};
}

Result<ParsedList> ListEntries::finish() {
  if (error_) return std::unexpected(*error_);
  if (list_.cidrs.empty()) return std::unexpected(nothing_selected());
  list_.entries = list_.cidrs.size();
  list_.cidrs = merge_prefixes(std::move(list_.cidrs));
  return std::move(list_);
}

}  // namespace moat
