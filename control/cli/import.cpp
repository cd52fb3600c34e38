// SPDX-License-Identifier: BSD-2-Clause
// moat import: a rule file from what another firewall has.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/cli/import_rules.h"
#include "control/cli/iptables_text.h"
#include "control/cli/output.h"
#include "control/files/reading.h"
#include "control/os/file_io.h"
#include "control/policy/coverage.h"
#include "control/text/input_limits.h"
#include "control/yaml/edit.h"
#include "dataplane/fd.h"
#include "dataplane/number.h"

namespace moat {
namespace {

struct ImportOptions {
  std::string kind;
  std::string file;
  std::string database = "imported";
  std::string port = "5432";
  std::string address;
};

CommandError cannot_import(std::string message, std::string remedy) {
  return {Exit::refused, {Refusal::Kind::invalid, std::move(message), std::move(remedy), {}}};
}

ClientResult<std::string> read_file(const std::string& path) {
  const Fd opened(path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto bytes =
      opened.get() < 0 ? std::unexpected(errno) : read_to_end(opened.get(), limits::file_bytes);
  if (!bytes)
    return std::unexpected(
        cannot_import(describe_errno("read", path, bytes.error()), "check the path"));
  if (bytes->size() > limits::file_bytes)
    return std::unexpected(cannot_import(fmt::format("{} has more than 16 MiB", path),
                                         "leave out what is not about the port"));
  return *bytes;
}

std::expected<FilterRuleset, std::string> parse(const std::string& kind, const std::string& text,
                                                const FilterQuestion& question) {
  if (kind == "ufw") return parse_iptables_filter(text, question, "ufw-user-input");
  if (kind == "iptables") return parse_iptables_filter(text, question);
  if (kind == "nft") return parse_nft_filter(text, question);
  if (kind == "pg_hba") return parse_pg_hba(text);
  return parse_security_group(text, question);
}

bool is_kind(std::string_view kind) {
  return std::ranges::find(import_kinds, kind) != import_kinds.end();
}

std::string write_file(const ImportOptions& options, const FilterQuestion& question,
                       const Imported& imported) {
  const auto address = question.destination
                           ? fmt::format("address: {}, ", format_address(*question.destination))
                           : "";
  auto text = fmt::format(
      "# From {} ({}), by moat import.\ndatabase: {}\nendpoint: {{{}port: {}}}\nrules:{}\n",
      printable(options.file), options.kind, quote_scalar(options.database), address, question.port,
      imported.rules.empty() ? " []" : "");
  for (const auto& [cidr, label] : imported.rules) {
    text += fmt::format("  - cidr: {}\n", format_prefix(cidr));
    if (!label.empty()) text += fmt::format("    label: {}\n", quote_scalar(label));
  }
  return text;
}

// That of the question, or what is wrong with the options.
ClientResult<FilterQuestion> read_question(const ImportOptions& options) {
  FilterQuestion question;
  const auto port = parse_number<std::uint16_t>(options.port);
  if (!is_kind(options.kind))
    return std::unexpected(
        misspelt({"there is no such kind", "it is ufw, iptables, nft, pg_hba or security-group"},
                 options.kind));
  if (!port || *port == 0)
    return std::unexpected(
        misspelt({"this is no port", "write a number from 1 to 65535"}, options.port));
  question.port = *port;
  if (options.address.empty()) return question;
  const auto address = parse_address(options.address);
  if (!address) return std::unexpected(misspelt(address.error(), options.address));
  question.destination = *address;
  return question;
}

// What of the source the file does not show, and somebody might take for granted.
std::string_view reminder(std::string_view kind) {
  if (kind == "ufw")
    return "what before.rules, route rules and the default policy of ufw let in is not in its "
           "user.rules";
  if (kind == "pg_hba")
    return "Moat lets a network in or not; PostgreSQL goes on asking who connects to what, by "
           "pg_hba.conf";
  if (kind == "security-group")
    return "network ACLs and other security groups of the host are not in this file";
  return "";
}

// That they are every address or half of all, together: 0.0.0.0/1 and 128.0.0.0/1 look like less.
void tell_breadth(const std::vector<Imported::Rule>& rules) {
  Prefixes cidrs;
  for (const auto& rule : rules) cidrs.push_back(rule.cidr);
  const bool has_whole = std::ranges::find(cidrs, Prefix{}) != cidrs.end();
  const auto* what = has_whole           ? "0.0.0.0/0 lets"
                     : cidrs.size() == 1 ? "this network lets"
                                         : "these networks together let";
  const auto count = count_client_addresses(std::move(cidrs));
  if (count < kClientAddresses / 2) return;
  const auto whom = count == kClientAddresses
                        ? std::string("every address")
                        : fmt::format("{} % of all addresses", count * 100 / kClientAddresses);
  tell(fmt::format("{} in {}, as the file does", what, whom), Colour::bad);
}

void tell_rest(const ImportOptions& options, const Imported& imported) {
  for (const auto& sentence : imported.left_out) tell("left out: " + sentence, Colour::doubtful);
  tell_breadth(imported.rules);
  if (imported.rules.empty())
    tell("nothing was taken over: with `rules: []` nobody gets in", Colour::bad);
  if (const auto words = reminder(options.kind); !words.empty())
    tell(fmt::format("note: {}", words));
  tell(fmt::format("{} taken over, {} left out", plural(imported.rules.size(), "network"),
                   imported.left_out.size()));
}

Exit import_file(const Cli& cli, const ImportOptions& options) {
  const auto question = read_question(options);
  if (!question) return fail(cli, question.error());
  const auto text = read_file(options.file);
  if (!text) return fail(cli, text.error());
  const auto name = options.file == "-" ? std::string("stdin") : options.file;
  const auto ruleset = parse(options.kind, *text, *question);
  if (!ruleset)
    return fail(
        cli, cannot_import(fmt::format("{}: {}", name, ruleset.error()), "see moat import --help"));
  auto imported = take_over(*ruleset, name);
  if (!imported)
    return fail(cli, cannot_import(fmt::format("{}: {}", name, imported.error()),
                                   "see moat import --help"));
  for (const auto& family : ruleset->iptables)
    imported->left_out.push_back(fmt::format(
        "{}: rules of iptables, family {}: give moat import iptables what iptables-save prints",
        name, family));
  const auto file = write_file(options, *question, *imported);
  // Nothing is printed that moatd would not take: an id of the caller's, say.
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (const auto read = read_database("the printed file", file, now); !read.value) {
    print_faults(read.faults, stderr);
    return Exit::usage;
  }
  if (cli.json) {
    auto rules = Json::array();
    for (const auto& [cidr, label] : imported->rules)
      rules.push_back({{"cidr", format_prefix(cidr)}, {"label", label}});
    print_json(document({{"file", file}, {"rules", rules}, {"left_out", imported->left_out}}));
  } else {
    std::fputs(file.c_str(), stdout);
    tell_rest(options, *imported);
  }
  return imported->rules.empty() ? Exit::refused : Exit::done;
}

}  // namespace

Action command::import_rules(Options& options) {
  const auto values = std::make_shared<ImportOptions>();
  options = {{"KIND", "", &values->kind, "ufw, iptables, nft, pg_hba or security-group"},
             {"FILE", "", &values->file, "Where its rules are; - is the standard input"},
             {"--database", "ID", &values->database, "The database that the printed file is for"},
             {"--port", "PORT", &values->port, "The port that is asked about"},
             {"--address", "ADDRESS", &values->address,
              "The database's own address, where rules ask for it"}};
  return make_action(values, import_file);
}

}  // namespace moat
