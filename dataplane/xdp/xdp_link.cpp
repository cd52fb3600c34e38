// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/xdp_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>

#include "dataplane/host/link_names.h"
#include "dataplane/host/stacked_links.h"
#include "dataplane/pinned.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"

namespace moat {
namespace {

constexpr auto folder = "links/";

// ---- What the kernel says ----

struct LinkInfo {
  bool is_xdp = false;
  std::uint32_t ifindex = 0;  // 0: its interface is gone, or somebody detached it
  std::uint32_t program_id = 0;
};

LinkInfo link_info(int fd) {
  bpf_link_info info = {};
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0) return {};
  return {info.type == BPF_LINK_TYPE_XDP, info.xdp.ifindex, info.prog_id};
}

// The programs on an interface: at most one a mode, and the kernel takes no native one beside a
// generic one.
struct Attached {
  std::uint32_t native = 0;
  std::uint32_t generic = 0;
  std::uint32_t offloaded = 0;

  [[nodiscard]] std::uint32_t any() const {
    return native ? native : generic ? generic : offloaded;
  }
  [[nodiscard]] AttachMode mode_of(std::uint32_t program) const {
    if (program != 0 && program == native) return AttachMode::native;
    if (program != 0 && program == generic) return AttachMode::generic;
    return AttachMode::none;
  }
};

Attached attached_to(std::uint32_t ifindex) {
  const LibbpfLog mute;
  bpf_xdp_query_opts query = {};
  query.sz = sizeof query;
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return {};
  return {query.drv_prog_id, query.skb_prog_id, query.hw_prog_id};
}

std::uint32_t index_of(const std::string& interface) {
  return interface.size() < IF_NAMESIZE ? ::if_nametoindex(interface.c_str()) : 0;
}

// The hardware type of an interface whose frames have no Ethernet header; nothing where they have one.
std::optional<int> type_without_ethernet(const std::string& interface) {
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  interface.copy(static_cast<char*>(request.ifr_name), IF_NAMESIZE - 1);
  if (!socket || ::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) return {};
  const int type = request.ifr_hwaddr.sa_family;
  if (has_ethernet_header(type)) return {};
  return type;
}

// Empty without CAP_SYS_ADMIN: then the kernel tells a program's number only.
std::string program_name(std::uint32_t program_id) {
  bpf_prog_info info = {};
  __u32 bytes = sizeof info;
  const int opened = bpf_prog_get_fd_by_id(program_id);
  const Fd program = opened >= 0 ? Fd(opened) : Fd();
  if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &bytes) != 0) return {};
  return static_cast<const char*>(info.name);
}

// "XDP program 41 (xdp_dispatcher)"
std::string describe(std::uint32_t program_id) {
  const auto name = program_name(program_id);
  return name.empty() ? fmt::format("XDP program {}", program_id)
                      : fmt::format("XDP program {} ({})", program_id, name);
}

// ---- What to do about it ----

std::string remedy_for(std::string_view reason, std::uint32_t ifindex) {
  struct Known {
    std::string_view word, remedy;
  };
  static constexpr std::array<Known, 6> known = {{
      {"MTU", "lower the MTU: ip link set dev {} mtu 1500"},
      {"LRO", "switch LRO off: ethtool -K {} lro off"},
      {"GRO_HW", "switch hardware GRO off: ethtool -K {} rx-gro-hw off"},
      {"queue", "leave queues free for XDP: ethtool -L {} combined N, with N half of the maximum"},
      {"ring", "use smaller rings: ethtool -G {} rx 1024 tx 1024"},
      {"upper device", "take the program off the device above {}, or name that device instead"},
  }};
  for (const auto& [word, remedy] : known)
    if (reason.find(word) != std::string_view::npos)
      return fmt::format(fmt::runtime(remedy), link_name(ifindex));
  return "a newer driver, or a NIC whose driver has native XDP";
}

// `ip` takes off no program that a BPF link holds, and only without CAP_SYS_ADMIN is not known
// whether one does.
std::string remedy_for_foreign(const std::string& interface, const Attached& attached) {
  const auto* mode = attached.native ? "xdp" : attached.generic ? "xdpgeneric" : "xdpoffload";
  return fmt::format(
      "stop what attached it, or: ip link set dev {0} {1} off; where that is refused: bpftool link "
      "detach id N, with the N that `bpftool link list` shows for program {2}; or take {0} out of "
      "`interfaces`",
      interface, mode, attached.any());
}

