// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/own_netns.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>

#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

// Not in the headers of Debian 12's libc or libbpf.
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

constexpr __u32 netns_slot = 0;

}  // namespace

Result<Netns> own_netns() {
  const auto failed = [] { return bpf_failure("ask which network namespace this is"); };
  Netns netns;
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  socklen_t bytes = sizeof netns.cookie;
  if (!socket ||
      ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &netns.cookie, &bytes) != 0)
    return failed();
  struct stat status = {};
  if (::stat("/proc/thread-self/ns/net", &status) != 0) return failed();
  netns.inode = status.st_ino;
  return netns;
}

std::string describe(const Netns& netns) {
  const auto inode = fmt::format("net:[{}]", netns.inode);
  std::error_code error;
  for (fs::directory_iterator at("/run/netns", error), end; !error && at != end;
       at.increment(error)) {
    struct stat status = {};
    if (::stat(at->path().c_str(), &status) == 0 && status.st_ino == netns.inode)
      return fmt::format("{} ({})", at->path().filename().string(), inode);
  }
  return inode;
}

Result<Fd> make_netns_map(const Netns& netns) {
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "moat_netns", sizeof netns_slot, sizeof netns, 1,
                        nullptr));
  if (!map || bpf_map_update_elem(map.get(), &netns_slot, &netns, BPF_ANY) != 0 ||
      bpf_map_freeze(map.get()) != 0)
    return bpf_failure("note the network namespace");
  return map;
}

std::optional<Netns> read_netns_map(int fd) {
  Netns netns;
  if (map_value_size(fd) != sizeof netns || bpf_map_lookup_elem(fd, &netns_slot, &netns) != 0)
    return {};
  return netns;
}

}  // namespace moat
