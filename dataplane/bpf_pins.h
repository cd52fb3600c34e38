// SPDX-License-Identifier: BSD-2-Clause
// The folder of pins on a bpf filesystem. A pin keeps a kernel object alive when nobody has it
// open.
//
// The filesystem refuses names with a dot, which names of interfaces may have (eth0.100). Names of
// interfaces cannot have a colon: a pin has a colon for each dot. Done here, seen nowhere else.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

class BpfPins {
 public:
  explicit BpfPins(std::string folder) : folder_(std::move(folder)) {}

  // Makes the folder, and `links` in it, if they are missing. If its parent is an empty folder that
  // is on no bpf filesystem, as /sys/fs/bpf is when nothing is mounted there, one is mounted on it.
  [[nodiscard]] Result<> prepare() const;

  // Pins the object by that name. What had the name loses it in the same moment.
  [[nodiscard]] Result<> put(const std::string& name, int fd) const;

  // Pins each object by its name, in that order, where it is not; those without a descriptor (-1)
  // are left out. True if one was missing.
  [[nodiscard]] Result<bool> ensure(const std::vector<std::pair<std::string, int>>& objects) const;

  // The object of that name; closed if there is none.
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

 private:
  [[nodiscard]] std::string path(const std::string& name) const;

  std::string folder_;
};

}  // namespace moat
