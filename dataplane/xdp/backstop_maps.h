// SPDX-License-Identifier: BSD-2-Clause
// The maps of the backstop's programs: those of the packet path, and two of its own.
#pragma once

#include <string>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/xdp/xdp_program.h"

struct bpf_object;

namespace moat {

struct BackstopMaps {
  const std::vector<NamedMap>& path;
  int interfaces = -1;
  int wires = -1;

  // The file descriptor of the map of that name; -1 if it is none of these.
  [[nodiscard]] int find(const std::string& name) const;
};

// Has the object use these maps in place of new ones of their names.
[[nodiscard]] Result<> reuse_maps(bpf_object* object, const BackstopMaps& maps);

}  // namespace moat
