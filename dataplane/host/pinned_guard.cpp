// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/pinned_guard.h"

#include <dirent.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>

#include "bpf/abi.h"
#include "dataplane/fd.h"

namespace moat {
namespace {

long call(bpf_cmd command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

// An attribute that is a pointer.
std::uint64_t pointer(const void* to) { return reinterpret_cast<std::uintptr_t>(to); }

Fd open_pin(const std::string& path) {
  bpf_attr attributes = {};
  attributes.pathname = pointer(path.c_str());
  return Fd(static_cast<int>(call(BPF_OBJ_GET, attributes)));
}

template <typename Info>
std::optional<Info> info_of(const Fd& fd) {
  Info info = {};
  bpf_attr attributes = {};
  attributes.info.bpf_fd = static_cast<__u32>(fd.get());
  attributes.info.info_len = sizeof info;
  attributes.info.info = pointer(&info);
  if (!fd || call(BPF_OBJ_GET_INFO_BY_FD, attributes) != 0) return std::nullopt;
  return info;
}

// The id of the table in an outer map's one slot; 0: it is empty.
std::uint32_t occupant(const Fd& outer) {
  const std::uint32_t slot = 0;
  std::uint32_t id = 0;
  bpf_attr attributes = {};
  attributes.map_fd = static_cast<__u32>(outer.get());
  attributes.key = pointer(&slot);
  attributes.value = pointer(&id);
  return outer && call(BPF_MAP_LOOKUP_ELEM, attributes) == 0 ? id : 0;
}

// Which network namespace the pins are of, see dataplane/xdp/own_netns.h.
bool is_of_other_netns(const std::string& folder) {
  struct {
    std::uint64_t cookie;
    std::uint64_t inode;
  } netns = {};
  const auto map = open_pin(folder + "/netns");
  const auto info = info_of<bpf_map_info>(map);
  if (!info || info->value_size != sizeof netns) return false;
  const std::uint32_t slot = 0;
  bpf_attr attributes = {};
  attributes.map_fd = static_cast<__u32>(map.get());
  attributes.key = pointer(&slot);
  attributes.value = pointer(&netns);
  struct stat here{};
  return call(BPF_MAP_LOOKUP_ELEM, attributes) == 0 && ::stat("/proc/self/ns/net", &here) == 0 &&
         here.st_ino != netns.inode;
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

// The one that is looked at first is live, see dataplane/xdp/tiers.h.
void find_table(const std::string& folder, const std::vector<std::string>& pins,
                PinnedGuard& guard) {
  std::uint32_t live = 0;
  for (const auto* tier : {"/policy-small", "/policy-medium", "/policy-large"})
    if (live == 0) live = occupant(open_pin(folder + tier));
  for (const auto& name : pins) {
    if (live == 0 || !name.starts_with("table-")) continue;
    const auto table = open_pin(folder + "/" + name);
    const auto info = info_of<bpf_map_info>(table);
    if (info && info->id == live) read_header(table, guard);
  }
  guard.is_closed = live == 0 && std::ranges::find(pins, "policy-closed") != pins.end();
}

void find_interfaces(const std::string& folder, const std::vector<std::string>& pins,
                     PinnedGuard& guard) {
  for (auto name : pins) {
    const auto info = info_of<bpf_link_info>(open_pin(folder + "/" + name));
    if (!info || info->type != BPF_LINK_TYPE_XDP) continue;
    std::array<char, IF_NAMESIZE> now{};
    std::ranges::replace(name, ':', '.');  // of an interface, see bpf_pins.h
    if (info->xdp.ifindex != 0 && guard.is_elsewhere) {
      guard.interfaces.push_back(std::move(name));  // numbers mean other interfaces here
    } else if (info->xdp.ifindex != 0 && if_indextoname(info->xdp.ifindex, now.data()) != nullptr) {
      guard.interfaces.emplace_back(now.data());
    } else {
      guard.gone.push_back(std::move(name));
    }
  }
}

}  // namespace

Result<PinnedGuard> look_at_pins(const std::string& folder) {
  const auto pins = list(folder);
  if (!pins) return std::unexpected(pins.error());
  const auto links = list(folder + "/links");
  if (!links) return std::unexpected(links.error());
  PinnedGuard guard;
  guard.is_elsewhere = is_of_other_netns(folder);
  find_table(folder, *pins, guard);
  find_interfaces(folder + "/links", *links, guard);
  const auto is_link = [&](const char* name) {
    return info_of<bpf_link_info>(open_pin(folder + name)).has_value();
  };
  guard.at_sockets = is_link("/backstop-link");
  guard.before_sockets = is_link("/input-link-ipv4");
  return guard;
}

}  // namespace moat
