// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "control/policy/json_text.h"
#include "control/service/json_members.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

using view::members;
using view::word_of;

struct Style {
  using Json = moat::Json;
  static constexpr bool omits = false;
};
using Encoder = view::Encoder<Style>;
using Decoder = view::Decoder<Style>;

Refusal invalid(std::string message, std::string remedy) {
  return {Refusal::Kind::invalid, std::move(message), std::move(remedy), {}};
}

// Looks at each member of a request; the first that is wrong is `wrong`.
struct RequestChecker {
  const Json& json;
  std::vector<std::string_view> known = {};
  std::vector<std::string_view> may_be_empty = {};
  std::optional<Refusal> wrong = {};

  RequestChecker& operator()(const char* name, std::string& value) {
    take(name, value, &Json::is_string, "a string", R"("...")");
    return *this;
  }
  // One that may be empty, which is something else than to be absent.
  RequestChecker& operator()(const char* name, std::optional<std::string>& value) {
    may_be_empty.emplace_back(name);
    std::string text;
    take(name, text, &Json::is_string, "a string", R"("...")");
    if (json.contains(name)) value = std::move(text);
    return *this;
  }
  RequestChecker& operator()(const char* name, bool& value) {
    take(name, value, &Json::is_boolean, "true or false", "true");
    return *this;
  }

  void check_keys() {
    for (const auto& [key, value] : json.items()) {
      if (wrong || std::ranges::find(known, key) != known.end()) continue;
      const auto hint = nearest(key, known);
      wrong = invalid(fmt::format("unknown key \"{}\"", key),
                      hint.empty() ? fmt::format("known are {}", fmt::join(known, ", "))
                                   : fmt::format("did you mean \"{}\"?", hint));
    }
  }

 private:
  template <typename T>
  void take(const char* name, T& value, bool (Json::*is_fit)() const noexcept,
            std::string_view what, std::string_view example) {
    known.emplace_back(name);
    const auto found = json.find(name);
    if (found == json.end() || wrong) return;
    if (((*found).*is_fit)()) {
      value = found->template get<T>();
    } else {
      wrong = invalid(fmt::format("\"{}\" is {}, not {}", name, found->type_name(), what),
                      fmt::format("write it as \"{}\": {}", name, example));
    }
  }
};

// A request as it may be, for who sent none.
template <typename T>
constexpr std::string_view example = R"({"cidr": "192.0.2.1/32"})";
template <>
constexpr std::string_view example<NewNetPeering> =
    R"({"id": "pcx-123456789", "cidr": "10.42.0.0/16"})";
template <>
constexpr std::string_view example<RuleChange> = R"({"expires": "12h"})";
template <>
constexpr std::string_view example<ModeChange> = R"({"mode": "monitor"})";
template <>
constexpr std::string_view example<AcceptedVersion> = R"({"digest": "0123456789abcdef"})";

}  // namespace

template <typename T>
Json encode(const T& view) {
  return Encoder::value_of(view);
}

template <typename T>
std::expected<T, std::string> decode(const Json& json) {
  T view;
  std::string inside;
  if (Decoder::take(json, view, inside)) return view;
  return std::unexpected(inside.empty() ? "not an object" : inside);
}

template <typename T>
Json list_document(std::string_view key, const std::vector<T>& views) {
  Json list = Json::array();
  for (const auto& view : views) list.push_back(encode(view));
  return document(Json{{key, std::move(list)}});
}

template <typename T>
std::expected<std::vector<T>, std::string> decode_list(const Json& json, const std::string& key) {
  const auto list = json.find(key);
  if (list == json.end() || !list->is_array()) {
    return std::unexpected("\"" + key + "\" is not a list");
  }
  std::vector<T> views;
  for (const auto& element : *list) {
    auto view = decode<T>(element);
    if (!view) return std::unexpected(std::move(view.error()));
    views.push_back(std::move(*view));
  }
  return views;
}

#define MOAT_VIEW(T)                      \
  template Json encode<T>(const T& view); \
  template std::expected<T, std::string> decode<T>(const Json& json)
