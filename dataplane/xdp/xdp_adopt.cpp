// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/xdp_adopt.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "dataplane/pinned.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"

namespace moat {
namespace {

constexpr std::array<const char*, MOAT_TIERS> tier_maps = {"policy_small", "policy_medium",
                                                           "policy_large"};

std::unexpected<Error> otherwise(std::string what) {
  return std::unexpected(Error{std::move(what), {}});
}

// Whether a new map does as well: nothing that is counted is in it, and what is enforced is written
// to it again.
bool is_replaceable(const std::string& map) {
  return map.starts_with("drop") || map == "policy_closed";
}

Result<std::vector<NamedMap>> pinned_maps(const BpfPins& pins, const Program& program,
                                          const XdpObject& object) {
  std::vector<NamedMap> maps;
  for (const auto& name : object.map_names()) {
    Fd fd = pins.get(pin_name(name));
    // A later version may have more maps than the one that pinned these.
    if (!fd) continue;
    const std::uint32_t id = kernel_id(fd.get());
    if (std::find(program.maps.begin(), program.maps.end(), id) == program.maps.end()) {
      if (is_replaceable(name)) continue;
      return otherwise(fmt::format("the pinned program does not use the pinned map {}", name));
    }
    maps.push_back({name, std::move(fd)});
  }
  return maps;
}

// An earlier version may have had fewer maps than this one; this one had not.
std::vector<std::string> missing_pins(const BpfPins& pins, const Adopted& adopted,
                                      const XdpObject& object) {
  std::vector<std::string> missing;
  const Fd version = pins.get("version");
  const Version ours{XdpObject::digest(), adopted.program.tag};
  if (!version || read_version_map(version.get()) != ours) return missing;
  for (const auto& name : object.map_names())
    if (find_map(adopted.maps, name) < 0) missing.push_back(pin_name(name));
  return missing;
}

// By the names of their pins. Without each of them nobody can tell which table is live.
std::vector<std::string> missing_tiers(const std::vector<NamedMap>& maps) {
  std::vector<std::string> missing;
  for (const auto* name : tier_maps)
    if (find_map(maps, name) < 0) missing.push_back(pin_name(name));
  return missing;
}

// The pinned note of a version, if the program is what our object would be loaded as.
Fd matching_version(const BpfPins& pins, const Adopted& adopted, const XdpObject& object) {
  Fd version = pins.get("version");
  if (!version || adopted.maps.size() != object.map_names().size()) return {};
  const Version ours{XdpObject::digest(), adopted.program.tag};
  if (read_version_map(version.get()) != ours) return {};
  return version;
}

Result<LiveTable> find_live(const BpfPins& pins, const Tiers& tiers) {
  const auto ids = tiers.occupants();
  if (!ids) return std::unexpected(ids.error());
  const auto tier = Tiers::live_of(*ids);
  if (!tier) return otherwise(no_live_table);
  LiveTable live{find_table(pins, (*ids)[*tier]), (*ids)[*tier], 0};
  if (!live.map) return otherwise("the live table is not pinned");
  if (map_value_size(live.map.get()) != tier_bytes[*tier])
    return otherwise("the live table has a size of another version");
  const auto table = read_table(live.map.get());
  if (!table) return std::unexpected(table.error());
  live.generation = table->header().generation;
  return live;
}

}  // namespace

Tiers tiers_of(const std::vector<NamedMap>& maps) {
  TierFds fds = {};
  for (std::size_t tier = 0; tier < fds.size(); tier++) fds[tier] = find_map(maps, tier_maps[tier]);
  return Tiers(fds);
}

Fd find_table(const BpfPins& pins, std::uint32_t id) {
  for (const auto& name : pins.list()) {
    if (!name.starts_with(pin::table)) continue;
    if (Fd fd = pins.get(name); fd && kernel_id(fd.get()) == id) return fd;
  }
  return {};
}

Result<> keep_table_pin(const BpfPins& pins, const LiveTable& live) {
  if (!live.map) return {};
  const std::string wanted = fmt::format("{}{}", pin::table, live.generation);
  if (auto kept = pins.ensure({{wanted, live.map.get()}}); !kept) return kept;
  for (const auto& name : pins.list())
    if (name.starts_with(pin::table) && name != wanted) pins.remove(name);
  return {};
}

// They were in `links` once, where an interface may have the same name: a link of that kind is an
// interface's.
void rename_earlier_pins(const BpfPins& pins) {
  struct Renamed {
    const char *from, *to;
  };
  for (const auto& [from, to] : {Renamed{"links/backstop", pin::backstop_link},
                                 {"links/input-ipv4", pin::input_link_ipv4},
                                 {"links/input-ipv6", pin::input_link_ipv6}}) {
    const Fd link = pins.get(from);
    bpf_link_info info = {};
    __u32 bytes = sizeof info;
    if (!link || bpf_obj_get_info_by_fd(link.get(), &info, &bytes) != 0) continue;
    if (info.type != BPF_LINK_TYPE_XDP) pins.rename(from, to);
  }
}

Result<Adopted> adopt(const BpfPins& pins, XdpObject& object) {
  Adopted adopted;
  Fd fd = pins.get(pin::program);
  if (!fd) return otherwise("no program is pinned");
  auto program = describe_program(std::move(fd));
  if (!program) return std::unexpected(program.error());
  adopted.program = std::move(*program);

  auto maps = pinned_maps(pins, adopted.program, object);
  if (!maps) return std::unexpected(maps.error());
  adopted.maps = std::move(*maps);
  adopted.missing = missing_pins(pins, adopted, object);

  if (const auto gone = missing_tiers(adopted.maps); !gone.empty())
    return otherwise(fmt::format("the earlier table is out of reach, as pins are missing ({})",
                                 fmt::join(gone, ", ")));
  auto table = find_live(pins, tiers_of(adopted.maps));
  if (!table) return std::unexpected(table.error());
  adopted.table = std::move(*table);

  for (auto map = adopted.maps.begin(); map != adopted.maps.end();) {
    auto reused = object.reuse(map->name, map->fd.get());
    if (!reused && !is_replaceable(map->name)) return std::unexpected(reused.error());
    map = reused ? map + 1 : adopted.maps.erase(map);
  }
  adopted.version = matching_version(pins, adopted, object);
  return adopted;
}

}  // namespace moat
