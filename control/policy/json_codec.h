// SPDX-License-Identifier: BSD-2-Clause
// Structs as JSON and back, by lists that name each of their members once: Encoder and Decoder both
// walk them. A style says which type of JSON (members sorted, or as listed), whether what is not
// known is left out or null, and which structs are rows.
#pragma once

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <concepts>
#include <expected>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "control/os/clock.h"
#include "control/policy/json_text.h"
#include "control/policy/policy.h"

namespace moat::view {

// [](auto& v, auto& member) { member("name", v.name)...; }
template <typename T>
inline constexpr auto members_of = nullptr;

template <typename V, typename F>
void members(V& value, F& member) {
  members_of<std::remove_const_t<V>>(value, member);
}

// The words for an enum's values.
template <typename E>
inline constexpr int words = 0;
template <>
inline constexpr auto words<Mode> = std::to_array<std::pair<Mode, std::string_view>>(
    {{Mode::enforce, "enforce"}, {Mode::monitor, "monitor"}});
template <>
inline constexpr auto words<Ipv6> = std::to_array<std::pair<Ipv6, std::string_view>>(
    {{Ipv6::closed, "closed"}, {Ipv6::open, "open"}});

template <typename E>
std::string_view word_of(E value) {
  for (const auto& [candidate, name] : words<E>) {
    if (candidate == value) return name;
  }
  return "";
}

// Whether a style writes a struct as [VALUE, ...], without the members' names.
template <typename Style, typename T>
inline constexpr bool is_row = false;

// A map as [[KEY, VALUE], ...]; a value that is a struct adds its members: [KEY, MEMBER, ...].
template <typename M>
struct AsRows {
  M& map;
};
template <typename M>
AsRows(M&) -> AsRows<M>;
template <typename T, template <typename...> typename Of>
constexpr bool is_a = false;
template <template <typename...> typename Of, typename... T>
constexpr bool is_a<Of<T...>, Of> = true;
template <typename T>
constexpr bool is_duration = is_a<T, std::chrono::duration>;
template <typename T>
constexpr bool is_plain = std::integral<T> || std::same_as<T, std::string>;
// Written as one value of a row; a struct as its members.
template <typename T>
constexpr bool is_cell = is_plain<T> || std::same_as<T, WallTime>;
template <typename T>
constexpr bool is_list = is_a<T, std::vector> || is_a<T, std::set>;

using SystemTime = std::chrono::system_clock::time_point;

template <typename T>
bool is_nothing(const T& value) {
  if constexpr (is_a<T, std::optional>) return !value;
  return false;
}

// Adds the members it is shown to an object or a row.
template <typename Style>
struct Encoder {
  using Json = Style::Json;

  Json json;

  template <typename T>
  Encoder& operator()(const char* name, const T& value) {
    if (json.is_array()) {
      json.push_back(value_of(value));
    } else if (!Style::omits || !is_nothing(value)) {
      json[name] = value_of(value);
    }
    return *this;
  }

  template <typename T>
  static Json value_of(const T& value) {
    if constexpr (is_plain<T>) {
      return value;
    } else if constexpr (is_list<T>) {
      Json list = Json::array();
      for (const auto& element : value) list.push_back(value_of(element));
      return list;
    } else if constexpr (is_a<T, std::map>) {
      Json object = Json::object();
      for (const auto& [key, element] : value) object[key] = value_of(element);
      return object;
    } else if constexpr (is_a<T, AsRows>) {
      Json list = Json::array();
      for (const auto& [key, element] : value.map) list.push_back(row_of(key, element));
      return list;
    } else if constexpr (is_a<T, std::optional>) {
      return value ? value_of(*value) : Json(nullptr);
    } else if constexpr (std::same_as<T, SystemTime>) {
      return format_time_ms(value);
    } else if constexpr (std::same_as<T, WallTime>) {
      return format_time(value);
    } else if constexpr (std::same_as<T, Address>) {
      return format_address(value);
    } else if constexpr (std::same_as<T, Prefix>) {
      return format_prefix(value);
    } else if constexpr (is_duration<T>) {
      return value.count();
    } else if constexpr (std::is_enum_v<T>) {
      return word_of(value);
    } else {
      Encoder encoder{is_row<Style, T> ? Json::array() : Json::object()};
      members(value, encoder);
      return std::move(encoder.json);
    }
  }

  template <typename Key, typename T>
  static Json row_of(const Key& key, const T& value) {
    Encoder row{Json::array({value_of(key)})};
    if constexpr (is_cell<T> || is_row<Style, T>) {
      row("", value);
    } else {
      members(value, row);
    }
    return std::move(row.json);
  }
};

inline std::optional<SystemTime> read_time_ms(std::string_view text) {
  constexpr std::size_t whole = 19;  // 2027-01-31T18:00:00
  if (text.size() != whole + 5 || text[whole] != '.') return std::nullopt;
  const auto seconds = parse_time(std::string(text.substr(0, whole)) + "Z");
  if (!seconds) return std::nullopt;
  int milliseconds = 0;
  for (const char c : text.substr(whole + 1, 3)) {
    if (c < '0' || c > '9') return std::nullopt;
    milliseconds = milliseconds * 10 + (c - '0');
  }
  return in_ns(*seconds) + std::chrono::milliseconds(milliseconds);
}

// Fills the members it is shown from an object or a row, until one does not fit: that one is in
// `error`. What is absent keeps its default.
template <typename Style>
struct Decoder {
  using Json = Style::Json;

