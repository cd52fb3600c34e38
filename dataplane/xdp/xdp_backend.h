// SPDX-License-Identifier: BSD-2-Clause
// The kernel side: maps, programs, links and their pins. The only file family that knows libbpf.
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
//   links/INTERFACE                      what holds `xdp` on an interface, and nothing else, as
//                                        interfaces have any name; a colon stands for a dot:
//                                        links/eth0:100
//
// In the middle of a change there are also `new` and `table-next`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/backend.h"
#include "dataplane/xdp/backstop_link.h"
#include "dataplane/xdp/drop_ring.h"
#include "dataplane/xdp/untold_drops.h"

namespace moat {

class XdpBackend final : public Backend {
 public:
  // Goes on with what is pinned under `bpffs` (a folder of its own on a bpf filesystem, e.g.
  // /sys/fs/bpf/moat, made if missing; bpf is mounted at its parent if nothing is there), or loads
  // anew; the first publish() pins then. Never detaches. Where nothing can be pinned, it guards as
  // long as the process lives: ensure_pins() tells why, and pins once it can. Errors: another
  // process has the folder; the kernel refuses the program.
  //
  // A pinned program of another version is replaced in its links at once. Where the maps are of
  // another ABI version, or do not hold together, new ones are made beside them, and the links keep
  // what they run until the first publish() has filled the new maps; then each gets the new program
  // in one step, and the old pins go. Until then live() is generation 0.
  [[nodiscard]] static Result<std::unique_ptr<XdpBackend>> open(const std::string& bpffs);
  ~XdpBackend() override;

  Result<> publish(const Image& image) override;
  Result<Live> live() override;
  Result<bool> is_live() override;
  Result<std::vector<moat_counter>> counters() override;
  Result<> clear_counters(const std::vector<std::uint32_t>& slots) override;

  // What the programs tell of drops. For one reader.
  [[nodiscard]] Result<DropRing> drops();
  [[nodiscard]] Result<UntoldDrops> untold_drops();

  // How open() began, for the log: "adopted", or why what is pinned could not be.
  [[nodiscard]] const std::string& adoption() const;

  // The live image as it stands in the kernel, for adoption and comparison. An empty one
  // if nothing is live. Copies nothing, so it keeps the kernel's memory of that table while it
  // lives.
  [[nodiscard]] Result<Image> live_image();

  // Makes the interface have our program, pinned, mending whatever is different: a missing link, a
  // link without a pin, another version of our program (replaced in place), a stale pin of an
  // interface that was re-created. Somebody else's program is named and left alone. Does nothing
  // where all is well. Reports what is there afterwards.
  //
  // What is attached in one mode is not moved to another, as the kernel has no way to do that
  // without a moment in between where nothing is filtered: detach() first if that is meant.
  [[nodiscard]] InterfaceStatus ensure_attached(const std::string& interface, WantedAttach wanted);

  // As it is now; changes nothing.
  [[nodiscard]] InterfaceStatus inspect(const std::string& interface);

  // Interfaces that have a pinned link, whether wanted or not.
  [[nodiscard]] std::vector<std::string> attached_interfaces();

  // Has the backstop on that cgroup (empty: the root), pinned, with these interfaces exempt; mends
  // what is different. Not before the first publish() has put a table there.
  [[nodiscard]] BackstopStatus ensure_backstop(const std::string& cgroup,
                                               const std::vector<std::string>& trusted);
  void remove_backstop();

  // Takes the program off one interface and removes the pin.
  [[nodiscard]] Result<> detach(const std::string& interface);

  // Ends the guard: all links, then all pins and the folder.
  [[nodiscard]] Result<> detach_all();

  // Makes the pins anew where they are gone (bpffs unmounted or cleared). Error: the guard would
  // end with this process, and why.
  [[nodiscard]] Result<> ensure_pins();

  // What others had done to pins and maps, and was put right since this was last asked, by
  // whichever of these functions: "the pin links/eth0 was missing".
  [[nodiscard]] std::vector<std::string> take_mended();

 private:
  struct Kernel;
  explicit XdpBackend(std::unique_ptr<Kernel> kernel);
  std::unique_ptr<Kernel> kernel_;
};

}  // namespace moat
