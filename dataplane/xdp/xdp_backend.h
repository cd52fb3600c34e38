// SPDX-License-Identifier: BSD-2-Clause
// The packet path in the kernel: XDP programs, the backstop, their maps, links and pins.
//
// Pins under the bpffs folder (all owned by the daemon, adopted by the next one):
//
//   xdp, backstop, input                 programs
//   backstop-link, input-link-ipv4, -ipv6   what holds the latter two in their places
//   wire-link-ipv4, -ipv6                what holds a program that notes, where `input` cannot be
//   policy-small, -medium, -large        outer maps, one a size tier
//   policy-closed                        map: the endpoints, closed to all, should those be empty
//   table-N                              the live inner map of generation N
//   counters, drops, drop-sources,
//   interfaces, wires                    maps
//   version                              a map: which program `xdp` is
//   netns                                a map: the network namespace that all this guards
//   links/INTERFACE                      what holds `xdp` on an interface, and nothing else, as
//                                        interfaces have any name; a colon stands for a dot:
//                                        links/eth0:100
//
// In the middle of a change there are also `new` and `table-next`, and `xdp-next`, `backstop-next`
// or `input-next`: the program that is about to be pinned without -next, and that links may run by
// now.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/backend.h"

namespace moat {

class XdpBackend final : public PacketPath {
 public:
  // Goes on with what is pinned under `bpffs` (a folder of its own on a bpf filesystem, e.g.
  // /sys/fs/bpf/moat, made if missing; bpf is mounted at its parent if nothing is there), or loads
  // anew; the first publish() pins then. Never detaches. Where nothing can be pinned, it guards as
  // long as the process lives: ensure_pins() tells why, and pins once it can. `earlier`: what
  // pinned() was last, since the boot. Errors: another process has the folder, or what is pinned
  // there guards another network namespace; the kernel refuses the program.
  //
  // A pinned program of another version is replaced in its links at once. Where the maps are of
  // another ABI version, or do not hold together, new ones are made beside them, and the links keep
  // what they run until the first publish() has filled the new maps; then each gets the new program
  // in one step, and the old pins go. Until then live() is generation 0.
  [[nodiscard]] static Result<std::unique_ptr<XdpBackend>> open(const std::string& bpffs,
                                                                PinIds earlier = {});
  ~XdpBackend() override;

  Result<> publish(const Table& table) override;
  Result<Live> live() override;
  Result<bool> is_live() override;
  Result<Table> live_table() override;
  Result<std::vector<moat_counter>> counters() override;
  Result<> clear_counters(const std::vector<std::uint32_t>& slots) override;

  [[nodiscard]] const std::string& adoption() const override;

  // Mends a missing link, a link without a pin, another version of our program (replaced in place),
  // a stale pin of an interface that was re-created. The kernel has no way from one mode to another
  // but through none.
  InterfaceStatus ensure_attached(const std::string& interface, WantedAttach wanted) override;
  InterfaceStatus inspect(const std::string& interface) override;
  std::vector<std::string> attached_interfaces() override;
  Result<> detach(const std::string& interface) override;
  Result<> detach_all() override;
  BackstopStatus ensure_backstop(const std::string& cgroup,
                                 const std::vector<std::string>& trusted) override;
  void leave_counted(const std::vector<std::string>& interfaces) override;
  void remove_backstop() override;
  Result<std::unique_ptr<DropSource>> drops() override;
  Result<SuppressedDrops> suppressed_drops() override;
  // Needs CAP_BPF and CAP_PERFMON.
  Result<std::unordered_map<std::uint64_t, std::uint32_t>> arrivals() override;
  // Makes the pins anew where they are gone: bpffs unmounted, or cleared.
  Result<> ensure_pins() override;
  Result<> check_pins_last() const override;
  std::vector<std::string> pin_problems() const override;
  PinIds pinned() const override;
  std::vector<std::string> take_mended() override;

 private:
  struct Kernel;
  explicit XdpBackend(std::unique_ptr<Kernel> kernel);
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace moat
