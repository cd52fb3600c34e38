// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/pinned_guard.h"

#include <dirent.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>

#include "bpf/abi.h"
#include "dataplane/fd.h"
#include "dataplane/host/stacked_links.h"
#include "dataplane/pinned.h"

namespace moat {
namespace {

long call(bpf_cmd command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

// An attribute that is a pointer.
std::uint64_t pointer(const void* to) { return reinterpret_cast<std::uintptr_t>(to); }

// Pins of a folder. One that is there and cannot be read is remembered: whoever is refused it, for
// want of a capability or of descriptors, knows nothing of what stands.
class Pins {
 public:
  explicit Pins(const std::string& folder) : folder_(folder) {}

  Fd open(const std::string& name) {
    const auto path = folder_ + "/" + name;
    bpf_attr attributes = {};
    attributes.pathname = pointer(path.c_str());
    Fd fd(static_cast<int>(call(BPF_OBJ_GET, attributes)));
    if (!fd) note(name);
    return fd;
  }

  // `info` has what is asked of more than the struct itself.
  template <typename Info>
  std::optional<Info> info(const std::string& name, Info info = {}) {
    const auto fd = open(name);
    bpf_attr attributes = {};
    attributes.info.bpf_fd = static_cast<__u32>(fd.get());
    attributes.info.info_len = sizeof info;
    attributes.info.info = pointer(&info);
    if (!fd) return std::nullopt;
    if (call(BPF_OBJ_GET_INFO_BY_FD, attributes) == 0) return info;
    note(name);
    return std::nullopt;
  }

  // What the one slot of a map has; empty: there is nothing in it, or no such map.
  std::vector<std::byte> slot(const std::string& name) {
    const auto map = info<bpf_map_info>(name);
    if (!map) return {};
    const auto fd = open(name);
    const std::uint32_t key = 0;
    std::vector<std::byte> value(map->value_size);
    bpf_attr attributes = {};
    attributes.map_fd = static_cast<__u32>(fd.get());
    attributes.key = pointer(&key);
    attributes.value = pointer(value.data());
    if (fd && call(BPF_MAP_LOOKUP_ELEM, attributes) == 0) return value;
    note(name);
    return {};
  }

  // The same as a value that is all of it, or its beginning.
  template <typename Value>
  std::optional<Value> value(const std::string& name) {
    const auto bytes = slot(name);
    Value value = {};
    if (bytes.size() < sizeof value) return std::nullopt;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  void note(const std::string& name) {
    if (errno == ENOENT || error_) return;
    error_ = Error{"read the pin " + folder_ + "/" + name + ": " + errno_words(errno),
                   errno == EPERM || errno == EACCES ? "do this as root, with CAP_BPF" : ""};
  }

  const std::string& folder_;
  std::optional<Error> error_;
};

bool is_of_other_netns(Pins& pins) {
  const auto info = pins.info<bpf_map_info>(pin::netns);
  if (!info || info->value_size != sizeof(Netns)) return false;
  const auto netns = pins.value<Netns>(pin::netns);
  struct stat here{};
  return netns && ::stat("/proc/self/ns/net", &here) == 0 && here.st_ino != netns->inode;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

Result<std::vector<std::string>> list(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
  std::vector<std::string> names;
  if (!folder && errno == ENOENT) return names;
  if (!folder) {
    return std::unexpected(Error{"open " + path + ": " + errno_words(errno),
                                 errno == EACCES ? "do this as root" : ""});
  }
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

// The bytes that come before a table's pages are at its beginning, and a page holds what is read
// here of them.
void read_header(const Fd& table, PinnedGuard& guard) {
  static_assert(offsetof(moat_table, db) + sizeof(moat_table::db) <= 4096);
  const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* const memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, table.get(), 0);
  if (memory == MAP_FAILED) return;
  const auto& header = *static_cast<const moat_table*>(memory);
  if (header.magic == MOAT_MAGIC && header.abi == MOAT_ABI) {
    guard.generation = header.generation;
    guard.databases = header.databases;
    guard.prefixes = header.prefixes;
    for (std::uint32_t i = 1; i <= header.databases && i < MOAT_DB_NUMBERS; ++i)
      guard.monitored += header.db[i].monitor != 0;
  }
  ::munmap(memory, bytes);
}

// The ids of the maps that Moat's program reads, or the program that is about to take its place;
// nothing: it is not pinned.
std::optional<std::vector<std::uint32_t>> maps_in_use(Pins& pins) {
  std::optional<std::vector<std::uint32_t>> in_use;
  for (const auto& name : {std::string(pin::program), std::string(pin::program) + pin::next}) {
    std::array<std::uint32_t, 64> ids{};
    bpf_prog_info wanted = {};
    wanted.nr_map_ids = ids.size();
    wanted.map_ids = pointer(ids.data());
    const auto program = pins.info(name, wanted);
    if (!program) continue;
    if (!in_use) in_use.emplace();
    in_use->insert(in_use->end(), ids.begin(),
                   ids.begin() + std::min<std::size_t>(program->nr_map_ids, ids.size()));
  }
  return in_use;
}

// Why the pin of a map does not tell what the program reads; empty: it does.
std::string why_not(Pins& pins, const std::string& name,
                    const std::optional<std::vector<std::uint32_t>>& in_use) {
  const auto info = pins.info<bpf_map_info>(name);
  if (!info) return "the pin " + name + " is gone";
  auto map = name;
  std::ranges::replace(map, '-', '_');
  const bool is_read = !in_use || std::ranges::find(*in_use, info->id) != in_use->end();
  if (!is_read || static_cast<const char*>(info->name) != map)
    return "the pin " + name + " is of another map";
  return {};
}

// The one that is looked at first is live, see dataplane/xdp/tiers.h.
void find_table(Pins& pins, const std::vector<std::string>& names, PinnedGuard& guard) {
  guard.has_pins = std::ranges::any_of(names, [](const auto& name) { return name != pin::links; });
  if (!guard.has_pins) return;
  const auto in_use = maps_in_use(pins);
  std::uint32_t live = 0;  // the table's id
  for (const auto* tier : pin::policies) {
    guard.doubt = why_not(pins, tier, in_use);
    if (!guard.doubt.empty()) return;
    live = pins.value<std::uint32_t>(tier).value_or(0);
    if (live != 0) break;
  }
  guard.has_table = live != 0;
  if (live == 0) {
    guard.doubt = why_not(pins, pin::closed, in_use);
    const auto closed = pins.value<std::uint32_t>(pin::closed);
    static_assert(offsetof(moat_table, magic) == 0 && sizeof(moat_table::magic) == sizeof *closed);
    guard.is_closed = guard.doubt.empty() && closed == MOAT_MAGIC;
    return;
  }
  for (const auto& name : names) {
    if (!name.starts_with(pin::table)) continue;
    const auto info = pins.info<bpf_map_info>(name);
    if (info && info->id == live) read_header(pins.open(name), guard);
  }
}

// `program`: the pin of the program that it should run. A moatd that was killed as it replaced its
// predecessor's has left the new one pinned beside that, see dataplane/xdp/bpf_pins.h.
Runs what_runs(Pins& pins, const bpf_link_info& link, const std::string& program) {
  const auto ours = pins.info<bpf_prog_info>(program);
  if (!ours) return Runs::unknown;
  if (ours->id == link.prog_id) return Runs::moats;
  const auto next = pins.info<bpf_prog_info>(program + pin::next);
  return next && next->id == link.prog_id ? Runs::moats : Runs::another;
}

struct XdpLink {
  std::string name;  // of its pin: that of its interface when it was last pinned
  bpf_link_info info;
};

std::vector<XdpLink> xdp_links(Pins& pins, const std::vector<std::string>& names) {
  std::vector<XdpLink> links;
  for (auto name : names) {
    const auto info = pins.info<bpf_link_info>(std::string(pin::links) + "/" + name);
    if (!info || info->type != BPF_LINK_TYPE_XDP) continue;
    std::ranges::replace(name, ':', '.');  // of an interface, see bpf_pins.h
    links.push_back({std::move(name), *info});
  }
  return links;
}

// The interface of this network namespace that the link is on; null: it is on none. The number in
// it is of the namespace that the interface is in by now, and may be another interface's here.
const LinkPlace* find_place(const XdpLink& link, const std::vector<XdpLink>& links,
                            const std::vector<LinkPlace>& here) {
  const auto place = std::ranges::find(here, link.info.xdp.ifindex, &LinkPlace::ifindex);
  if (place == here.end()) return nullptr;
  const auto& programs = place->xdp_programs;
  if (std::ranges::find(programs, link.info.prog_id) == programs.end()) return nullptr;
  const bool is_anothers = std::ranges::any_of(links, [&](const XdpLink& other) {
    return other.info.xdp.ifindex == place->ifindex && other.name == place->name;
  });
  return is_anothers && link.name != place->name ? nullptr : &*place;
}

void find_interfaces(Pins& pins, const std::vector<XdpLink>& links,
                     const std::vector<LinkPlace>& here, PinnedGuard& guard) {
  for (const auto& link : links) {
    // Of interfaces in another namespace the pin is all that is known.
    const auto* place = guard.is_elsewhere ? nullptr : find_place(link, links, here);
    if (link.info.xdp.ifindex == 0 || (place == nullptr && !guard.is_elsewhere)) {
      guard.gone.push_back(link.name);
      continue;
    }
    const auto runs = what_runs(pins, link.info, pin::program);
    auto& found = runs == Runs::moats     ? guard.interfaces
                  : runs == Runs::another ? guard.foreign
                                          : guard.unknown;
    found.push_back(place != nullptr ? place->name : link.name);
  }
}

// By a link that no pin tells of: a moatd that runs holds it.
void find_unpinned(Pins& pins, const std::vector<LinkPlace>& here, PinnedGuard& guard) {
  const auto program = pins.info<bpf_prog_info>(pin::program);
  if (!program || guard.is_elsewhere) return;
  for (const auto& link : here) {
    const auto& programs = link.xdp_programs;
    if (std::ranges::find(programs, program->id) == programs.end()) continue;
    if (std::ranges::find(guard.interfaces, link.name) == guard.interfaces.end())
      guard.interfaces.push_back(link.name);
  }
}

Runs find_backstop(Pins& pins) {
  const auto info = pins.info<bpf_link_info>(pin::backstop_link);
  if (!info || info->type != BPF_LINK_TYPE_CGROUP || info->cgroup.cgroup_id == 0)
    return Runs::nothing;
  return what_runs(pins, *info, pin::backstop);
}

Runs find_before_sockets(Pins& pins) {
  auto worst = Runs::moats;
  for (const auto* link : {pin::input_link_ipv4, pin::input_link_ipv6}) {
    const auto info = pins.info<bpf_link_info>(link);
    const bool is_there = info && info->type == netfilter_link_type;
    worst = std::min(worst, is_there ? what_runs(pins, *info, pin::input) : Runs::nothing);
  }
  return worst;
}

}  // namespace

Result<PinnedGuard> look_at_pins(const std::string& folder) {
  const auto names = list(folder);
  if (!names) return std::unexpected(names.error());
  const auto links = list(folder + "/" + pin::links);
  if (!links) return std::unexpected(links.error());
  const auto here = list_links();
  if (!here) return std::unexpected(here.error());
  Pins pins(folder);
  PinnedGuard guard;
  guard.is_elsewhere = is_of_other_netns(pins);
  find_table(pins, *names, guard);
  find_interfaces(pins, xdp_links(pins, *links), *here, guard);
  find_unpinned(pins, *here, guard);
  guard.at_sockets = find_backstop(pins);
  guard.before_sockets = find_before_sockets(pins);
  if (pins.error()) return std::unexpected(*pins.error());
  return guard;
}

}  // namespace moat
