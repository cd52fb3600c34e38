// SPDX-License-Identifier: BSD-2-Clause
// Takes labels out of what is handed on: each becomes a word that says nothing but is the same for
// the same label.
#pragma once

#include <map>
#include <string>

#include "control/service/json.h"

namespace moat {

class LabelHashes {
 public:
  // `salt`: so that nobody finds a label by trying. With the same one, labels get the same words.
  explicit LabelHashes(std::string salt) : salt_(std::move(salt)) {}

  // Labels that the document has, or that its sentences tell of, are known from now on.
  void learn(const Json& document);

  // The text and the document without the labels that are known: members called "label", and
  // wherever one stands as a word by itself. What --label gives in a command line goes, too.
  [[nodiscard]] std::string without(std::string text) const;
  [[nodiscard]] Json without(Json document) const;

 private:
  void add(const std::string& label);

  std::string salt_;
  std::map<std::string, std::string> words_;  // by label
};

}  // namespace moat
