// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/backstop_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <tuple>

#include "backstop.skel.h"
#include "dataplane/bpf_error.h"
#include "dataplane/bpf_map.h"

namespace moat {
namespace {

constexpr auto link_pin = "links/backstop";
constexpr auto program_pin = "backstop";
constexpr auto interfaces_pin = "interfaces";

// Not in the headers of Debian 12's libc or libbpf.
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

Result<std::uint64_t> own_netns_cookie() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t bytes = sizeof cookie;
  if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &bytes) != 0)
    return bpf_failure("ask which network namespace this is");
  return cookie;
}

bool has_netns_cookie_helper() {
  const LibbpfLog mute;
  return libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_get_netns_cookie, nullptr) == 1;
}

Result<Fd> keep(int fd) {
  Fd kept(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!kept) return bpf_failure("keep a map or program open");
  return kept;
}

// The cgroup a link is attached to, by the number of its folder; 0: none any more.
std::uint64_t cgroup_of(int link, std::uint32_t* program) {
  bpf_link_info info = {};
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(link, &info, &bytes) != 0 || info.type != BPF_LINK_TYPE_CGROUP)
    return 0;
  *program = info.prog_id;
  return info.cgroup.cgroup_id;
}

// mountinfo writes a space as \040, and so on.
std::string unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

}  // namespace

Result<std::string> find_cgroup2() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string number, parent, device, root, folder;
    fields >> number >> parent >> device >> root >> folder;
    if (root == "/") return unescape(folder);  // else a part of it is mounted there
  }
  return std::unexpected(Error{"no cgroup2 filesystem is mounted",
                               "mount it: mount -t cgroup2 none /sys/fs/cgroup/unified"});
}

BackstopLink::BackstopLink(BpfPins pins)
    : pins_(std::move(pins)), input_(pins_), link_(pins_.get(link_pin)) {}

Result<> BackstopLink::load(const std::vector<NamedMap>& maps) {
  const auto cookie = own_netns_cookie();
  if (!cookie) return std::unexpected(cookie.error());
  const bool has_helper = has_netns_cookie_helper();

  const LibbpfLog log;
  const std::unique_ptr<moat_backstop_bpf, void (*)(moat_backstop_bpf*)> skeleton(
      moat_backstop_bpf::open(), moat_backstop_bpf::destroy);
  if (!skeleton) return bpf_failure("open the backstop program");
  skeleton->rodata->own_netns_cookie = *cookie;
  skeleton->rodata->has_netns_cookie_helper = has_helper;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    if (const int fd = find_map(maps, bpf_map__name(map)); fd >= 0)
      if (const int error = bpf_map__reuse_fd(map, fd); error != 0)
        return bpf_failure(fmt::format("use map {}", bpf_map__name(map)), error);
  }
  if (const int error = moat_backstop_bpf::load(skeleton.get()); error != 0) {
    auto failure = bpf_failure("load the backstop program", error);
    failure.error().message += ": " + log.last_lines();
    return failure;
  }
  auto program = keep(bpf_program__fd(skeleton->progs.moat_backstop));
  if (!program) return std::unexpected(program.error());
  auto interfaces = keep(bpf_map__fd(skeleton->maps.interfaces));
  if (!interfaces) return std::unexpected(interfaces.error());
  program_ = std::move(*program);
  interfaces_ = std::move(*interfaces);
  return {};
}

