// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/complete.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "control/cli/client.h"
#include "control/cli/help.h"
#include "control/cli/import_rules.h"
#include "control/cli/output.h"

namespace moat {
namespace {

constexpr std::string_view file_names = ":files";

struct Candidate {
  std::string word;
  std::string help;
};
using Candidates = std::vector<Candidate>;

// Answers of moatd as candidates; none where it does not answer.
template <typename View>
Candidates ask_for(const Cli& cli, const Client::Arguments& arguments, const std::string& path,
                   const std::string& key, Candidate (*of)(const View&)) {
  const auto views = as_list<View>(Client(cli).get(path, arguments), key);
  Candidates found;
  if (views) std::ranges::transform(*views, std::back_inserter(found), of);
  return found;
}

Candidates databases(const Cli& cli) {
  return ask_for<DatabaseView>(cli, {}, "/v1/databases", "databases", [](const DatabaseView& each) {
    return Candidate{each.id, each.path};
  });
}

Candidates ranges(const Cli& cli) {
  return ask_for<ManagedRangeView>(
      cli, {}, "/v1/managed-ranges", "managed_ranges",
      [](const ManagedRangeView& each) { return Candidate{each.id, each.name}; });
}

Candidates generations(const Cli& cli) {
  return ask_for<HistoryView>(cli, {}, "/v1/history", "generations", [](const HistoryView& each) {
    return Candidate{fmt::format("{}", each.generation), each.change};
  });
}

Candidates rules(const Cli& cli, const std::string& database) {
  return ask_for<RuleView>(
      cli, {{"database", database}}, "/v1/rules", "rules", [](const RuleView& each) {
        return Candidate{each.id, fmt::format("{} {}", each.source, each.label)};
      });
}

Candidates help_topics() {
  Candidates found;
  for (const auto name : topic_names())
    found.push_back({std::string(name), std::string(find_topic(name)->help)});
  return found;
}

// A command line as far as it is written: what it has chosen, and what its last word belongs to.
class Line {
 public:
  explicit Line(const std::vector<std::string>& words) : known_(global_options(cli_)) {
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
      if (words[i] != "=") read(words[i]);  // bash takes --database=orders apart
    }
    if (!words.empty() && words.back() != "=") last_ = words.back();
  }

  [[nodiscard]] Candidates candidates() {
    auto found = all();
    std::erase_if(found, [this](const Candidate& each) {
      return each.word != file_names && !each.word.starts_with(last_);
    });
    return found;
  }

 private:
  void read(const std::string& word) {
    if (pending_ != nullptr) {
      *std::get<std::string*>(std::exchange(pending_, nullptr)->value) = word;
    } else if (word.starts_with('-')) {
      const auto* option = find(word);
      const bool takes_value =
          option != nullptr && std::holds_alternative<std::string*>(option->value);
      if (takes_value && word.find('=') == std::string::npos) pending_ = option;
    } else if (row_ == nullptr) {
      choose(without_alias(word));
    } else {
      arguments_++;
    }
  }

  void choose(std::string_view word) {
    for (const auto& row : commands()) {
      if (row.group != group_ || row.name != word) continue;
      if (row.declare == nullptr) {
        group_ = row.name;
        return;
      }
      row_ = &row;
      Options options;
      action_ = row.declare(options);  // which the options belong to
      known_.insert(known_.end(), options.begin(), options.end());
      return;
    }
  }

  [[nodiscard]] const Option* find(std::string_view word) const {
    auto name = word.substr(0, word.find('='));
    for (const auto& [letter, full] : short_forms) {
      if (name.size() == 2 && name[1] == letter) name = full;
    }
    const auto found = std::ranges::find(known_, name, &Option::name);
    return found == known_.end() ? nullptr : &*found;
  }

  [[nodiscard]] Candidates all() {
    if (pending_ != nullptr) return values_of(*pending_);
    if (last_.starts_with('-')) return option_candidates();
    if (row_ == nullptr) return commands_of(group_);
    return argument_candidates();
  }

  [[nodiscard]] Candidates option_candidates() const {
    Candidates found{{"--help", "Help on the command"}};
    for (const auto& option : known_) {
      if (option.name.starts_with('-'))
        found.push_back({std::string(option.name), std::string(option.help)});
    }
    return found;
  }

  // The argument that comes next: those without dashes, in their order.
  [[nodiscard]] Candidates argument_candidates() {
    auto left = arguments_;
    for (const auto& option : known_) {
      if (option.name.starts_with('-') || left-- > 0) continue;
      return values_of(option);
    }
    return {};
  }

  [[nodiscard]] Candidates values_of(const Option& option) {
    const auto& name = option.name;
    if (name == "--database") return databases(cli_);
    if (name == "--managed-range") return ranges(cli_);
    if (name == "--config" || name == "--socket" || name == "DIR" || name == "PATH" ||
        name == "FILE" || name == "--output")
      return {{std::string(file_names), ""}};
    if (name == "RULE-ID") return rules(cli_, chosen_database());
    if (name == "GENERATION" || name == "OTHER") return generations(cli_);
    if (name == "KIND") {
      Candidates found;
      for (const auto kind : import_kinds) found.push_back({std::string(kind), ""});
      return found;
    }
    if (name == "TOPIC") {
      auto found = commands_of("");
      std::ranges::move(help_topics(), std::back_inserter(found));
      return found;
    }
    if (name != "ID" || row_ == nullptr) return {};
    if (row_->group == "databases") return databases(cli_);
    return row_->group == "managed-ranges" ? ranges(cli_) : Candidates();
  }

  [[nodiscard]] static Candidates commands_of(std::string_view group) {
    Candidates found;
    for (const auto& row : commands()) {
      if (row.group == group) found.push_back({std::string(row.name), std::string(row.help)});
    }
    return found;
  }

  [[nodiscard]] std::string chosen_database() const {
    const auto* option = find("--database");
    return option == nullptr ? std::string() : *std::get<std::string*>(option->value);
  }

  Cli cli_;
  Options known_;  // of all commands, and of the one that is chosen
  Action action_;
  const Command* row_ = nullptr;     // that is chosen
  const Option* pending_ = nullptr;  // whose value comes next
  std::string_view group_;
  std::size_t arguments_ = 0;  // of the command, so far
  std::string last_;
};

}  // namespace

Exit complete(const std::vector<std::string>& words) {
  for (const auto& [word, help] : Line(words).candidates())
    print_line(help.empty() ? printable(word) : printable(word) + "\t" + printable(help));
  return Exit::done;
}

}  // namespace moat
