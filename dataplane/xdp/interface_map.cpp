// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/interface_map.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>

#include "dataplane/host/link_names.h"
#include "dataplane/xdp/bpf_error.h"

namespace moat {
namespace {

constexpr auto interfaces_pin = "interfaces";
constexpr std::size_t max_named = 5;

bool is_same(const moat_interface& one, const moat_interface& other) {
  return one.flags == other.flags && std::memcmp(one.name, other.name, sizeof one.name) == 0;
}

bool is_trusted(const moat_interface& entry) { return (entry.flags & MOAT_INTERFACE_TRUSTED) != 0; }

// What has the number now; an entry by hand need not say.
std::string name_of(std::uint32_t ifindex, const moat_interface& entry) {
  if (auto now = link_name(ifindex); !now.empty()) return now;
  return fmt::format("{} (interface {}, gone)",
                     std::string_view(entry.name, ::strnlen(entry.name, sizeof entry.name)),
                     ifindex);
}

// "eth1, eth2 and 3 more"
std::string list(const std::set<std::string>& names) {
  std::string text;
  std::size_t named = 0;
  for (const auto& name : names) {
    if (named == max_named) break;
    text += fmt::format("{}{}", named++ == 0 ? "" : ", ", name);
  }
  return named == names.size() ? text : fmt::format("{} and {} more", text, names.size() - named);
}

const moat_interface* find(const KnownInterfaces& in, std::uint32_t ifindex) {
  const auto found = in.find(ifindex);
  return found == in.end() ? nullptr : &found->second;
}

// What somebody did to the map since it was written.
std::vector<std::string> changes(const KnownInterfaces& written, const KnownInterfaces& found) {
  std::set<std::string> trusted;
  std::set<std::string> changed;
  for (const auto& [ifindex, entry] : found) {
    const auto* ours = find(written, ifindex);
    if (ours && is_same(*ours, entry)) continue;
    const bool is_new_trust = is_trusted(entry) && !(ours && is_trusted(*ours));
    (is_new_trust ? trusted : changed).insert(name_of(ifindex, entry));
  }
  for (const auto& [ifindex, entry] : written)
    if (!found.contains(ifindex)) changed.insert(name_of(ifindex, entry));

  std::vector<std::string> told;
  if (!trusted.empty())
    told.push_back(
        fmt::format("the backstop's map of interfaces had been made to trust {}", list(trusted)));
  if (!changed.empty())
    told.push_back(
        fmt::format("the backstop's map of interfaces had been changed for {}", list(changed)));
  return told;
}

}  // namespace

Result<> InterfaceMap::ensure(std::uint32_t room) {
  if (map_) return {};
  bpf_map_create_opts options = {};
  options.sz = sizeof options;
  options.map_flags = BPF_F_NO_PREALLOC;
  map_ = Fd(bpf_map_create(BPF_MAP_TYPE_HASH, interfaces_pin, sizeof(std::uint32_t),
                           sizeof(moat_interface), room, &options));
  if (!map_) return bpf_failure("make the backstop's map of interfaces");
  return {};
}

KnownInterfaces InterfaceMap::read() const {
  KnownInterfaces found;
  std::uint32_t key = 0;
  const std::uint32_t* previous = nullptr;
  while (bpf_map_get_next_key(map_.get(), previous, &key) == 0) {
    moat_interface entry = {};
    if (bpf_map_lookup_elem(map_.get(), &key, &entry) == 0) found[key] = entry;
    previous = &key;
  }
  return found;
}

InterfaceMap::Told InterfaceMap::tell(const KnownInterfaces& interfaces) {
  const auto found = read();
  Told told{changes(written_, found), {}};
  for (const auto& [ifindex, entry] : found)
    if (!interfaces.contains(ifindex)) (void)bpf_map_delete_elem(map_.get(), &ifindex);

  written_.clear();
  std::set<std::string> refused;
  int error = 0;
  const auto write = [&](std::uint32_t ifindex, const moat_interface& entry) {
    const auto* there = find(found, ifindex);
    if ((there && is_same(*there, entry)) ||
        bpf_map_update_elem(map_.get(), &ifindex, &entry, BPF_ANY) == 0) {
      written_[ifindex] = entry;
    } else {
      error = errno;
      refused.insert(name_of(ifindex, entry));
    }
  };
  // Where there is not room for all, trust comes first: what lacks the rest is counted twice.
  for (const auto& [ifindex, entry] : interfaces)
    if (is_trusted(entry)) write(ifindex, entry);
  for (const auto& [ifindex, entry] : interfaces)
    if (!is_trusted(entry)) write(ifindex, entry);
  if (!refused.empty())
    told.problem = fmt::format(
        "the backstop could not be told of {}: {}; packets from there are judged, trusted or not",
        list(refused), errno_words(error));
  return told;
}

Result<> InterfaceMap::ensure_pin() { return pins_.ensure({{interfaces_pin, map_.get()}}); }

void InterfaceMap::remove() {
  pins_.remove(interfaces_pin);
  map_ = Fd();
  written_.clear();
}

}  // namespace moat
