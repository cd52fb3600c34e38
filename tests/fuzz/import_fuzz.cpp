// SPDX-License-Identifier: BSD-2-Clause
// The readers of other firewalls' rules: whatever the bytes, the networks that are taken over are
// ones that pass for certain, and what is left out is told in printable lines. The first byte says
// which.
#include "control/cli/import_rules.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

namespace moat::testing {
namespace {

constexpr FilterQuestion question{5432, {}};

std::expected<FilterRuleset, std::string> read(char kind, std::string_view text) {
  switch (static_cast<unsigned char>(kind) % 5) {
    case 0:
      return parse_nft_filter(text, question);
    case 1:
      return parse_iptables_filter(text, question);
    case 2:
      return parse_iptables_filter(text, question, "ufw-user-input");
    case 3:
      return parse_pg_hba(text);
    default:
      return parse_security_group(text, question);
  }
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view bytes) {
  if (bytes.empty()) return;
  const auto ruleset = read(bytes[0], bytes.substr(1));
  if (!ruleset) return require(!ruleset.error().empty(), "a refusal says why");
  const auto imported = take_over(*ruleset, "FILE");
  if (!imported) return require(!imported.error().empty(), "a refusal says why");
  FilterWalk walk(*ruleset);
  for (const auto& [cidr, label] : imported->rules) {
    require(walk.judge(cidr.first()).passes(), "what is taken over passes", format_prefix(cidr));
    require(walk.judge(cidr.last()).passes(), "what is taken over passes", format_prefix(cidr));
    require(!find_control(label), "a label is one printable line", label);
  }
  for (const auto& sentence : imported->left_out)
    require(!find_control(sentence), "a sentence is one printable line", sentence);
}
