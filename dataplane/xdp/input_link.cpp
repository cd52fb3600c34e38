// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/input_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <memory>
#include <optional>
#include <utility>

#include "dataplane/pinned.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"
#include "dataplane/xdp/load_failure.h"
#include "input.skel.h"

namespace moat {
namespace {

constexpr KernelNeed input_need = {6, 4, "NETFILTER_BPF_LINK"};

// Not in the headers of Debian 12's libc or libbpf; from Linux 6.4 on they are the kernel's.
constexpr auto netfilter_program = std::bit_cast<bpf_prog_type>(32u);
constexpr auto netfilter_attach = std::bit_cast<bpf_attach_type>(45u);
constexpr std::uint32_t family_ipv4 = 2, family_ipv6 = 10;  // NFPROTO_*
constexpr std::uint32_t hook_local_in = 1;                  // NF_INET_LOCAL_IN
struct NetfilterHook {
  std::uint32_t family;
  std::uint32_t hook;
  std::int32_t priority;
  std::uint32_t flags;
};
struct CreateLink {
  std::uint32_t program;
  std::uint32_t target;
  std::uint32_t attach_type;
  std::uint32_t flags;
  NetfilterHook hook;
};
struct LinkInfo {
  std::uint32_t type;
  std::uint32_t id;
  std::uint32_t program;
  std::uint32_t padding;
  NetfilterHook hook;
};

// After raw tables (-300), so that an operator's own come first, and before connection tracking's
// helpers, mangle and filter: what rejects there would answer.
constexpr std::array<std::int32_t, 2> places = {-271, -272};

Fd create_link(int program, std::uint32_t family, std::int32_t place) {
  CreateLink wanted = {};
  wanted.program = static_cast<std::uint32_t>(program);
  wanted.attach_type = netfilter_attach;
  wanted.hook = {family, hook_local_in, place, 0};
  return Fd(static_cast<int>(::syscall(SYS_bpf, BPF_LINK_CREATE, &wanted, sizeof wanted)));
}

// Nothing where it is no such link.
std::optional<LinkInfo> info_of(const Fd& link) {
  // The kernel may know more of a link than we do.
  union {
    LinkInfo info;
    bpf_link_info room;
  } known = {};
  __u32 bytes = sizeof known;
  if (!link || bpf_obj_get_info_by_fd(link.get(), &known, &bytes) != 0) return {};
  if (known.info.type != netfilter_link_type) return {};
  return known.info;
}

}  // namespace

InputLink::InputLink(BpfPins pins)
    : pins_(std::move(pins)),
      families_{{{family_ipv4, pin::input_link_ipv4, pins_.get(pin::input_link_ipv4)},
                 {family_ipv6, pin::input_link_ipv6, pins_.get(pin::input_link_ipv6)}}} {
  for (const auto& family : families_)
    if (const auto was = info_of(family.link))
      was_swapped_ |= pins_.runs_pinned(pin::input, was->program) == false;
}

// Asked with a program that accepts all: what is refused then is the kind. Without the capability
// nothing is known, and whatever needs it says so.
bool InputLink::has_place() {
  const std::array<bpf_insn, 2> code = {
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  bpf_prog_load_opts options = {};
  options.sz = sizeof options;
  options.expected_attach_type = netfilter_attach;
  const Fd program(
      bpf_prog_load(netfilter_program, "moat_place", "GPL", code.data(), code.size(), &options));
  return program || errno != EINVAL;
}

Result<> InputLink::load(const BackstopMaps& maps) {
  if (!has_place())
    return std::unexpected(Error{"this kernel has no place for it",
                                 load_remedy(LoadFacts::this_host(EINVAL, false), input_need)});
  const LibbpfLog log;
  const std::unique_ptr<moat_input_bpf, void (*)(moat_input_bpf*)> skeleton(
      moat_input_bpf::open(), moat_input_bpf::destroy);
  if (!skeleton) return bpf_failure("open the backstop's program before sockets");
  bpf_program* program = skeleton->progs.moat_input;
  bpf_program__set_type(program, netfilter_program);
  bpf_program__set_expected_attach_type(program, netfilter_attach);
  skeleton->rodata->can_read_kernel = reads_kernel_;
  skeleton->rodata->takes_notes_only = !judges_;
  if (auto reused = reuse_maps(skeleton->obj, maps); !reused) return reused;
  if (const int error = moat_input_bpf::load(skeleton.get()); error != 0)
    return load_failure("load the backstop's program before sockets", error, log, input_need);
  program_ = Fd(::fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0));
  if (!program_) return bpf_failure("keep a program open");
  return {};
}

Result<bool> InputLink::attach(Family& family) {
  const auto failed = [] {
    const int error = errno;
    return load_failure("attach the backstop's program before sockets", error, LibbpfLog(),
                        input_need);
  };
  const auto was = info_of(family.link);
  if (was) {
    // Nothing tells whether it was detached, but that its place is free.
    Fd again = create_link(program_.get(), family.number, was->hook.priority);
    if (!again && errno != EBUSY) return failed();
    if (again) {
      family.link = std::move(again);
      return true;
    }
    if (was->program == kernel_id(program_.get())) return false;
  }
  const bool is_first_taken = was && was->hook.priority == places[0];
  Fd link = create_link(program_.get(), family.number, places[is_first_taken ? 1 : 0]);
  // One that no pin is left of, as long as somebody has it open.
  if (!link && errno == EBUSY)
    link = create_link(program_.get(), family.number, places[is_first_taken ? 0 : 1]);
  if (!link) return failed();
  family.link = std::move(link);
  return false;
}

Result<bool> InputLink::ensure(const BackstopMaps& maps, bool judges) {
  if (judges != judges_) program_ = Fd();
  judges_ = judges;
  if (!program_) {
    reads_kernel_ = true;
    const auto loaded = load(maps);
    if (!loaded) {
      // Under lockdown programs may not read the kernel's memory, and do without.
      reads_kernel_ = false;
      if (!load(maps)) return std::unexpected(loaded.error());
    }
  }
  bool mended = false;
  for (auto& family : families_) {
    const auto attached = attach(family);
    if (!attached) return attached;
    mended |= *attached;
  }
  mended |= std::exchange(was_swapped_, false);
  return mended;
}

Result<> InputLink::ensure_pins() {
  std::vector<std::pair<std::string, int>> links;
  for (const auto& family : families_) links.emplace_back(family.pin, family.link.get());
  return pins_.ensure_run(pin::input, program_.get(), links);
}

void InputLink::remove() {
  for (auto& family : families_) {
    pins_.remove(family.pin);
    family.link = Fd();
  }
  pins_.remove(pin::input);
  program_ = Fd();
}

}  // namespace moat
