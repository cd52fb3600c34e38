// SPDX-License-Identifier: BSD-2-Clause
// The command: reads the command line by the table of commands.cpp, and does what it says.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <langinfo.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/cli/client.h"
#include "control/cli/commands.h"
#include "control/cli/complete.h"
#include "control/cli/fleet.h"
#include "control/cli/help.h"
#include "control/cli/output.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

// "-j,--json"
std::string with_short_form(std::string_view name) {
  const auto found = std::ranges::find(short_forms, name, &ShortForm::name);
  return found == std::end(short_forms) ? std::string(name)
                                        : fmt::format("-{},{}", found->letter, name);
}

void add_option(CLI::App& command, const Option& option) {
  const auto name = with_short_form(option.name);
  const std::string help(option.help);
  if (auto* const* flag = std::get_if<bool*>(&option.value)) {
    command.add_flag(name, **flag, help);
    return;
  }
  auto& value = *std::get<std::string*>(option.value);
  auto* added = command.add_option(name, value, help);
  if (!option.type.empty()) added->type_name(std::string(option.type));
  if (!value.empty()) added->capture_default_str();
  if (option.name == "--database") added->envname(std::string(database_variable));
  if (!option.name.starts_with('-') && value.empty() && option.choice.empty()) added->required();
}

void add_options(CLI::App& command, const Options& options) {
  CLI::App* choice = nullptr;
  for (const auto& option : options) {
    if (option.choice.empty()) {
      add_option(command, option);
      continue;
    }
    if (choice == nullptr || choice->get_group() != option.choice) {
      choice = command.add_option_group(std::string(option.choice), "Exactly one of these");
      choice->require_option(1);
    }
    add_option(*choice, option);
  }
}

// What the one that the person names does comes to be in `chosen`.
void add_command(CLI::App& app, const Command& row, Action& chosen) {
  auto& parent = row.group.empty() ? app : *app.get_subcommand(std::string(row.group));
  auto* command = parent.add_subcommand(std::string(row.name), std::string(row.help));
  command->footer(std::string(row.more) + (row.more.empty() ? "" : "\n\n") +
                  "All commands also take --json, --no-pager and --socket PATH: see moat --help.");
  if (row.declare == nullptr) {
    command->require_subcommand(1);
    return;
  }
  Options options;
  auto action = row.declare(options);
  add_options(*command, options);
  command->callback([&chosen, action = std::move(action)] { chosen = action; });
}

void add_global_options(CLI::App& app, Cli& cli) {
  add_options(app, global_options(cli));
  app.set_version_flag("--version", "moat " MOAT_VERSION);
  app.footer(
      "Exit: 0 done, 1 refused, different, or something is wrong (status), 2 wrong use, 3 moatd\n"
      "not reachable, 4 accepted but not enforced within the bound, or moatd does not answer.\n\n"
      "Where --database is left out, it is what the environment variable MOAT_DATABASE says.\n\n"
      "moat COMMAND --help tells more of each. Rule files: moat.yaml(5).");
}

