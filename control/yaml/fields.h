// SPDX-License-Identifier: BSD-2-Clause
// Takes typed values out of a YAML tree. Each function logs what is wrong and then returns nothing,
// so that a caller goes on with the next value and every fault of a file comes up at once.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/text/fault_log.h"
#include "control/yaml/node.h"

namespace moat {

// A key that a map may have.
struct Key {
  std::string_view name;
  bool is_required = false;
  std::string_view remedy;  // where the key or its value is missing
};

// The entries of one map. Names on creation: keys that nobody knows (with the nearest known one),
// keys without a value and required keys that are not there.
class Fields {
 public:
  // Nothing if `node` is no map. `owner` is what the map describes, as in "a rule".
  [[nodiscard]] static std::optional<Fields> of(const Node& node, std::string_view owner,
                                                std::span<const Key> keys, FaultLog& log);

  // The value, or null where there is none (absent, empty or broken).
  [[nodiscard]] const Node* find(std::string_view name) const;
  // Whether the key is written, whatever its value.
  [[nodiscard]] bool has(std::string_view name) const { return key(name) != nullptr; }
  [[nodiscard]] const Node* key(std::string_view name) const;
  [[nodiscard]] bool has_repeated_key() const;

 private:
  explicit Fields(const Node& map) : map_(&map) {}
  void check(std::string_view owner, std::span<const Key> keys, FaultLog& log) const;

  const Node* map_;
};

// In all of these, `name` is what the message calls the value, as in "cidr".

// The items of a list; null if it is none.
[[nodiscard]] const std::vector<Node>* read_list(const Node& node, std::string_view name,
                                                 std::string_view remedy, FaultLog& log);

// A scalar as it is.
[[nodiscard]] const std::string* read_scalar(const Node& node, std::string_view name,
                                             FaultLog& log);

// One line of text, without control characters, of `least` to `most` bytes.
[[nodiscard]] std::optional<std::string> read_line(const Node& node, std::string_view name,
                                                   std::size_t least, std::size_t most,
                                                   FaultLog& log);

// [a-z0-9] and then up to 62 of [a-z0-9._-].
[[nodiscard]] std::optional<std::string> read_id(const Node& node, std::string_view name,
                                                 FaultLog& log);

// true or false, without quotes.
[[nodiscard]] std::optional<bool> read_bool(const Node& node, std::string_view name, FaultLog& log);

// Reads a scalar with `parse`, a function from text to std::expected<T, Error>.
template <typename Parse>
auto read_parsed(const Node& node, std::string_view name, Parse parse, FaultLog& log) {
  using Expected = decltype(parse(std::string_view{}));
  std::optional<typename Expected::value_type> value;
  if (const auto* text = read_scalar(node, name, log)) {
    if (auto parsed = parse(std::string_view(*text))) {
      value = *std::move(parsed);
    } else {
      log.error(node.spot(), std::move(parsed.error().message), *text,
                std::move(parsed.error().remedy));
    }
  }
  return value;
}

}  // namespace moat