// Why the kernel refused to attach. A BPF link gets an errno only; netlink brings the driver's
// sentence as well, so the refused thing is asked for once more that way, and undone if granted.
std::string refusal(std::uint32_t ifindex, int program, __u32 flags, int error) {
  const LibbpfLog log;
  const int index = static_cast<int>(ifindex);
  if (bpf_xdp_attach(index, program, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr) == 0) {
    bpf_xdp_attach_opts only_ours = {};
    only_ours.sz = sizeof only_ours;
    only_ours.old_prog_fd = program;
    (void)bpf_xdp_detach(index, flags, &only_ours);
  }
  const std::string said = log.kernel_message();
  return said.empty() ? errno_words(error) : fmt::format("{} ({})", said, errno_words(error));
}

}  // namespace

// ---- The links we hold ----

XdpLinks::XdpLinks(BpfPins pins) : pins_(std::move(pins)) { std::ignore = take_over_pinned(); }

bool XdpLinks::take_over_pinned() {
  const auto before = links_.size();
  const auto is_held = [this](std::uint32_t id) {
    return std::ranges::any_of(links_, [id](const Link& l) { return kernel_id(l.fd.get()) == id; });
  };
  for (const auto& name : pins_.list(pin::links)) {
    Fd fd = pins_.get(folder + name);
    if (!fd) continue;
    const LinkInfo info = link_info(fd.get());
    if (!info.is_xdp || is_held(kernel_id(fd.get()))) continue;
    if (const auto ifindex = index_of(name); info.ifindex == 0 && ifindex != 0)
      lost_.insert(ifindex);
    links_.push_back({std::move(fd), name});
  }
  return links_.size() != before;
}

void XdpLinks::drop_dead() {
  std::erase_if(links_, [this](const Link& link) {
    if (link_info(link.fd.get()).ifindex != 0) return false;
    if (!link.pin.empty()) pins_.remove(folder + link.pin);
    return true;
  });
  const auto is_gone = [](std::uint32_t ifindex) { return link_name(ifindex).empty(); };
  std::erase_if(notes_, [&](const auto& note) { return is_gone(note.first); });
  std::erase_if(asked_generic_, is_gone);
  std::erase_if(lost_, is_gone);
}

// An interface that was moved to another network namespace keeps its link and may have the index of
// one of ours, so the interface must be seen to run what the link says.
const XdpLinks::Link* XdpLinks::find(std::uint32_t ifindex) const {
  const Attached attached = attached_to(ifindex);
  for (const Link& link : links_)
    if (const LinkInfo info = link_info(link.fd.get());
        info.ifindex == ifindex && attached.mode_of(info.program_id) != AttachMode::none)
      return &link;
  return nullptr;
}

XdpLinks::Link* XdpLinks::find(std::uint32_t ifindex) {
  return const_cast<Link*>(std::as_const(*this).find(ifindex));
}

Result<> XdpLinks::replace_program(const Link& link) const {
  const LinkInfo info = link_info(link.fd.get());
  if (info.ifindex == 0 || info.program_id == program_id_) return {};
  const int error = bpf_link_update(link.fd.get(), program_, nullptr);
  if (error == 0 || error == -ENOLINK) return {};  // its interface went this moment
  return bpf_failure("replace the XDP program on " + link_name(info.ifindex), error);
}

std::vector<std::string> XdpLinks::run_by_others() const {
  std::vector<std::string> names;
  for (const Link& link : links_) {
    const LinkInfo info = link_info(link.fd.get());
    if (info.ifindex == 0 || pins_.is_own_program(info.program_id)) continue;
    if (const auto is_ours = pins_.runs_pinned(pin::program, info.program_id); is_ours && !*is_ours)
      names.push_back(link.pin);
  }
  return names;
}

bool XdpLinks::take_lost(const std::string& interface) {
  return lost_.erase(index_of(interface)) != 0;
}

Result<> XdpLinks::replace_programs() {
  Result<> first;
  for (const Link& link : links_)
    if (auto replaced = replace_program(link); !replaced && first) first = replaced;
  return first;
}

Result<> XdpLinks::give_pin(Link& link, const std::string& interface) {
  // The name may be the pin of another link, whose interface had it before.
  for (Link& other : links_)
    if (&other != &link && other.pin == interface) other.pin.clear();
  const std::string old = std::exchange(link.pin, interface);
  if (auto pinned = pins_.ensure({{folder + interface, link.fd.get()}}); !pinned) {
    link.pin = old;
    return pinned;
  }
  if (!old.empty() && old != interface) pins_.remove(folder + old);
  return {};
}