// Labels may have any letters, also where the locale is C.
void use_utf8() {
  std::setlocale(LC_ALL, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Reads a command line as far as its words and the names of its options go, and writes out aliases.
class Words {
 public:
  Words(std::vector<std::string>& arguments, Options global)
      : arguments_(arguments), known_(std::move(global)) {}

  // What nothing has the name of, and what was meant perhaps; or what is empty, as an unset
  // variable of a script is, most of the time: not the same as none. Nothing: neither.
  std::optional<Error> find_wrong() {
    for (at_ = 0; at_ < arguments_.size(); ++at_) {
      const auto& word = arguments_[at_];
      if (word == "--") return std::nullopt;
      if (is_help(word.substr(0, word.find('=')))) return std::nullopt;
      auto wrong = word.size() < 2 || word[0] != '-' ? read_word()
                   : word[1] == '-'                  ? read_option()
                                                     : read_short_options();
      if (wrong) return wrong;
    }
    return std::nullopt;
  }

 private:
  static Error empty_value(const std::string& what) {
    return {what + " is empty", "leave it out, or give it one"};
  }

  static bool is_help(std::string_view name) {
    return name == "-h" || name == "--help" || name == "--version";
  }

  [[nodiscard]] const Option* find_option(std::string_view name) const {
    const auto found = std::ranges::find(known_, name, &Option::name);
    return found == known_.end() ? nullptr : &*found;
  }

  // That can be written as this letter.
  [[nodiscard]] const Option* find_option(char letter) const {
    const auto found = std::ranges::find(short_forms, letter, &ShortForm::letter);
    return found == std::end(short_forms) ? nullptr : find_option(found->name);
  }

  [[nodiscard]] std::vector<std::string_view> option_names() const {
    std::vector<std::string_view> names{"--help"};
    for (const auto& option : known_) {
      if (option.name.starts_with('-')) names.push_back(option.name);
    }
    return names;
  }

  static bool takes_value(const Option& option) {
    return std::holds_alternative<std::string*>(option.value);
  }

  // `value`: that stands in the same word; nothing: in the next.
  std::optional<Error> read_value(std::string_view name, std::optional<std::string_view> value) {
    const bool is_next = !value;
    if (is_next && ++at_ == arguments_.size())
      return std::nullopt;  // CLI11 tells that it is missing
    if (!(is_next ? std::string_view(arguments_[at_]) : *value).empty()) return std::nullopt;
    return empty_value(fmt::format("the value of {}", name));
  }

  std::optional<Error> read_option() {
    const auto word = arguments_[at_];
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    const auto* option = find_option(name);
    if (option == nullptr) return unknown("option", name, option_names());
    if (!takes_value(*option)) return std::nullopt;
    if (equals == std::string::npos) return read_value(name, std::nullopt);
    return read_value(name, std::string_view(word).substr(equals + 1));
  }

  // -j, -jf, -d ID, -dID
  std::optional<Error> read_short_options() {
    const auto word = arguments_[at_];
    for (std::size_t i = 1; i < word.size(); ++i) {
      if (word[i] == 'h') continue;
      const auto* option = find_option(word[i]);
      if (option == nullptr)
        return unknown("option", i == 1 ? word : fmt::format("-{}", word[i]), option_names());
      if (!takes_value(*option)) continue;
      if (i + 1 < word.size()) return std::nullopt;
      return read_value(option->name, std::nullopt);
    }
    return std::nullopt;
  }

  // The first word is a command, or a group and the second one its command; the rest are arguments.
  std::optional<Error> read_word() {
    auto& word = arguments_[at_];
    if (word.empty()) return empty_value("an argument");
    if (has_command_) return std::nullopt;
    if (!group_.empty() && word == "help") {  // moat rules help add
      arguments_.erase(arguments_.begin() + static_cast<std::ptrdiff_t>(at_--));
      arguments_.emplace_back("--help");
      return std::nullopt;
    }
    std::vector<std::string_view> names;
    for (const auto& row : commands()) {
      if (row.group == group_) names.push_back(row.name);
    }
    if (const auto name = without_alias(word); std::ranges::find(names, name) != names.end())
      word = name;
    for (const auto& row : commands()) {
      if (row.group == group_ && row.name == word) return take(row);
    }
    return unknown(group_.empty() ? "command" : fmt::format("command of moat {}", group_), word,
                   names);
  }

  std::optional<Error> take(const Command& row) {
    if (row.declare == nullptr) {
      group_ = row.name;
      return std::nullopt;
    }
    Options options;
    actions_.push_back(row.declare(options));  // which the options belong to
    known_.insert(known_.end(), options.begin(), options.end());
    has_command_ = true;
    return std::nullopt;
  }

  [[nodiscard]] static Error unknown(std::string_view what, std::string_view name,
                                     const std::vector<std::string_view>& names) {
    const auto near = nearest(name, names);
    return {fmt::format("there is no {} \"{}\"", what, name),
            near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                         : fmt::format("did you mean {}?", near)};
  }

  std::vector<std::string>& arguments_;
  std::size_t at_ = 0;
  Options known_;
  std::vector<Action> actions_;
  std::string_view group_;
  bool has_command_ = false;
};

// Whether JSON is asked for on a command line that may be wrong otherwise.
bool wants_json(const std::vector<std::string>& arguments) {
  return std::ranges::any_of(arguments, [](const std::string& word) {
    return word == "--json" || word == "-j" || word == "-fj" || word == "-jf";
  });
}

CommandError wrong_use(std::string message, std::string remedy) {
  return {Exit::usage, {Refusal::Kind::invalid, std::move(message), std::move(remedy), {}}};
}

// The rows that somebody may have meant by a word after `moat help`.
std::vector<std::string_view> helped_names() {
  auto names = topic_names();
  for (const auto& row : commands()) {
    if (row.group.empty()) names.push_back(row.name);
  }
  return names;
}

// `moat help rules add` is `moat rules add --help`, and `moat help` is `moat --help` and what
// topics there are. Nothing: `words` ask for no help, or for a topic.
std::optional<Exit> give_help(const Cli& cli, const CLI::App& app,
                              std::vector<std::string>& words) {
  if (words.empty() || words.front() != "help") return std::nullopt;
  if (words.size() == 1) {
    std::fputs(app.help().c_str(), stdout);
    print_line("\n" + list_topics());
    return Exit::done;
  }
  const auto& name = words[1];
  if (name.starts_with('-') || find_topic(name) != nullptr) return std::nullopt;
  const auto names = helped_names();
  if (std::ranges::find(names, name) == names.end()) {
    const auto near = nearest(name, names);
    return fail(cli,
                wrong_use(fmt::format("there is no command or topic \"{}\"", name),
                          near.empty() ? "see moat help" : fmt::format("did you mean {}?", near)));
  }
  words.erase(words.begin());
  words.emplace_back("--help");
  return std::nullopt;
}

// "moat rules add --help", of the command that was named; as far as it was.
std::string help_for(const std::vector<std::string>& arguments) {
  std::string command;
  for (const auto& word : arguments) {
    if (word.starts_with('-')) continue;
    const auto is_it = [&](const Command& row) {
      return row.group == command && row.name == without_alias(word);
    };
    if (!std::ranges::any_of(commands(), is_it)) continue;
    if (!command.empty()) return fmt::format("moat {} {} --help", command, without_alias(word));
    command = word;
  }
  return command.empty() ? "moat --help" : fmt::format("moat {} --help", command);
}

// What CLI11 has to say instead of a command: help, the version, or what is wrong.
Exit answer(const Cli& cli, const CLI::App& app, const std::vector<std::string>& arguments,
            const CLI::ParseError& error) {
  if (error.get_exit_code() != 0) return fail(cli, wrong_use(error.what(), help_for(arguments)));
  if (cli.json && dynamic_cast<const CLI::CallForVersion*>(&error) != nullptr) {
    print_json(document({{"version", MOAT_VERSION}}));
    return Exit::done;
  }
  return app.exit(error) == 0 ? Exit::done : Exit::usage;
}

Exit run(std::vector<std::string> arguments) {
  CLI::App app("Guards the databases on this host: nobody reaches one unless a rule names them.",
               "moat");
  Cli cli;
  Action chosen;
  app.require_subcommand(1);
  app.fallthrough();  // --json and --socket may stand anywhere
  for (const auto& row : commands()) add_command(app, row, chosen);
  add_global_options(app, cli);
  if (arguments.empty()) {
    std::fputs(app.help().c_str(), stdout);
    return Exit::done;
  }
  if (arguments.front() == "complete") return complete({arguments.begin() + 1, arguments.end()});
  if (arguments.front() == "fleet") return hand_over_to_agent(arguments);
  cli.json = wants_json(arguments);
  if (const auto helped = give_help(cli, app, arguments)) return *helped;
  if (const auto wrong = Words(arguments, global_options(cli)).find_wrong())
    return fail(cli, wrong_use(wrong->message, wrong->remedy));
  const bool json = std::exchange(cli.json, false);  // or it would be an option given twice
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    cli.json = json;
    return answer(cli, app, arguments, error);
  }
  return chosen(cli);
}

// What was printed has arrived, or it is told that it has not: a full disk must not pass for a
// short list.
Exit flush(Exit exit) {
  errno = 0;
  const bool had_error = std::ferror(stdout) != 0;
  if (std::fclose(stdout) == 0 && !had_error) return exit;
  const int error = errno;
  std::fprintf(stderr, "moat: not all of the output could be written%s%s\n", error != 0 ? ": " : "",
               error != 0 ? std::strerror(error) : "");
  return exit == Exit::done ? Exit::refused : exit;
}

}  // namespace
}  // namespace moat

int main(int argc, char** argv) {
  moat::use_utf8();
  std::signal(SIGPIPE, SIG_DFL);  // `moat ... | head` ends quietly
  return static_cast<int>(moat::flush(moat::run({argv + 1, argv + argc})));
}
