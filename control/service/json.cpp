// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/json.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <set>

#include "control/service/json_members.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

using SystemTime = std::chrono::system_clock::time_point;
using view::AsAddress;
using view::members;
using view::words;

template <typename T>
constexpr bool is_vector = false;
template <typename T>
constexpr bool is_vector<std::vector<T>> = true;
template <typename T>
constexpr bool is_optional = false;
template <typename T>
constexpr bool is_optional<std::optional<T>> = true;
template <typename T>
constexpr bool is_address = false;
template <typename T>
constexpr bool is_address<AsAddress<T>> = true;
template <typename T>
constexpr bool is_plain = std::integral<T> || std::same_as<T, std::string>;

template <typename E>
std::string_view word_of(E value) {
  for (const auto& [candidate, name] : words<E>) {
    if (candidate == value) return name;
  }
  return "";
}

// Adds the members it is shown to an object.
struct Encoder {
  Json json = Json::object();

  template <typename T>
  void operator()(const char* name, const T& value) {
    json[name] = value_of(value);
  }

  template <typename T>
  static Json value_of(const T& value) {
    if constexpr (is_plain<T>) {
      return value;
    } else if constexpr (is_vector<T>) {
      Json list = Json::array();
      for (const auto& element : value) list.push_back(value_of(element));
      return list;
    } else if constexpr (is_optional<T>) {
      return value ? value_of(*value) : Json(nullptr);
    } else if constexpr (is_address<T>) {
      return value.address ? Json(format_address(*value.address)) : Json(nullptr);
    } else if constexpr (std::same_as<T, SystemTime>) {
      return format_time_ms(value);
    } else if constexpr (std::same_as<T, WallTime>) {
      return format_time(value);
    } else if constexpr (std::same_as<T, Milliseconds> ||
                         std::same_as<T, std::chrono::milliseconds>) {
      return value.count();
    } else if constexpr (std::is_enum_v<T>) {
      return word_of(value);
    } else {
      Encoder encoder;
      members(value, encoder);
      return std::move(encoder.json);
    }
  }
};

std::optional<SystemTime> read_time_ms(std::string_view text) {
  constexpr std::size_t whole = 19;  // 2027-01-31T18:00:00
  if (text.size() != whole + 5 || text[whole] != '.') return std::nullopt;
  const auto seconds = parse_time(std::string(text.substr(0, whole)) + "Z");
  if (!seconds) return std::nullopt;
  int milliseconds = 0;
  for (const char c : text.substr(whole + 1, 3)) {
    if (c < '0' || c > '9') return std::nullopt;
    milliseconds = milliseconds * 10 + (c - '0');
  }
  return *seconds + std::chrono::milliseconds(milliseconds);
}

// Fills the members it is shown from an object, until one does not fit: that one is in `error`.
struct Decoder {
  const Json& json;
  std::string error;

  template <typename T>
  void operator()(const char* name, T&& value) {
    const auto found = json.find(name);
    if (!error.empty() || found == json.end()) return;
    std::string inside;
    if (!take(*found, value, inside)) {
      error = inside.empty() ? fmt::format("\"{}\" is not what it should be", name)
                             : fmt::format("{}: {}", name, inside);
    }
  }

  template <typename T>
  static bool take_plain(const Json& json, T& value) {
    if constexpr (std::same_as<T, bool>) {
      if (!json.is_boolean()) return false;
    } else if constexpr (std::same_as<T, std::string>) {
      if (!json.is_string()) return false;
    } else if constexpr (std::signed_integral<T>) {
      if (!json.is_number_integer()) return false;
    } else {
      if (!json.is_number_unsigned()) return false;
      if (json.template get<std::uint64_t>() > std::numeric_limits<T>::max()) return false;
    }
    value = json.template get<T>();
    return true;
  }

  template <typename T>
  static bool take_list(const Json& json, std::vector<T>& value, std::string& inside) {
    if (!json.is_array()) return false;
    value.clear();
    for (const auto& element : json) {
      if (!take(element, value.emplace_back(), inside)) return false;
    }
    return true;
  }

