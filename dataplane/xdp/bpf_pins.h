// SPDX-License-Identifier: BSD-2-Clause
// The folder of pins on a bpf filesystem. A pin keeps a kernel object alive when nobody has it
// open.
//
// The folder is Moat's alone (mode 0700), and so is each pin in it that is believed: whoever could
// remove a pin could end the guard with the daemon. Where a stranger has made the folder first, as
// anybody can on a filesystem that was mounted without a mode, it is moved out of the way. What is
// known to be Moat's own in what was moved is pinned again where it belongs; where that cannot be
// read (root without CAP_DAC_OVERRIDE reads no folder of another user), problems() tells.
//
// The pins are those of one network namespace, which the pin `netns` names: what they keep attached
// is attached there, and a daemon in another one would take it off.
//
// One process has the folder at a time: two would undo each other's work. The lock is one on the
// folder `links`, which nobody but its owner can open, and which is the same one in all namespaces.
// It keeps the filesystem from being unmounted while the process lives, but by `umount --lazy`.
//
// The filesystem refuses names with a dot, which names of interfaces may have (eth0.100). Names of
// interfaces cannot have a colon: a pin has a colon for each dot. Done here, seen nowhere else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/backend.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

// Copies of one object share what they know.
class BpfPins {
 public:
  explicit BpfPins(std::string folder) : folder_(std::move(folder)) {}

  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string path(const std::string& name) const;

  // Makes the folder, and `links` in it, if they are missing, makes sure that they are Moat's
  // alone, and locks them. If the folder's parent is an empty folder that is on no bpf filesystem,
  // as /sys/fs/bpf is when nothing is mounted there, one is mounted on it. False: another process
  // has the folder, or its pins guard another network namespace. After that, or an error, nothing
  // is pinned there and nothing there is believed until it has come right.
  [[nodiscard]] Result<bool> prepare() const;

  // Whether the last prepare(), if there was one, came out right; else why not.
  [[nodiscard]] bool is_usable() const { return !known_->refusal; }
  [[nodiscard]] const std::optional<Error>& refusal() const { return known_->refusal; }

  // What an earlier daemon had pinned here, since the last boot. prepare() looks for it.
  void expect(PinIds earlier) const { known_->earlier = std::move(earlier); }

  // What this process has pinned.
  [[nodiscard]] const PinIds& pinned() const { return known_->pinned; }

  // The same, for the expect() of the next daemon: with what was expected and has not come back.
  [[nodiscard]] PinIds to_expect() const;

  // Whether an earlier daemon, or this one, had that program on interfaces.
  [[nodiscard]] bool is_own_program(std::uint32_t id) const;

  // Error: the filesystem is mounted nowhere that the host's first process can see, so that the
  // pins end with the mounts of this process. Nothing is known in a PID namespace, which has a
  // first process of its own.
  [[nodiscard]] Result<> check_lasting() const;

  // Pins the object by that name. What had the name loses it in the same moment.
  [[nodiscard]] Result<> put(const std::string& name, int fd) const;

  // Pins each object by its name, in that order, where it is not; those without a descriptor (-1)
  // are left out.
  [[nodiscard]] Result<> ensure(const std::vector<std::pair<std::string, int>>& objects) const;

  // Pins links and, by the name `program`, what they run. Whoever comes in between, as after a
  // kill, finds either what they ran before or the new program pinned, or both: see runs_pinned().
  [[nodiscard]] Result<> ensure_run(const std::string& program, int fd,
                                    const std::vector<std::pair<std::string, int>>& links) const;

  // Before links get another program than the one of that name: pins the new one beside it, as
  // NAME-next, until ensure_run() or forget_next().
  void announce(const std::string& program, int fd) const;
  void forget_next(const std::string& program) const;

  // Whether the program of that id is the one that is pinned by that name, or the announced one.
  // Nothing: no program is pinned by that name.
  [[nodiscard]] std::optional<bool> runs_pinned(const std::string& program, std::uint32_t id) const;

  // The object of that name; closed if there is none, or if a stranger could have put it there.
  [[nodiscard]] Fd get(const std::string& name) const;

  // Whether that name is a pin of this very object.
  [[nodiscard]] bool holds(const std::string& name, int fd) const;

  // True if it was there. What has the new name loses it.
  bool rename(const std::string& from, const std::string& to) const;

  void remove(const std::string& name) const;

  // Names of the pins, without folders; in folder "" or "links".
  [[nodiscard]] std::vector<std::string> list(const std::string& sub = {}) const;

  // Removes all pins but those in `links`, then the folders. Errors: some are left.
  [[nodiscard]] Result<> remove_all() const;

  // What others had done to pins and folders, and was put right since this was last asked:
  // "the pin links/eth0 was missing". Not what this process had not pinned before.
  [[nodiscard]] std::vector<std::string> take_mended() const;

  // A pin that was missing when the process began.
  void note_missing(const std::string& name) const { known_->missing_at_start.insert(name); }

  // What may keep objects of Moat's attached, out of its reach, as sentences.
  [[nodiscard]] const std::vector<std::string>& problems() const { return known_->problems; }

  // How to get back a pin that is there and not believed; empty if there is none.
  [[nodiscard]] std::string remedy_for(const std::string& name) const;

 private:
  struct Known {
    std::optional<Error> refusal;  // why the folder is not used
    Fd lock;                       // the folder `links`
    PinIds pinned;
    PinIds earlier;
    bool is_compared = false;          // what is there, with `earlier`
    std::vector<std::string> missing;  // names of pins that were put right
    std::vector<std::string> replaced;
    std::set<std::string> missing_at_start;
    std::set<std::string> replaced_at_start;
    std::vector<std::string> folders;          // what was done to folders
    std::map<std::string, std::string> moved;  // what is to be told of it, by the path it has now
    std::vector<std::string> problems;
  };

  [[nodiscard]] Result<bool> make_and_lock() const;
  [[nodiscard]] Result<> own(const std::string& folder) const;
  [[nodiscard]] Result<> move_aside(const std::string& folder, unsigned stranger) const;
  [[nodiscard]] Result<bool> lock() const;
  [[nodiscard]] Result<> check_netns() const;
  void compare() const;
  [[nodiscard]] bool is_pinned(const std::string& name) const;
  void take_back() const;
  [[nodiscard]] bool take_back(const Fd& folder, const std::string& sub) const;
  [[nodiscard]] std::vector<std::string> asides() const;

  std::string folder_;
  std::shared_ptr<Known> known_ = std::make_shared<Known>();
};

}  // namespace moat
