// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/cgroup_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <memory>
#include <utility>

#include "backstop.skel.h"
#include "dataplane/host/cgroups.h"
#include "dataplane/pinned.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"
#include "dataplane/xdp/load_failure.h"
#include "dataplane/xdp/own_netns.h"

namespace moat {
namespace {

// What a kernel may refuse the program. Its own words about that change from version to version, so
// it is asked by loading, with the most first.
struct Helpers {
  bool netns_cookie;  // from Linux 6.15 on
  bool read_kernel;   // no under lockdown=confidentiality
};
constexpr std::array<Helpers, 4> helper_sets = {
    {{true, true}, {false, true}, {true, false}, {false, false}}};

using Skeleton = std::unique_ptr<moat_backstop_bpf, void (*)(moat_backstop_bpf*)>;

Result<Skeleton> open_program(const BackstopMaps& maps) {
  Skeleton skeleton(moat_backstop_bpf::open(), moat_backstop_bpf::destroy);
  if (!skeleton) return bpf_failure("open the backstop program");
  if (auto reused = reuse_maps(skeleton->obj, maps); !reused)
    return std::unexpected(reused.error());
  return skeleton;
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

}  // namespace

CgroupLink::CgroupLink(BpfPins pins)
    : pins_(std::move(pins)), link_(pins_.get(pin::backstop_link)) {
  std::uint32_t program = 0;
  if (!link_) return;
  was_taken_off_ = cgroup_of(link_.get(), &program) == 0;
  was_swapped_ = !was_taken_off_ && pins_.runs_pinned(pin::backstop, program) == false;
}

Result<> CgroupLink::load(const BackstopMaps& maps) {
  const auto netns = own_netns();
  if (!netns) return std::unexpected(netns.error());
  for (const auto& helpers : helper_sets) {
    const LibbpfLog log;
    const auto skeleton = open_program(maps);
    if (!skeleton) return std::unexpected(skeleton.error());
    (*skeleton)->rodata->own_netns_cookie = netns->cookie;
    (*skeleton)->rodata->has_netns_cookie_helper = helpers.netns_cookie;
    (*skeleton)->rodata->can_read_kernel = helpers.read_kernel;
    const int error = moat_backstop_bpf::load(skeleton->get());
    if (error == -EINVAL && &helpers != &helper_sets.back()) continue;
    if (error != 0) return load_failure("load the backstop program", error, log);
    program_ = Fd(::fcntl(bpf_program__fd((*skeleton)->progs.moat_backstop), F_DUPFD_CLOEXEC, 0));
    if (!program_) return bpf_failure("keep a program open");
    knows_names_ = helpers.read_kernel;
    break;
  }
  return {};
}

// One that is on the root already stays there, whether or not a folder shows the root.
Result<std::string> CgroupLink::attach(const std::string& cgroup, bool is_for_all) {
  const Fd folder(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat stat = {};
  if (!folder || ::fstat(folder.get(), &stat) != 0)
    return bpf_failure(fmt::format("open cgroup {}", cgroup));

  std::uint32_t program = 0;
  const std::uint64_t attached = link_ ? cgroup_of(link_.get(), &program) : 0;
  if (attached == stat.st_ino || (is_for_all && attached == root_cgroup)) {
    if (program == kernel_id(program_.get())) return {};
    pins_.announce(pin::backstop, program_.get());
    if (const int error = bpf_link_update(link_.get(), program_.get(), nullptr); error != 0)
      return bpf_failure("replace the backstop program", error);
    const bool is_mended = std::exchange(was_swapped_, false) || was_on_;
    return is_mended ? "the backstop ran another program than Moat's" : "";
  }
  // The new link is on before the one to another cgroup goes.
  const int fd = bpf_link_create(program_.get(), folder.get(), BPF_CGROUP_INET_INGRESS, nullptr);
  if (fd < 0)
    return bpf_failure(
        fmt::format("attach the backstop to cgroup {}", cgroup), fd,
        fd == -EPERM ? "a program on it or above it allows no other: see bpftool cgroup tree" : "");
  link_ = Fd(fd);
  // Another cgroup than the root may have gone with its service.
  const bool is_mended = (std::exchange(was_taken_off_, false) && is_for_all) || was_on_;
  return is_mended && attached == 0 ? "the backstop had been taken off its cgroup" : "";
}

Result<CgroupLink::Attached> CgroupLink::ensure(const BackstopMaps& maps,
                                                const std::string& cgroup) {
  auto done = ensure_on(maps, cgroup);
  was_on_ = done.has_value();
  return done;
}

Result<CgroupLink::Attached> CgroupLink::ensure_on(const BackstopMaps& maps,
                                                   const std::string& cgroup) {
  auto folder = cgroup.empty() ? find_cgroup2() : Result<std::string>(cgroup);
  if (!folder) return std::unexpected(folder.error());
  if (!program_)
    if (auto loaded = load(maps); !loaded) return std::unexpected(loaded.error());
  auto mended = attach(*folder, cgroup.empty());
  if (!mended) return std::unexpected(mended.error());
  Attached done{std::move(*folder), std::move(*mended), {}};
  std::uint32_t program = 0;
  if (cgroup.empty() && cgroup_of(link_.get(), &program) != root_cgroup)
    done.gap = fmt::format(
        "it judges for sockets in {} and below alone, which is not the root of all cgroups: moatd "
        "is in a cgroup namespace (run it in the host's, as with docker run --cgroupns=host, or "
        "set "
        "backstop-cgroup to the database's cgroup)",
        done.cgroup);
  return done;
}

Result<> CgroupLink::ensure_pins() {
  return pins_.ensure_run(pin::backstop, program_.get(), {{pin::backstop_link, link_.get()}});
}

void CgroupLink::remove() {
  pins_.remove(pin::backstop_link);
  pins_.remove(pin::backstop);
  link_ = Fd();
  program_ = Fd();
  was_on_ = false;
}

}  // namespace moat
