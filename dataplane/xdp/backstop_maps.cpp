// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/backstop_maps.h"

#include <bpf/libbpf.h>

#include "dataplane/xdp/bpf_error.h"

namespace moat {

int BackstopMaps::find(const std::string& name) const {
  if (name == "interfaces") return interfaces;
  return name == "wires" ? wires : find_map(path, name);
}

Result<> reuse_maps(bpf_object* object, const BackstopMaps& maps) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    const std::string name = bpf_map__name(map);
    const int fd = maps.find(name);
    if (fd < 0) continue;
    if (const int error = bpf_map__reuse_fd(map, fd); error != 0)
      return bpf_failure("use map " + name, error);
  }
  return {};
}

}  // namespace moat
