// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/policy/json_codec.h"
#include "control/policy/json_text.h"
#include "control/text/fnv1a.h"
#include "control/text/input_limits.h"
#include "control/text/utf8.h"

namespace moat {

template <>
inline constexpr auto view::members_of<FleetHead> = [](auto& v, auto& member) {
  member("push", v.push)("author", v.author)("time", v.time)("message", v.message)(
      "share", v.share)("epoch", v.epoch)("host_count", v.host_count)("confirm_s", v.confirm_s);
};
template <>
inline constexpr auto view::members_of<FleetPush> = [](auto& v, auto& member) {
  member("push", v.push)("author", v.author)("time", v.time)("message", v.message)(
      "before", v.before)("after", v.after);
};
template <>
inline constexpr auto view::members_of<FleetReceipt> = [](auto& v, auto& member) {
  member("host", v.host)("push", v.push)("revision", v.revision)("generation", v.generation)(
      "latency_us", v.latency_us)("ended_sessions", v.ended_sessions)("time", v.time)(
      "held_back", v.held_back)("problem", v.problem)("version", v.version)("undone", v.is_undone);
};

namespace {

constexpr std::size_t max_shown = 120;

// A map's absent values are written, as null.
struct FleetStyle {
  using Json = nlohmann::json;
  static constexpr bool omits = false;
};

template <typename T>
std::string dump(const T& value) {
  return view::text_of<FleetStyle>(value);
}

template <typename T>
Result<T> parse(std::string_view text, const char* what) {
  auto value = view::read_text<T, FleetStyle>(text);
  if (!value) return std::unexpected(Error{fmt::format("{}: {}", what, value.error()), ""});
  return std::move(*value);
}

}  // namespace

bool is_id(std::string_view text) {
  const auto is_first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= limits::id_bytes && is_first(text[0]) &&
         std::ranges::all_of(
             text, [&](char c) { return is_first(c) || c == '.' || c == '_' || c == '-'; });
}

std::string fleet_prefix(const std::string& fleet) { return fmt::format("/moat/v1/{}/", fleet); }

std::string history_prefix(const std::string& fleet) {
  return fmt::format("/moat/v1-history/{}/", fleet);
}

std::string receipts_prefix(const std::string& fleet) {
  return fmt::format("/moat/v1-receipts/{}/", fleet);
}

std::string hosts_key(const std::string& fleet) { return fmt::format("/moat/v1-hosts/{}", fleet); }

std::string fleet_key(const std::string& fleet, FleetKind kind, const std::string& id) {
  const auto prefix = fleet_prefix(fleet);
  switch (kind) {
    case FleetKind::head:
      return prefix + "head";
    case FleetKind::trial:
      return prefix + "trial";
    case FleetKind::before:
      return prefix + "before";
    case FleetKind::database:
      return prefix + "databases/" + id;
    case FleetKind::labels:
      return prefix + "labels/" + id;
    case FleetKind::range:
      return prefix + "ranges/" + id;
  }
  return prefix;
}

Result<FleetKey> parse_fleet_key(std::string_view path) {
  if (path == "head") return FleetKey{FleetKind::head, ""};
  if (path == "trial") return FleetKey{FleetKind::trial, ""};
  if (path == "before") return FleetKey{FleetKind::before, ""};
  const auto slash = path.find('/');
  const auto folder = path.substr(0, slash);
  const auto id = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  const auto shown = printable(shorten(path, max_shown));
  if (folder != "databases" && folder != "labels" && folder != "ranges")
    return std::unexpected(Error{fmt::format("\"{}\" is no key of a fleet", shown), ""});
  // What has a path in it could lead out of the folder.
  if (!is_id(id))
    return std::unexpected(Error{fmt::format("\"{}\" does not end in an id", shown), ""});
  const auto kind = folder == "databases" ? FleetKind::database
                    : folder == "labels"  ? FleetKind::labels
                                          : FleetKind::range;
  return FleetKey{kind, std::string(id)};
}

std::string to_json(const FleetHead& head) { return dump(head); }
std::string to_json(const FleetPush& push) { return dump(push); }
std::string to_json(const FleetReceipt& receipt) { return dump(receipt); }

std::string to_json(const std::vector<std::string>& hosts) {
  return json_text(nlohmann::json(hosts));
}

Result<std::vector<std::string>> parse_hosts(std::string_view text) {
  const auto json = read_json(text);
  std::vector<std::string> hosts;
  std::string inside;
  if (view::Decoder<FleetStyle>::take_list(json, hosts, inside)) return hosts;
  return std::unexpected(Error{"the list of hosts is none", ""});
}

Result<FleetHead> parse_head(std::string_view json) { return parse<FleetHead>(json, "the head"); }
Result<FleetPush> parse_push(std::string_view json) {
  return parse<FleetPush>(json, "an entry of the history");
}
Result<FleetReceipt> parse_receipt(std::string_view json) {
  return parse<FleetReceipt>(json, "a receipt");
}

std::chrono::milliseconds receipt_delay(const std::string& host, const FleetHead& head) {
  constexpr std::uint64_t longest_ms = 20'000;
  const auto in_all = std::min(head.host_count / 2, longest_ms);
  return std::chrono::milliseconds(in_all * position_of(host, head.push) / all_shares);
}

std::uint64_t position_of(const std::string& host, std::uint64_t push) {
  Fnv1a hash;
  hash.add(fmt::format("{} {}", push, host));
  // The high bits of an FNV hash of similar texts differ too little.
  auto mixed = hash.value();
  mixed ^= mixed >> 33;
  mixed *= 0xff51afd7ed558ccd;
  mixed ^= mixed >> 33;
  return mixed % all_shares;
}

}  // namespace moat
