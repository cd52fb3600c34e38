// SPDX-License-Identifier: BSD-2-Clause
#include "control/yaml/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/text/input_limits.h"
#include "control/text/nearest.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

void report_unknown(const Node& key, std::string_view owner, std::span<const Key> keys,
                    FaultLog& log) {
  std::vector<std::string_view> names;
  for (const auto& known : keys) names.push_back(known.name);
  const auto hint = nearest(key.text, names);
  log.error(key.spot(), fmt::format("{} has no such key", owner), key.text,
            hint.empty() ? fmt::format("it has {}", fmt::join(names, ", "))
                         : fmt::format("did you mean `{}`?", hint));
}

bool is_id(std::string_view text) {
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && text.size() <= limits::id_bytes && is_alphanumeric(text[0]) &&
         std::ranges::all_of(text, [is_alphanumeric](char c) {
           return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

std::optional<Fields> Fields::of(const Node& node, std::string_view owner,
                                 std::span<const Key> keys, FaultLog& log) {
  if (node.is(Node::Kind::broken)) return std::nullopt;
  if (!node.is(Node::Kind::map)) {
    std::vector<std::string_view> names;
    for (const auto& key : keys) names.push_back(key.name);
    log.error(node.spot(), fmt::format("{} is a map", owner), node.text,
              fmt::format("write `key: value` with {}", fmt::join(names, ", ")));
    return std::nullopt;
  }
  Fields fields(node);
  fields.check(owner, keys, log);
  return fields;
}

void Fields::check(std::string_view owner, std::span<const Key> keys, FaultLog& log) const {
  for (std::size_t i = 0; i < map_->children.size(); i += 2) {
    const auto& key = map_->children[i];
    if (key.is(Node::Kind::broken)) continue;
    const auto known = std::ranges::find(keys, std::string_view(key.text), &Key::name);
    if (known == keys.end()) {
      report_unknown(key, owner, keys, log);
    } else if (map_->children[i + 1].is(Node::Kind::null)) {
      log.error(key.spot(), fmt::format("`{}` has no value", key.text), {},
                std::string(known->remedy));
    }
  }
  for (const auto& known : keys) {
    if (!known.is_required || has(known.name)) continue;
    log.error(map_->spot(), fmt::format("{} has no `{}`", owner, known.name), {},
              std::string(known.remedy));
  }
}

const Node* Fields::key(std::string_view name) const {
  for (std::size_t i = 0; i < map_->children.size(); i += 2) {
    const auto& key = map_->children[i];
    if (!key.is(Node::Kind::broken) && key.text == name) return &key;
  }
  return nullptr;
}

const Node* Fields::find(std::string_view name) const {
  const auto* found = key(name);
  if (found == nullptr) return nullptr;
  const auto& value = value_of(*found);
  const bool is_there = !value.is(Node::Kind::null) && !value.is(Node::Kind::broken);
  return is_there ? &value : nullptr;
}

bool Fields::has_repeated_key() const {
  return std::ranges::any_of(map_->children, &Node::is_repeated);
}

const std::vector<Node>* read_list(const Node& node, std::string_view name, std::string_view remedy,
                                   FaultLog& log) {
  if (node.is(Node::Kind::list)) return &node.children;
  if (!node.is(Node::Kind::broken)) {
    log.error(node.spot(), fmt::format("`{}` is a list", name), node.text, std::string(remedy));
  }
  return nullptr;
}

const std::string* read_scalar(const Node& node, std::string_view name, FaultLog& log) {
  if (node.is(Node::Kind::scalar)) return &node.text;
  if (node.is(Node::Kind::null)) {
    log.error(node.spot(), fmt::format("an empty entry where `{}` is read", name), {},
              "take it out, or put it in quotes");
  } else if (!node.is(Node::Kind::broken)) {
    log.error(node.spot(), fmt::format("`{}` is a single value, not a list or map", name));
  }
  return nullptr;
}

std::optional<std::string> read_line(const Node& node, std::string_view name, std::size_t least,
                                     std::size_t most, FaultLog& log) {
  const auto* text = read_scalar(node, name, log);
  if (text == nullptr) return std::nullopt;
  if (text->size() < least) {
    log.error(node.spot(), fmt::format("`{}` is empty", name));
  } else if (text->size() > most) {
    log.error(node.spot(), fmt::format("`{}` has {} bytes", name, text->size()), *text,
              fmt::format("at most {}", most));
  } else if (find_control(*text)) {
    log.error(node.spot(), fmt::format("there is a control character in `{}`", name), *text,
              "write one line of plain text");
  } else {
    return *text;
  }
  return std::nullopt;
}

std::optional<std::string> read_id(const Node& node, std::string_view name, FaultLog& log) {
  const auto* text = read_scalar(node, name, log);
  if (text == nullptr) return std::nullopt;
  if (is_id(*text)) return *text;
  log.error(
      node.spot(), fmt::format("`{}` is no id", name), *text,
      fmt::format("1 to {} of a-z 0-9 . _ - beginning with a letter or digit", limits::id_bytes));
  return std::nullopt;
}

std::optional<bool> read_bool(const Node& node, std::string_view name, FaultLog& log) {
  const auto* text = read_scalar(node, name, log);
  if (text == nullptr) return std::nullopt;
  if (node.is_plain && *text == "true") return true;
  if (node.is_plain && *text == "false") return false;
  log.error(node.spot(), fmt::format("`{}` is neither true nor false", name), *text,
            "write true or false, without quotes");
  return std::nullopt;
}

}  // namespace moat
