// SPDX-License-Identifier: BSD-2-Clause
// The XDP program on interfaces. A BPF link is what holds it there: as long as the link is pinned
// or somebody has it open, nobody can take the program off by accident, and it is replaced in
// place.
//
// Which link belongs to which interface is told by the interface's index, never by a name: names
// move. The pin links/NAME follows the name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/backend.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/xdp/bpf_pins.h"

namespace moat {

class XdpLinks {
 public:
  // Takes over the links that are pinned.
  explicit XdpLinks(BpfPins pins);

  // The same, for pins that could not be used before. True if there were any.
  bool take_over_pinned();

  // The program for whatever is attached or mended from now on. The caller keeps it open. Links
  // that are there stay as they are.
  void set_program(int fd, std::uint32_t id) { program_ = fd, program_id_ = id; }

  // Whether the link of an interface that is there was without one when it was taken over: somebody
  // had detached it, or the interface was made anew. Asked a second time: no.
  [[nodiscard]] bool take_lost(const std::string& interface);
  void forget_lost() { lost_.clear(); }

  // Interfaces whose link runs a program that is not Moat's, by the pins.
  [[nodiscard]] std::vector<std::string> run_by_others() const;

  // Has every link run that program, each replaced in one step. Errors: the first of those that
  // went wrong; the others are done.
  [[nodiscard]] Result<> replace_programs();

  // See XdpBackend. `replace`: links that run another program get ours. `is_judged`: without the
  // program, too, packets to sockets are judged, so that it may be off for a moment.
  [[nodiscard]] InterfaceStatus ensure(const std::string& interface, WantedAttach wanted,
                                       bool replace, bool is_judged);
  [[nodiscard]] InterfaceStatus inspect(const std::string& interface) const;
  [[nodiscard]] std::vector<std::string> interfaces() const;
  [[nodiscard]] Result<> detach(const std::string& interface);
  [[nodiscard]] Result<> detach_all();

  // Each link has a pin by the name of its interface.
  [[nodiscard]] Result<> ensure_pins();

 private:
  struct Link {
    Fd fd;
    std::string pin;  // the name in links/ that is this link's; empty: none is
  };
  // Why an interface is not attached as one would like.
  struct Note {
    std::string reason;
    std::string remedy;
  };

  void drop_dead();
  Link* find(std::uint32_t ifindex);
  [[nodiscard]] const Link* find(std::uint32_t ifindex) const;
  [[nodiscard]] Result<> replace_program(const Link& link) const;
  [[nodiscard]] Result<> give_pin(Link& link, const std::string& interface);
  [[nodiscard]] bool attach(std::uint32_t ifindex, WantedAttach wanted);
  // Who asks for the status has it attached as is set.
  [[nodiscard]] std::string way_to_attach_anew(const Link& link) const;
  [[nodiscard]] Link* move_to_native(Link& link, std::uint32_t ifindex, WantedAttach wanted);
  [[nodiscard]] bool is_own(std::uint32_t program) const;
  void tell_own(InterfaceStatus& status) const;
  void tell_moved(InterfaceStatus& status) const;
  [[nodiscard]] std::optional<Note> attach_as(std::uint32_t ifindex, AttachMode mode);

  BpfPins pins_;
  std::vector<Link> links_;
  std::set<std::uint32_t> lost_;           // ifindexes, see take_lost()
  std::map<std::uint32_t, Note> notes_;    // by ifindex
  std::set<std::uint32_t> asked_generic_;  // ifindexes: the mode is what was asked for
  int program_ = -1;
  std::uint32_t program_id_ = 0;
};

}  // namespace moat
