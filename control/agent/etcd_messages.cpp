// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/etcd_messages.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "control/agent/base64.h"
#include "control/policy/json_text.h"

namespace moat {
namespace {

using Json = nlohmann::json;

constexpr int unauthenticated = 16;
constexpr int permission_denied = 7;

std::unexpected<Error> not_understood(const char* what) {
  return std::unexpected(
      Error{std::string("etcd's answer is not understood: ") + what, "is it etcd 3.4 or later?"});
}

std::int64_t number_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return 0;
  if (found->is_number_integer()) return found->get<std::int64_t>();
  if (!found->is_string()) return 0;
  const auto& text = found->get_ref<const std::string&>();
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_true(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

const Json* part(const Json& object, const char* name, bool (Json::*is)() const noexcept) {
  const auto found = object.find(name);
  return found != object.end() && ((*found).*is)() ? &*found : nullptr;
}

Result<Json> parse(std::string_view text) {
  auto json = read_json(text);
  if (!json.is_object()) return not_understood("no JSON object");
  return json;
}

Result<EtcdHeader> header_of(const Json& json) {
  const auto* header = part(json, "header", &Json::is_object);
  if (header == nullptr) return not_understood("no header");
  return EtcdHeader{text_of(*header, "cluster_id"), number_of(*header, "revision")};
}

Result<EtcdKey> key_of(const Json& json) {
  auto key = from_base64(text_of(json, "key"));
  auto value = from_base64(text_of(json, "value"));
  if (!key || !value) return not_understood("no base64");
  return EtcdKey{std::move(*key), std::move(*value), number_of(json, "mod_revision")};
}

Json put(const std::string& key, const std::string& value, std::int64_t lease) {
  Json json = {{"key", to_base64(key)}, {"value", to_base64(value)}};
  if (lease != 0) json["lease"] = std::to_string(lease);
  return json;
}

}  // namespace

std::string prefix_end(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) return std::string(1, '\0');
  ++prefix.back();
  return prefix;
}

std::string list_request(const std::string& prefix, std::int64_t from_revision, bool keys_only) {
  Json json = {{"key", to_base64(prefix)}, {"range_end", to_base64(prefix_end(prefix))}};
  if (from_revision > 0) json["min_mod_revision"] = std::to_string(from_revision);
  if (keys_only) json["keys_only"] = true;
  return json_text(json);
}

std::string watch_request(const std::string& prefix, std::int64_t from_revision) {
  const Json create = {{"key", to_base64(prefix)},
                       {"range_end", to_base64(prefix_end(prefix))},
                       {"start_revision", std::to_string(from_revision)}};
  return json_text(Json{{"create_request", create}});
}

std::string put_request(const std::string& key, const std::string& value, std::int64_t lease) {
  return json_text(put(key, value, lease));
}

std::string txn_request(const EtcdTxn& txn) {
  Json success = Json::array();
  for (const auto& one : txn.puts)
    success.push_back({{"request_put", put(one.key, one.value, one.lease)}});
  for (const auto& key : txn.deletes)
    success.push_back({{"request_delete_range", {{"key", to_base64(key)}}}});
  Json compare = Json::array({{{"key", to_base64(txn.guard)},
                               {"target", "MOD"},
                               {"result", "EQUAL"},
                               {"mod_revision", std::to_string(txn.revision)}}});
  if (!txn.needs.empty()) {
    compare.push_back({{"key", to_base64(txn.needs)},
                       {"target", "CREATE"},
                       {"result", "GREATER"},
                       {"create_revision", "0"}});
  }
  return json_text(Json{{"compare", compare}, {"success", success}});
}

std::string lease_request(std::int64_t seconds) {
  return json_text(Json{{"TTL", std::to_string(seconds)}});
}

Result<EtcdListing> parse_listing(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  const auto header = header_of(*json);
  if (!header) return std::unexpected(header.error());
  EtcdListing listing{*header, number_of(*json, "count"), {}};
  const auto* keys = part(*json, "kvs", &Json::is_array);
  if (keys == nullptr) return listing;  // none
  for (const auto& one : *keys) {
    auto key = key_of(one);
    if (!key) return std::unexpected(key.error());
    listing.keys.push_back(std::move(*key));
  }
  return listing;
}

Result<EtcdNews> parse_news(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  const auto* result = part(*json, "result", &Json::is_object);
  if (result == nullptr) {
    const auto* error = part(*json, "error", &Json::is_object);
    EtcdNews news;
    news.is_cancelled = true;
    news.why = error != nullptr ? text_of(*error, "message") : parse_etcd_error(text).message;
    return news;
  }
  const auto header = header_of(*result);
  if (!header) return std::unexpected(header.error());
  EtcdNews news{*header,
                is_true(*result, "created"),
                is_true(*result, "canceled"),
                number_of(*result, "compact_revision"),
                text_of(*result, "cancel_reason"),
                {}};
  const auto* events = part(*result, "events", &Json::is_array);
  if (events == nullptr) return news;
  for (const auto& event : *events) {
    const auto* key_value = part(event, "kv", &Json::is_object);
    if (key_value == nullptr) return not_understood("an event without a key");
    auto key = key_of(*key_value);
    if (!key) return std::unexpected(key.error());
    key->is_deleted = text_of(event, "type") == "DELETE";
    news.keys.push_back(std::move(*key));
  }
  return news;
}

Result<EtcdTxnResult> parse_txn(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  const auto header = header_of(*json);
  if (!header) return std::unexpected(header.error());
  return EtcdTxnResult{*header, is_true(*json, "succeeded")};
}

Result<std::int64_t> parse_lease(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  if (const auto id = number_of(*json, "ID"); id != 0) return id;
  return not_understood("no lease");
}

Result<std::int64_t> parse_time_left(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  const auto* result = part(*json, "result", &Json::is_object);
  return result == nullptr ? 0 : number_of(*result, "TTL");
}

Result<std::string> parse_token(std::string_view text) {
  const auto json = parse(text);
  if (!json) return std::unexpected(json.error());
  if (auto token = text_of(*json, "token"); !token.empty()) return token;
  return not_understood("no token");
}

bool EtcdError::wants_authentication() const {
  return code == unauthenticated || message.contains("invalid auth token") ||
         (code == permission_denied && message.contains("token"));
}

EtcdError parse_etcd_error(std::string_view text) {
  const auto json = read_json(text);
  if (!json.is_object()) return {0, "no JSON: " + std::string(text.substr(0, 120))};
  auto message = text_of(json, "message");
  if (message.empty()) message = text_of(json, "error");
  return {static_cast<int>(number_of(json, "code")), message};
}

}  // namespace moat
