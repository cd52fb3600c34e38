// SPDX-License-Identifier: BSD-2-Clause
// A security group as the aws command prints it:
//
//   {"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [
//       {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
//        "IpRanges": [{"CidrIp": "192.0.2.0/24", "Description": "office"}], "Ipv6Ranges": [...],
//        "PrefixListIds": [...], "UserIdGroupPairs": [...]}]}]}
//   {"SecurityGroupRules": [
//       {"GroupId": "sg-1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
//        "CidrIpv4": "192.0.2.0/24", "Description": "office"}]}
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "control/cli/import_rules.h"
#include "control/cli/nft_json.h"

namespace moat {
namespace {

class GroupReader {
  static constexpr const char* chain = "group";

 public:
  explicit GroupReader(const FilterQuestion& question) : question_(question) {
    ruleset_.bases = {{chain, "", false, false}};
    (void)ruleset_.chains[chain];
  }

  std::expected<FilterRuleset, std::string> read(const nft::Json& json) {
    const auto* groups = nft::member(json, "SecurityGroups");
    const auto* rules = nft::member(json, "SecurityGroupRules");
    if (groups != nullptr && groups->is_array()) {
      for (const auto& group : *groups) read_group(group);
    } else if (rules != nullptr && rules->is_array()) {
      for (const auto& rule : *rules) read_rule(rule);
    } else {
      return std::unexpected(
          "it is not what aws ec2 describe-security-groups or describe-security-group-rules "
          "prints");
    }
    // Nobody knows which of them the host has.
    if (groups_.size() > 1)
      return std::unexpected(
          fmt::format("it has {} security groups: print one of them, by --group-ids {}",
                      groups_.size(), *groups_.begin()));
    return std::move(ruleset_);
  }

 private:
  void read_group(const nft::Json& group) {
    groups_.insert(nft::text(nft::member(group, "GroupId")));
    const auto* permissions = nft::member(group, "IpPermissions");
    if (permissions == nullptr || !permissions->is_array()) return;
    for (const auto& permission : *permissions) {
      if (!is_about_port(permission)) continue;
      each(permission, "IpRanges", "CidrIp", &GroupReader::add);
      each(permission, "Ipv6Ranges", "CidrIpv6", &GroupReader::leave_out_ipv6);
      each(permission, "PrefixListIds", "PrefixListId", &GroupReader::leave_out_list);
      each(permission, "UserIdGroupPairs", "GroupId", &GroupReader::leave_out_group);
    }
  }

  void read_rule(const nft::Json& rule) {
    groups_.insert(nft::text(nft::member(rule, "GroupId")));
    const auto* egress = nft::member(rule, "IsEgress");
    if (egress == nullptr || *egress != false || !is_about_port(rule)) return;
    if (nft::member(rule, "CidrIpv4") != nullptr)
      add(rule, nft::text(nft::member(rule, "CidrIpv4")));
    if (nft::member(rule, "CidrIpv6") != nullptr)
      leave_out_ipv6(rule, nft::text(nft::member(rule, "CidrIpv6")));
    if (const auto* list = nft::member(rule, "PrefixListId")) leave_out_list(rule, nft::text(list));
    if (const auto* group = nft::member(rule, "ReferencedGroupInfo"))
      leave_out_group(rule, nft::text(nft::member(*group, "GroupId")));
  }

  void each(const nft::Json& permission, const char* list, const char* value,
            void (GroupReader::*take)(const nft::Json&, const std::string&)) {
    const auto* items = nft::member(permission, list);
    if (items == nullptr || !items->is_array()) return;
    for (const auto& item : *items) (this->*take)(item, nft::text(nft::member(item, value)));
  }

  [[nodiscard]] bool is_about_port(const nft::Json& rule) const {
    const auto protocol = nft::text(nft::member(rule, "IpProtocol"));
    if (protocol == "-1") return true;
    if (protocol != "tcp" && protocol != "6") return false;
    const auto* first = nft::member(rule, "FromPort");
    const auto* last = nft::member(rule, "ToPort");
    if (first == nullptr || last == nullptr || !first->is_number_integer() ||
        !last->is_number_integer())
      return false;
    return first->get<std::int64_t>() <= question_.port &&
           question_.port <= last->get<std::int64_t>();
  }

  void add(const nft::Json& item, const std::string& cidr) {
    const auto prefix = parse_prefix(cidr);
    if (!prefix) return leave_out(cidr, "this is no IPv4 network");
    FilterRule rule;
    rule.verdict = FilterRule::Verdict::accept;
    rule.sources = {{{{prefix->first(), prefix->last()}}, {}, false}};
    rule.place = cidr;
    rule.label = nft::text(nft::member(item, "Description"));
    ruleset_.chains[chain].push_back(std::move(rule));
  }

  void leave_out(const std::string& what, const char* why) {
    ruleset_.left_out.push_back({what, 0, why});
  }
  void leave_out_ipv6(const nft::Json&, const std::string& cidr) {
    leave_out(cidr, "there are no IPv6 rules");
  }
  void leave_out_list(const nft::Json&, const std::string& id) {
    leave_out(id,
              "a prefix list, whose networks are not in this file: make a managed range of them");
  }
  void leave_out_group(const nft::Json&, const std::string& id) {
    leave_out(id,
              "another security group, whose members' addresses are not in this file: name them");
  }

  FilterQuestion question_;
  FilterRuleset ruleset_;
  std::set<std::string> groups_;
};

}  // namespace

std::expected<FilterRuleset, std::string> parse_security_group(std::string_view json,
                                                               const FilterQuestion& question) {
  const auto whole = nft::parse_json(json);
  if (!whole) return std::unexpected("it is no JSON");
  return GroupReader(question).read(*whole);
}

}  // namespace moat