// ---- Attaching ----

std::optional<XdpLinks::Note> XdpLinks::attach_as(std::uint32_t ifindex, AttachMode mode) {
  bpf_link_create_opts options = {};
  options.sz = sizeof options;
  options.flags = mode == AttachMode::native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int fd = bpf_link_create(program_, static_cast<int>(ifindex), BPF_XDP, &options);
  if (fd >= 0) {
    links_.push_back({Fd(fd), {}});
    return {};
  }
  const std::string reason = refusal(ifindex, program_, options.flags, fd);
  return Note{reason, remedy_for(reason, ifindex)};
}

// The link is the last one then.
bool XdpLinks::attach(std::uint32_t ifindex, WantedAttach wanted) {
  notes_.erase(ifindex);
  if (wanted != WantedAttach::generic) {
    const auto refused = attach_as(ifindex, AttachMode::native);
    if (!refused) return true;
    notes_[ifindex] = *refused;
    if (wanted == WantedAttach::native) return false;
  }
  const auto refused = attach_as(ifindex, AttachMode::generic);
  if (refused) notes_[ifindex] = *refused;
  return !refused;
}

// Through none: the kernel has no other way. If native mode is refused it is generic again.
XdpLinks::Link* XdpLinks::move_to_native(Link& link, std::uint32_t ifindex, WantedAttach wanted) {
  if (bpf_link_detach(link.fd.get()) != 0) return &link;
  drop_dead();
  if (attach(ifindex, wanted)) return &links_.back();
  const auto refused = notes_[ifindex];
  if (!attach(ifindex, WantedAttach::generic)) return nullptr;
  notes_[ifindex] = refused;
  return &links_.back();
}

InterfaceStatus XdpLinks::ensure(const std::string& interface, WantedAttach wanted, bool replace,
                                 bool is_judged) {
  drop_dead();
  const std::uint32_t ifindex = index_of(interface);
  if (ifindex == 0 || type_without_ethernet(link_name(ifindex))) return inspect(interface);

  Link* link = find(ifindex);
  Result<> done;
  if (link && replace) done = replace_program(*link);
  if (!link && attached_to(ifindex).any() == 0 && attach(ifindex, wanted)) link = &links_.back();
  const bool is_generic = link && attached_to(ifindex).mode_of(
                                      link_info(link->fd.get()).program_id) == AttachMode::generic;
  if (wanted == WantedAttach::generic) {
    if (is_generic) asked_generic_.insert(ifindex);
  } else if (is_generic && is_judged && asked_generic_.erase(ifindex) != 0) {
    link = move_to_native(*link, ifindex, wanted);
  }
  // By its own name, whatever other name it was asked for by. Without a pin the program is on all
  // the same: ensure_pins() tells.
  if (link) std::ignore = give_pin(*link, link_name(ifindex));

  InterfaceStatus status = inspect(interface);
  if (!done) {
    status.reason = done.error().message;
    status.remedy = done.error().remedy;
  } else if (status.mode == AttachMode::generic && wanted == WantedAttach::generic) {
    status.reason = "generic mode is what is set";
    status.remedy = "set `attach: auto` for native mode";
  } else if (status.mode == AttachMode::native && wanted == WantedAttach::generic && link) {
    status.reason = "attached before `attach: generic` was set";
    status.remedy = way_to_attach_anew(*link);
  } else if (status.mode == AttachMode::none && wanted == WantedAttach::native && !status.foreign) {
    status.remedy += "; or set `attach: auto`";
  }
  return status;
}

std::string XdpLinks::way_to_attach_anew(const Link& link) const {
  return fmt::format(
      "to attach it anew, with only the backstop meanwhile: bpftool link detach pinned {}; "
      "then: moat status",
      pins_.path(folder + link.pin));
}

