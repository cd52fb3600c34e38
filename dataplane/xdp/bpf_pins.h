// SPDX-License-Identifier: BSD-2-Clause
// The folder of pins on a bpf filesystem. A pin keeps a kernel object alive when nobody has it
// open.
//
// The folder is Moat's alone (mode 0700), and so is each pin in it that is believed: whoever could
// remove a pin could end the guard with the daemon. Where a stranger has made the folder first, as
// anybody can on a filesystem that was mounted without a mode, it is moved out of the way.
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
#include <string>
#include <utility>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

// Copies of one object share what they know.
class BpfPins {
 public:
  explicit BpfPins(std::string folder) : folder_(std::move(folder)) {}

  [[nodiscard]] const std::string& folder() const { return folder_; }

  // Makes the folder, and `links` in it, if they are missing, makes sure that they are Moat's
  // alone, and locks them. If the folder's parent is an empty folder that is on no bpf filesystem,
  // as /sys/fs/bpf is when nothing is mounted there, one is mounted on it. False: another process
  // has the folder. After that, or an error, nothing is pinned there and nothing there is believed
  // until it has come right.
  [[nodiscard]] Result<bool> prepare() const;

  // Whether the last prepare(), if there was one, came out right.
  [[nodiscard]] bool is_usable() const { return !known_->refusal; }

  // Pins the object by that name. What had the name loses it in the same moment.
  [[nodiscard]] Result<> put(const std::string& name, int fd) const;

  // Pins each object by its name, in that order, where it is not; those without a descriptor (-1)
  // are left out.
  [[nodiscard]] Result<> ensure(const std::vector<std::pair<std::string, int>>& objects) const;

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

 private:
  struct Known {
    std::optional<Error> refusal;                 // why the folder is not used
    Fd lock;                                      // the folder `links`
    std::map<std::string, std::uint32_t> pinned;  // ids of the objects, by the names of their pins
    std::vector<std::string> missing;             // names of pins that were put right
    std::vector<std::string> replaced;
    std::vector<std::string> folders;  // what was done to folders
  };

  [[nodiscard]] std::string path(const std::string& name) const;
  [[nodiscard]] Result<bool> make_and_lock() const;
  [[nodiscard]] Result<> own(const std::string& folder) const;
  [[nodiscard]] Result<> move_aside(const std::string& folder, unsigned stranger) const;
  [[nodiscard]] Result<bool> lock() const;

  std::string folder_;
  std::shared_ptr<Known> known_ = std::make_shared<Known>();
};

}  // namespace moat