Result<std::string> BackstopLink::attach(const std::string& cgroup) {
  const Fd folder(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat stat = {};
  if (!folder || ::fstat(folder.get(), &stat) != 0)
    return bpf_failure(fmt::format("open cgroup {}", cgroup));

  std::uint32_t program = 0;
  const std::uint64_t attached = link_ ? cgroup_of(link_.get(), &program) : 0;
  if (attached == stat.st_ino) {
    if (program == kernel_id(program_.get())) return {};
    if (const int error = bpf_link_update(link_.get(), program_.get(), nullptr); error != 0)
      return bpf_failure("replace the backstop program", error);
    return was_on_ ? "the backstop ran another program than Moat's" : "";
  }
  // The new link is on before the one to another cgroup goes.
  const int fd = bpf_link_create(program_.get(), folder.get(), BPF_CGROUP_INET_INGRESS, nullptr);
  if (fd < 0)
    return bpf_failure(
        fmt::format("attach the backstop to cgroup {}", cgroup), fd,
        fd == -EPERM ? "a program on it or above it allows no other: see bpftool cgroup tree" : "");
  link_ = Fd(fd);
  return was_on_ && attached == 0 ? "the backstop had been taken off its cgroup" : "";
}

Result<> BackstopLink::tell(const InterfaceFlags& interfaces) {
  for (const auto& [ifindex, flags] : interfaces)
    if (bpf_map_update_elem(interfaces_.get(), &ifindex, &flags, BPF_ANY) != 0)
      return bpf_failure("tell the backstop of an interface");
  std::vector<std::uint32_t> gone;
  std::uint32_t key = 0;
  const std::uint32_t* previous = nullptr;
  while (bpf_map_get_next_key(interfaces_.get(), previous, &key) == 0) {
    if (!interfaces.contains(key)) gone.push_back(key);
    previous = &key;
  }
  for (const auto ifindex : gone) (void)bpf_map_delete_elem(interfaces_.get(), &ifindex);
  return {};
}

void BackstopLink::ensure_input(const std::vector<NamedMap>& maps, bool is_wanted,
                                BackstopStatus& status) {
  if (!is_wanted) {
    input_.remove();
    status.not_before = "backstop-cgroup is set, and before a socket there is no cgroup";
    return;
  }
  const auto done = input_.ensure(maps, interfaces_.get());
  status.before_sockets = done.has_value();
  if (!done) {
    status.not_before = fmt::format("{} ({})", done.error().message, done.error().remedy);
  } else if (*done) {
    if (!status.mended.empty()) status.mended += "; ";
    status.mended += "the backstop had been taken off its place before sockets";
  }
}

BackstopStatus BackstopLink::ensure(const std::vector<NamedMap>& maps, const std::string& cgroup,
                                    const InterfaceFlags& interfaces) {
  const auto off = [this](const Error& error) {
    const auto reason =
        error.remedy.empty() ? error.message : fmt::format("{} ({})", error.message, error.remedy);
    was_on_ = false;
    return BackstopStatus{.reason = reason};
  };
  std::string folder = cgroup;
  if (folder.empty()) {
    auto found = find_cgroup2();
    if (!found) return off(found.error());
    folder = std::move(*found);
  }
  if (!program_)
    if (auto loaded = load(maps); !loaded) return off(loaded.error());
  // First what is exempt, then the program: nobody local is cut off in between.
  if (auto told = tell(interfaces); !told) return off(told.error());
  auto attached = attach(folder);
  if (!attached) return off(attached.error());
  was_on_ = true;
  BackstopStatus status{.on = true, .cgroup = folder, .mended = std::move(*attached)};
  ensure_input(maps, cgroup.empty(), status);
  std::ignore = ensure_pins();  // without a filesystem to pin on it is on all the same
  return status;
}

Result<bool> BackstopLink::ensure_pins() {
  auto mended = pins_.ensure({{interfaces_pin, interfaces_.get()},
                              {program_pin, program_.get()},
                              {link_pin, link_.get()}});
  if (!mended) return mended;
  auto with_input = input_.ensure_pins();
  if (!with_input) return with_input;
  return *mended || *with_input;
}

void BackstopLink::remove() {
  input_.remove();
  pins_.remove(link_pin);
  pins_.remove(program_pin);
  pins_.remove(interfaces_pin);
  link_ = Fd();
  program_ = Fd();
  interfaces_ = Fd();
  was_on_ = false;
}

}  // namespace moat