InterfaceStatus XdpLinks::inspect(const std::string& interface) const {
  InterfaceStatus status;
  status.name = interface;
  const std::uint32_t ifindex = index_of(interface);
  status.present = ifindex != 0;
  if (!status.present) {
    status.reason = "no such interface";
    status.remedy = "it is attached when it appears; see the names with: ip link";
    tell_moved(status);
    return status;
  }
  if (const auto type = type_without_ethernet(link_name(ifindex))) {
    status.reason = fmt::format("its frames have no Ethernet header (hardware type {})", *type);
    status.remedy =
        fmt::format("take {} out of `interfaces`: the backstop judges what comes by it", interface);
    return status;
  }
  const Attached attached = attached_to(ifindex);
  const Link* link = find(ifindex);
  const auto note = notes_.find(ifindex);
  if (note != notes_.end()) {
    status.reason = note->second.reason;
    status.remedy = note->second.remedy;
  }
  if (link) {
    status.program_id = link_info(link->fd.get()).program_id;
    status.mode = attached.mode_of(status.program_id);
    if (status.mode == AttachMode::generic && status.reason.empty()) {
      status.reason = asked_generic_.contains(ifindex)
                          ? "attached while generic mode was set"
                          : "attached in generic mode by an earlier moatd";
      // Native mode, or the driver's reason why not, comes with that.
      status.remedy = way_to_attach_anew(*link);
    }
  } else if (attached.any() != 0) {
    status.program_id = attached.any();
    status.foreign = !is_own(attached.any());
    if (status.foreign) {
      status.reason = describe(attached.any()) + " is attached and not ours";
      status.remedy = remedy_for_foreign(interface, attached);
    } else {
      tell_own(status);
    }
  } else if (status.reason.empty()) {
    status.reason = "not attached";
  }
  return status;
}

// A link goes with its interface to another network namespace, and keeps the pin.
void XdpLinks::tell_moved(InterfaceStatus& status) const {
  for (const Link& link : links_) {
    const auto ifindex = link_info(link.fd.get()).ifindex;
    if (link.pin != status.name || ifindex == 0 || find(ifindex) == &link) continue;
    status.moved = true;
    status.reason = "it is in another network namespace, and Moat's program still on it";
    status.remedy =
        fmt::format("move it back; or, to end the guard of it there: bpftool link detach pinned {}",
                    pins_.path(folder + link.pin));
  }
}

// Whether it is Moat's, by the number that an earlier daemon noted, or by its name.
bool XdpLinks::is_own(std::uint32_t program) const {
  return pins_.is_own_program(program) || program_name(program) == "moat_xdp";
}

void XdpLinks::tell_own(InterfaceStatus& status) const {
  status.reason = fmt::format(
      "Moat's own program {} is on it by a link that this moatd has no pin of, and judges by the "
      "rules of then",
      status.program_id);
  status.remedy = pins_.remedy_for(folder + status.name);
  if (!status.remedy.empty()) return;
  status.remedy = pins_.problems().empty()
                      ? fmt::format(
                            "end the other moatd that has it; or: bpftool link detach id N, "
                            "with the N that `bpftool link list` shows for program {}; "
                            "then: moat status",
                            status.program_id)
                      : "its pin seems to be in a folder that was moved, which is named below";
}

std::vector<std::string> XdpLinks::interfaces() const {
  std::vector<std::string> names;
  for (const Link& link : links_)
    if (const auto ifindex = link_info(link.fd.get()).ifindex; find(ifindex) == &link)
      if (std::string name = link_name(ifindex); !name.empty()) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  return names;
}

// ---- Detaching ----

Result<> XdpLinks::detach(const std::string& interface) {
  drop_dead();
  const std::uint32_t ifindex = index_of(interface);
  const Link* link = ifindex ? find(ifindex) : nullptr;
  if (!link) return {};
  if (const int error = bpf_link_detach(link->fd.get()); error != 0)
    return bpf_failure("detach from " + interface, error);
  notes_.erase(ifindex);
  asked_generic_.erase(ifindex);
  drop_dead();
  return {};
}

Result<> XdpLinks::detach_all() {
  Result<> first;
  for (const Link& link : links_)
    if (const int error = bpf_link_detach(link.fd.get()); error != 0 && first)
      first = bpf_failure("detach from " + link_name(link_info(link.fd.get()).ifindex), error);
  drop_dead();
  // Whatever else is pinned there: links of other kinds, or ones that another process pinned.
  for (const auto& name : pins_.list(pin::links)) {
    if (const Fd link = pins_.get(folder + name))
      if (const int error = bpf_link_detach(link.get()); error != 0 && first)
        first = bpf_failure("detach " + name, error);
    pins_.remove(folder + name);
  }
  notes_.clear();
  asked_generic_.clear();
  return first;
}

Result<> XdpLinks::ensure_pins() {
  drop_dead();
  for (Link& link : links_) {
    const auto ifindex = link_info(link.fd.get()).ifindex;
    const std::string interface = find(ifindex) == &link ? link_name(ifindex) : "";
    if (interface.empty()) continue;
    if (auto pinned = give_pin(link, interface); !pinned) return pinned;
  }
  return {};
}

}  // namespace moat
