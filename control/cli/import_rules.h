// SPDX-License-Identifier: BSD-2-Clause
// A rule file from what another firewall has: the sources that it is certain to let in, and no
// others.
//
//   ufw, iptables, nft --> parse_iptables_filter, parse_nft_filter --+
//   pg_hba.conf ---------> parse_pg_hba -----------------------------+-> FilterRuleset -> take_over
//   security group ------> parse_security_group ---------------------+
#pragma once

#include <array>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/filter_rules.h"
#include "control/policy/prefix.h"

namespace moat {

// What `moat import` reads.
inline constexpr std::array<std::string_view, 5> import_kinds{"ufw", "iptables", "nft", "pg_hba",
                                                              "security-group"};

struct Imported {
  struct Rule {
    Prefix cidr;
    std::string label;
  };
  std::vector<Rule> rules;            // by address
  std::vector<std::string> left_out;  // what was not taken over, and why: a sentence each
};

// `file`: what the sentences call it. The error says why nothing could be taken over.
[[nodiscard]] std::expected<Imported, std::string> take_over(const FilterRuleset& ruleset,
                                                             const std::string& file);

// The lines of pg_hba.conf that let somebody in by TCP, whoever they are and whatever they may
// read: PostgreSQL goes on asking about that.
[[nodiscard]] FilterRuleset parse_pg_hba(std::string_view text);

// What `aws ec2 describe-security-groups` or `describe-security-group-rules` prints of one group.
[[nodiscard]] std::expected<FilterRuleset, std::string> parse_security_group(
    std::string_view json, const FilterQuestion& question);

}  // namespace moat
