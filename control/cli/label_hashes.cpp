// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/label_hashes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

#include "control/text/fnv1a.h"

namespace moat {
namespace {

bool is_of_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Whether `size` bytes at `at` are no part of a longer word.
bool stands_alone(std::string_view text, std::size_t at, std::size_t size) {
  const bool begins = at == 0 || !is_of_word(text[at - 1]) || !is_of_word(text[at]);
  const auto end = at + size;
  return begins && (end == text.size() || !is_of_word(text[end]) || !is_of_word(text[end - 1]));
}

void replace_words(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos;) {
    if (stands_alone(text, at, from.size())) {
      text.replace(at, from.size(), to);
      at += to.size();
    } else {
      at++;
    }
  }
}

// Calls `visit` with the name and the value of each string in the document.
template <typename Visit>
void for_each_string(auto& document, const std::string& name, const Visit& visit) {
  if (document.is_string()) {
    visit(name, document);
  } else if (document.is_object()) {
    for (auto& [key, value] : document.items()) for_each_string(value, key, visit);
  } else if (document.is_array()) {
    for (auto& value : document) for_each_string(value, name, visit);
  }
}

// What stands in quotes in a sentence of changes: `10.0.0.1/32 is called "Office", not "Home";
// ...`. A label may have quotes of its own: where they cannot be told from the sentence's, all from
// the first to the last is one.
std::vector<std::string> in_quotes(std::string_view sentence) {
  const auto begin = sentence.find('"'), end = sentence.rfind('"');
  if (begin == end) return {};
  const auto inside = sentence.substr(begin + 1, end - begin - 1);
  std::vector<std::string> found;
  bool is_label = true;
  for (const auto piece : std::views::split(inside, '"')) {
    const std::string text(piece.begin(), piece.end());
    if (is_label)
      found.push_back(text);
    else if (text != ", not " && !text.ends_with(" is called ") &&
             !text.ends_with(" is of account "))
      return {std::string(inside)};
    is_label = !is_label;
  }
  if (is_label) return {std::string(inside)};  // the last one is open
  return found;
}

}  // namespace

void LabelHashes::add(const std::string& label) {
  if (label.empty()) return;
  Fnv1a hash;
  hash.add(salt_);
  hash.add(label);
  words_[label] = fmt::format("label-{:08x}", hash.value() >> 32);
}

void LabelHashes::learn(const Json& document) {
  for_each_string(document, "", [this](const std::string& name, const Json& value) {
    const auto text = value.get<std::string>();
    if (name == "label") add(text);
    if (name != "change") return;  // "... is called "Office", not "Home""
    for (const auto& label : in_quotes(text)) add(label);
  });
}

std::string LabelHashes::without(std::string text) const {
  // Longer ones first: one may be a part of another.
  std::vector<std::pair<std::string, std::string>> longest(words_.begin(), words_.end());
  std::ranges::stable_sort(longest, std::ranges::greater(),
                           [](const auto& entry) { return entry.first.size(); });
  for (const auto& [label, word] : longest) replace_words(text, label, word);
  return text;
}

Json LabelHashes::without(Json document) const {
  for_each_string(document, "", [this](const std::string& name, Json& value) {
    auto text = value.get<std::string>();
    if (name == "label") {
      const auto word = words_.find(text);
      if (word != words_.end()) value = word->second;
      return;
    }
    if (const auto at = text.find("--label"); name == "command" && at != std::string::npos)
      text.replace(at, std::string::npos, "--label ...");
    value = without(std::move(text));
  });
  return document;
}

}  // namespace moat
