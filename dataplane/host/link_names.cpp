// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/link_names.h"

#include <fmt/format.h>
#include <net/if.h>

#include <array>

namespace moat {

std::string link_name(std::uint32_t ifindex) {
  std::array<char, IF_NAMESIZE> name = {};
  return ::if_indextoname(ifindex, name.data()) == nullptr ? "" : name.data();
}

std::string link_name_or_number(std::uint32_t ifindex) {
  auto name = link_name(ifindex);
  return name.empty() ? fmt::format("#{}", ifindex) : name;
}

std::vector<LinkNames> names_of(const std::vector<LinkPlace>& links) {
  std::vector<LinkNames> named;
  named.reserve(links.size());
  for (const LinkPlace& link : links) {
    LinkNames& names = named.emplace_back(std::vector{link.name}, link.loopback);
    names.names.insert(names.names.end(), link.other_names.begin(), link.other_names.end());
  }
  return named;
}

Result<std::vector<LinkNames>> list_link_names() {
  const auto links = list_links();
  if (!links) return std::unexpected(links.error());
  return names_of(*links);
}

}  // namespace moat
