// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/policy/json_codec.h"
#include "control/text/fnv1a.h"
#include "control/text/input_limits.h"
#include "control/text/utf8.h"

namespace moat {

template <>
inline constexpr auto view::members_of<FleetHead> = std::tuple(
    "push", &FleetHead::push, "author", &FleetHead::author, "time", &FleetHead::time, "message",
    &FleetHead::message, "share", &FleetHead::share, "epoch", &FleetHead::epoch, "host_count",
    &FleetHead::host_count, "confirm_s", &FleetHead::confirm_s);
template <>
inline constexpr auto view::members_of<FleetPush> = std::tuple(
    "push", &FleetPush::push, "author", &FleetPush::author, "time", &FleetPush::time, "message",
    &FleetPush::message, "before", &FleetPush::before, "after", &FleetPush::after);
template <>
inline constexpr auto view::members_of<FleetReceipt> = std::tuple(
    "host", &FleetReceipt::host, "push", &FleetReceipt::push, "revision", &FleetReceipt::revision,
    "generation", &FleetReceipt::generation, "latency_us", &FleetReceipt::latency_us,
    "ended_sessions", &FleetReceipt::ended_sessions, "time", &FleetReceipt::time, "held_back",
    &FleetReceipt::held_back, "problem", &FleetReceipt::problem, "version", &FleetReceipt::version,
    "undone", &FleetReceipt::is_undone);

namespace {

constexpr std::size_t max_shown = 120;

// A map's absent values are written, as null.
struct FleetStyle {
  using Json = nlohmann::json;
  static constexpr bool omits = false;
};

template <typename T>
std::string dump(const T& value) {
  view::Encoder<FleetStyle> encoder{nlohmann::json::object()};
  view::members(value, encoder);
  return encoder.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

template <typename T>
Result<T> parse(std::string_view text, const char* what) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object())
    return std::unexpected(Error{fmt::format("{} is no JSON object", what), ""});
  T value;
  view::Decoder<FleetStyle> decoder{json};
  view::members(value, decoder);
  if (!decoder.error.empty())
    return std::unexpected(Error{fmt::format("{}: {}", what, decoder.error), ""});
  return value;
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
  return nlohmann::json(hosts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<std::vector<std::string>> parse_hosts(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
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