  const Json& json;
  std::string error = {};
  std::size_t next = 0;  // of a row

  const Json* find(const char* name) {
    if (json.is_array()) return next < json.size() ? &json[next++] : nullptr;
    const auto found = json.find(name);
    return found == json.end() ? nullptr : &*found;
  }

  template <typename T>
  Decoder& operator()(const char* name, T&& value) {
    const auto* found = find(name);
    std::string inside;
    if (error.empty() && found != nullptr && !take(*found, value, inside)) misfit(name, inside);
    return *this;
  }

  void misfit(const char* name, const std::string& inside) {
    error = inside.empty() ? fmt::format("\"{}\" is not what it should be", name)
                           : fmt::format("{}: {}", name, inside);
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
  static bool take_list(const Json& json, T& list, std::string& inside) {
    if (!json.is_array()) return false;
    list.clear();
    for (const auto& element : json) {
      typename T::value_type value{};
      if (!take(element, value, inside)) return false;
      list.insert(list.end(), std::move(value));
    }
    return true;
  }

  template <typename M>
  static bool take_rows(const Json& json, M& map) {
    if (!json.is_array()) return false;
    for (const auto& element : json) {
      if (!element.is_array()) return false;
      Decoder row{element};
      typename M::key_type key{};
      typename M::mapped_type value{};
      row("", key);
      if constexpr (is_cell<typename M::mapped_type> || is_row<Style, typename M::mapped_type>) {
        row("", value);
      } else {
        members(value, row);
      }
      if (!row.error.empty()) return false;
      map.emplace(std::move(key), std::move(value));
    }
    return true;
  }

  template <typename M>
  static bool take_map(const Json& json, M& map, std::string& inside) {
    if (!json.is_object()) return false;
    for (const auto& [key, element] : json.items()) {
      if (!take(element, map[key], inside)) return false;
    }
    return true;
  }

  template <typename T>
  static bool take_word(const Json& json, T& value) {
    if (!json.is_string()) return false;
    for (const auto& [candidate, name] : words<T>) {
      if (json.template get_ref<const std::string&>() != name) continue;
      value = candidate;
      return true;
    }
    return false;
  }

  // What a text says, if `json` is one that `read` understands.
  static bool take_text(const Json& json, auto& value, const auto& read) {
    if (!json.is_string()) return false;
    const auto result = read(json.template get_ref<const std::string&>());
    if (result) value = *result;
    return bool(result);
  }

  template <typename T>
  static bool take_struct(const Json& json, T& value, std::string& inside) {
    if (is_row<Style, T> ? !json.is_array() : !json.is_object()) return false;
    Decoder decoder{json};
    members(value, decoder);
    inside = std::move(decoder.error);
    return inside.empty();
  }

  template <typename T>
  static bool take(const Json& json, T& value, std::string& inside) {
    using V = std::remove_cv_t<T>;
    if constexpr (is_plain<V>) {
      return take_plain(json, value);
    } else if constexpr (is_list<V>) {
      return take_list(json, value, inside);
    } else if constexpr (is_a<V, std::map>) {
      return take_map(json, value, inside);
    } else if constexpr (is_a<V, AsRows>) {
      return take_rows(json, value.map);
    } else if constexpr (is_a<V, std::optional>) {
      return json.is_null() || take(json, value.emplace(), inside);
    } else if constexpr (std::same_as<V, SystemTime>) {
      return take_text(json, value, read_time_ms);
    } else if constexpr (std::same_as<V, WallTime>) {
      return take_text(json, value, parse_time);
    } else if constexpr (std::same_as<V, Address>) {
      return take_text(json, value, parse_address);
    } else if constexpr (std::same_as<V, Prefix>) {
      return take_text(json, value, parse_prefix);
    } else if constexpr (is_duration<V>) {
      using Count = V::rep;
      if (std::integral<Count> ? !json.is_number_integer() : !json.is_number()) return false;
      value = V(json.template get<Count>());
      return true;
    } else if constexpr (std::is_enum_v<V>) {
      return take_word(json, value);
    } else {
      return take_struct(json, value, inside);
    }
  }
};

// As files have it: members sorted, and what is not known left out.
struct FileStyle {
  using Json = nlohmann::json;
  static constexpr bool omits = true;
};

template <typename Style = FileStyle, typename T>
std::string text_of(const T& value, int indent = -1) {
  return json_text(Encoder<Style>::value_of(value), indent);
}

// The error says which member is not as it should be, or that `text` is no JSON object.
template <typename T, typename Style = FileStyle>
std::expected<T, std::string> read_text(std::string_view text) {
  const auto json = read_json(text);
  if (!json.is_object()) return std::unexpected("not a JSON object");
  T value;
  Decoder<Style> decoder{json};
  members(value, decoder);
  if (!decoder.error.empty()) return std::unexpected(std::move(decoder.error));
  return value;
}

template <>
inline constexpr auto members_of<Place> =
    [](auto& v, auto& member) { member("file", v.file)("line", v.line)("column", v.column); };
template <>
inline constexpr auto members_of<Endpoint> = [](auto& v, auto& member) {
  member("address", v.address)("ports", v.ports)("all", v.all)("ipv6", v.ipv6);
};

}  // namespace moat::view