MOAT_VIEW(StatusView);
MOAT_VIEW(DatabaseView);
MOAT_VIEW(RuleView);
MOAT_VIEW(ManagedRangeView);
MOAT_VIEW(RangeSourceView);
MOAT_VIEW(RefreshView);
MOAT_VIEW(NetPeeringView);
MOAT_VIEW(NetworkView);
MOAT_VIEW(EndpointsView);
MOAT_VIEW(WhyView);
MOAT_VIEW(CountersView);
MOAT_VIEW(DropView);
MOAT_VIEW(DropsView);
MOAT_VIEW(SessionView);
MOAT_VIEW(ChangeView);
MOAT_VIEW(Refusal);
MOAT_VIEW(FileStatus);
MOAT_VIEW(Fault);
MOAT_VIEW(NewRule);
MOAT_VIEW(NewNetPeering);
MOAT_VIEW(NewFiles);
MOAT_VIEW(TrialView);
MOAT_VIEW(HistoryView);
MOAT_VIEW(RuleChange);
MOAT_VIEW(ModeChange);
MOAT_VIEW(Problem);
MOAT_VIEW(Event);
MOAT_VIEW(EventsView);
MOAT_VIEW(AcceptedVersion);
#undef MOAT_VIEW

#define MOAT_LIST(T)                                                                   \
  template Json list_document<T>(std::string_view key, const std::vector<T>& views);   \
  template std::expected<std::vector<T>, std::string> decode_list<T>(const Json& json, \
                                                                     const std::string& key)
MOAT_LIST(DatabaseView);
MOAT_LIST(RuleView);
MOAT_LIST(ManagedRangeView);
MOAT_LIST(NetPeeringView);
MOAT_LIST(NetworkView);
MOAT_LIST(SessionView);
MOAT_LIST(HistoryView);
MOAT_LIST(WhyView);
#undef MOAT_LIST

Json document(const Json& body) {
  Json json{{"schema", schema}};
  json.update(body);
  return json;
}

std::string dump(const Json& json) { return json_text(json, 2) + "\n"; }

std::expected<Json, std::string> parse_json(std::string_view text) {
  std::vector<std::set<std::string>> open;  // the keys so far of each object around
  std::string twice;
  const Json::parser_callback_t watch_keys = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && twice.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open.back().insert(key).second) twice = key;
    }
    return true;
  };
  try {
    auto json = Json::parse(text, watch_keys);
    if (!twice.empty()) return std::unexpected(fmt::format("the key \"{}\" is there twice", twice));
    return json;
  } catch (const Json::exception& error) {
    const std::string_view what = error.what();
    const auto end_of_name = what.find("] ");  // "[json.exception.parse_error.101] parse error..."
    return std::unexpected(std::string(what.substr(end_of_name + 2)));
  }
}

template <typename T>
std::expected<T, Refusal> read_request(std::string_view text) {
  const auto like_this = fmt::format("send {}, say", example<T>);
  const auto json = parse_json(text);
  if (!json) return std::unexpected(invalid("the request is no JSON: " + json.error(), like_this));
  if (!json->is_object()) {
    return std::unexpected(
        invalid(fmt::format("the request is {}, not an object", json->type_name()), like_this));
  }
  T request;
  RequestChecker checker{*json};
  members(request, checker);
  checker.check_keys();
  if (checker.wrong) return std::unexpected(std::move(*checker.wrong));
  for (const auto& [name, value] : json->items()) {
    if (value == "" && std::ranges::find(checker.may_be_empty, name) == checker.may_be_empty.end())
      return std::unexpected(
          invalid(fmt::format("\"{}\" is empty", name), "leave it out, or give it a value"));
  }
  return request;
}

template std::expected<NewRule, Refusal> read_request(std::string_view text);
template std::expected<NewNetPeering, Refusal> read_request(std::string_view text);
template std::expected<RuleChange, Refusal> read_request(std::string_view text);
template std::expected<ModeChange, Refusal> read_request(std::string_view text);
template std::expected<AcceptedVersion, Refusal> read_request(std::string_view text);

std::expected<NewFiles, Refusal> read_new_files(std::string_view text) {
  constexpr auto example = R"(send {"databases": {"orders.yaml": "database: ..."}})";
  const auto json = parse_json(text);
  if (!json) return std::unexpected(invalid("the request is no JSON: " + json.error(), example));
  auto files = decode<NewFiles>(*json);
  if (!files) return std::unexpected(invalid("the request is wrong: " + files.error(), example));
  for (const auto& [key, value] : json->items()) {
    if (key == "databases" || key == "settings") continue;
    return std::unexpected(
        invalid(fmt::format("unknown key \"{}\"", key), "known are databases, settings"));
  }
  if (!json->contains("databases"))
    return std::unexpected(invalid("the request names no databases", example));
  return std::move(*files);
}

std::string_view word(RuleState state) { return word_of(state); }
std::string_view word(NetPeeringState state) { return word_of(state); }
std::string_view word(EndpointType type) { return word_of(type); }
std::string_view word(AttachMode mode) { return word_of(mode); }
std::string_view word(WantedAttach attach) { return word_of(attach); }
std::string_view word(Hugepages hugepages) { return word_of(hugepages); }

}  // namespace moat
