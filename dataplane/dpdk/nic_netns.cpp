// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/nic_netns.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace moat {
namespace {

constexpr const char* folder = "/run/netns";
constexpr const char* own = "/proc/thread-self/ns/net";
constexpr long nsfs_magic = 0x6e736673;

std::unexpected<Error> not_made(const std::string& what) {
  return failed(what, errno, "run moat-dpdk as root, without a mount namespace of its own");
}

Fd open_namespace(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct statfs status = {};
  if (file && (::fstatfs(file.get(), &status) != 0 || status.f_type != nsfs_magic)) return {};
  return file;
}

// As iproute2 does: mounts of namespaces are seen from every mount namespace that shares the
// folder.
Result<> share_folder(const std::string& what) {
  if (::mkdir(folder, 0755) != 0 && errno != EEXIST) return not_made(what);
  if (::mount("", folder, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
  if (errno != EINVAL || ::mount(folder, folder, "none", MS_BIND | MS_REC, nullptr) != 0 ||
      ::mount("", folder, "none", MS_SHARED | MS_REC, nullptr) != 0)
    return not_made(what);
  return {};
}

// In a thread of its own, which ends with it.
int mount_new_namespace(const std::string& path) {
  int cause = 0;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 || ::mount(own, path.c_str(), "none", MS_BIND, nullptr) != 0)
      cause = errno;
  }).join();
  return cause;
}

Result<> make_namespace(const std::string& path, const std::string& what) {
  if (auto shared = share_folder(what); !shared) return shared;
  if (const Fd place(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0)); !place)
    return not_made(what);
  errno = mount_new_namespace(path);
  return errno == 0 ? Result<>() : not_made(what);
}

}  // namespace

Result<Netns> Netns::current() {
  Fd file = open_namespace(own);
  if (!file) return not_made("look at this network namespace");
  return Netns(std::move(file));
}

Result<Netns> Netns::make(const std::string& name) {
  const auto what = "make network namespace " + name;
  if (name.empty() || name.contains('/') || name.starts_with('.'))
    return std::unexpected(Error{"'" + name + "' is no name for a network namespace", {}});
  const std::string path = fmt::format("{}/{}", folder, name);
  Fd file = open_namespace(path);
  if (!file) {
    if (auto made = make_namespace(path, what); !made) return std::unexpected(made.error());
    file = open_namespace(path);
  }
  if (!file) return not_made(what);
  return Netns(std::move(file));
}

Result<> Netns::close_to_sockets(const std::string& name) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return not_made("look for addresses in " + name);
  std::string found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
    if (entry->ifa_addr != nullptr &&
        (entry->ifa_addr->sa_family == AF_INET || entry->ifa_addr->sa_family == AF_INET6))
      found = entry->ifa_name;
  ::freeifaddrs(list);
  if (!found.empty())
    return std::unexpected(
        Error{fmt::format("network namespace {} has an address, on {}: what the kernel gets of "
                          "frames there could reach a socket",
                          name, found),
              "name another one with --netns; it is made"});
  // With IPv6 the kernel would give the NIC an address, and speak by it of its own accord.
  for (const char* setting : {"/proc/sys/net/ipv6/conf/all/disable_ipv6",
                              "/proc/sys/net/ipv6/conf/default/disable_ipv6"}) {
    const Fd file(::open(setting, O_WRONLY | O_CLOEXEC));  // a kernel without IPv6 has none
    if (file && ::write(file.get(), "1", 1) != 1) return not_made("switch IPv6 off in " + name);
  }
  return {};
}

Result<Visit> Visit::begin(const Netns& there, const Netns& home) {
  if (::setns(there.fd(), CLONE_NEWNET) != 0) return not_made("enter the NIC's network namespace");
  return Visit(home.fd());
}

Visit::~Visit() {
  if (home_ < 0 || ::setns(home_, CLONE_NEWNET) == 0) return;
  std::perror("moat-dpdk: leave the NIC's network namespace");
  std::abort();
}

}  // namespace moat