  template <typename T>
  static bool take_word(const Json& json, T& value) {
    if (!json.is_string()) return false;
    for (const auto& [candidate, name] : words<T>) {
      if (json.get_ref<const std::string&>() != name) continue;
      value = candidate;
      return true;
    }
    return false;
  }

  // What a text says, if `json` is one that `read` understands.
  static bool take_text(const Json& json, auto& value, const auto& read) {
    if (!json.is_string()) return false;
    const auto result = read(json.get_ref<const std::string&>());
    if (result) value = *result;
    return bool(result);
  }

  template <typename T>
  static bool take(const Json& json, T& value, std::string& inside) {
    if constexpr (is_plain<T>) {
      return take_plain(json, value);
    } else if constexpr (is_vector<T>) {
      return take_list(json, value, inside);
    } else if constexpr (is_optional<T>) {
      return json.is_null() || take(json, value.emplace(), inside);
    } else if constexpr (is_address<T>) {
      return json.is_null() || take_text(json, value.address, parse_address);
    } else if constexpr (std::same_as<T, SystemTime>) {
      return take_text(json, value, read_time_ms);
    } else if constexpr (std::same_as<T, WallTime>) {
      return take_text(json, value, parse_time);
    } else if constexpr (std::same_as<T, Milliseconds>) {
      if (!json.is_number()) return false;
      value = Milliseconds(json.get<double>());
      return true;
    } else if constexpr (std::same_as<T, std::chrono::milliseconds>) {
      if (!json.is_number_integer()) return false;
      value = T(json.get<std::int64_t>());
      return true;
    } else if constexpr (std::is_enum_v<T>) {
      return take_word(json, value);
    } else {
      if (!json.is_object()) return false;
      Decoder decoder{json, {}};
      members(value, decoder);
      inside = std::move(decoder.error);
      return inside.empty();
    }
  }
};

Refusal invalid(std::string message, std::string remedy) {
  return {Refusal::Kind::invalid, std::move(message), std::move(remedy), {}};
}

// Looks at each member of a request for a rule; the first that is wrong is `wrong`.
struct NewRuleChecker {
  const Json& json;
  std::vector<std::string_view> known = {};
  std::optional<Refusal> wrong = {};

  void operator()(const char* name, std::string& value) {
    known.emplace_back(name);
    const auto found = json.find(name);
    if (found == json.end() || wrong) return;
    if (found->is_string()) {
      value = found->get<std::string>();
    } else {
      wrong = invalid(fmt::format("\"{}\" is {}, not a string", name, found->type_name()),
                      fmt::format("write it as \"{}\": \"...\"", name));
    }
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
};

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

#define MOAT_VIEW(T)                      \
  template Json encode<T>(const T& view); \
  template std::expected<T, std::string> decode<T>(const Json& json)
MOAT_VIEW(StatusView);
MOAT_VIEW(DatabaseView);
MOAT_VIEW(RuleView);
MOAT_VIEW(ManagedRangeView);
MOAT_VIEW(WhyView);
MOAT_VIEW(CountersView);
MOAT_VIEW(DropView);
MOAT_VIEW(DropsView);
MOAT_VIEW(ChangeView);
MOAT_VIEW(Refusal);
MOAT_VIEW(FileStatus);
MOAT_VIEW(Fault);
MOAT_VIEW(NewRule);
#undef MOAT_VIEW

Json document(const Json& body) {
  Json json{{"schema", schema}};
  json.update(body);
  return json;
}

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

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

std::expected<NewRule, Refusal> read_new_rule(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) {
    return std::unexpected(invalid("the request is no JSON: " + json.error(),
                                   R"(send {"cidr": "192.0.2.1/32"}, say)"));
  }
  if (!json->is_object()) {
    return std::unexpected(
        invalid(fmt::format("the request is {}, not an object", json->type_name()),
                R"(send {"cidr": "192.0.2.1/32"}, say)"));
  }
  NewRule rule;
  NewRuleChecker checker{*json};
  members(rule, checker);
  checker.check_keys();
  if (checker.wrong) return std::unexpected(std::move(*checker.wrong));
  return rule;
}

std::string_view word(RuleState state) { return word_of(state); }
std::string_view word(AttachMode mode) { return word_of(mode); }
std::string_view word(WantedAttach attach) { return word_of(attach); }

}  // namespace moat
