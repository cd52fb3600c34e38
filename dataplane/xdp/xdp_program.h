// SPDX-License-Identifier: BSD-2-Clause
// The XDP program and its maps, as compiled into this daemon: opened, fitted to maps that are there
// already, loaded.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/fd.h"

struct moat_xdp_bpf;

namespace moat {

// A map that a program uses, by the name that bpf/maps.h gives it.
struct NamedMap {
  std::string name;
  Fd fd;
};

// The file descriptor of a map among these; -1 if it is not.
[[nodiscard]] int find_map(const std::vector<NamedMap>& maps, const std::string& name);

// The name of a map's pin.
[[nodiscard]] std::string pin_name(const std::string& map);

struct Program {
  Fd fd;
  std::uint32_t id = 0;
  std::array<std::uint8_t, 8> tag = {};  // equal for equal instructions, whatever maps they use
  std::vector<std::uint32_t> maps;       // ids of the maps it uses, inner ones not among them
};

[[nodiscard]] Result<Program> describe_program(Fd fd);

struct LoadedXdp {
  Program program;
  std::vector<NamedMap> maps;
};

// Which program is pinned, as the value of a map that is pinned beside it. The verifier takes half
// a second over the program, and a daemon that finds its own need not ask for that.
struct Version {
  std::uint64_t object = 0;              // digest of the object file that it was loaded from
  std::array<std::uint8_t, 8> tag = {};  // of the program that came out

  bool operator==(const Version&) const = default;
};
[[nodiscard]] Result<Fd> make_version_map(const Version& version);
[[nodiscard]] std::optional<Version> read_version_map(int fd);

class XdpObject {
 public:
  [[nodiscard]] static Result<XdpObject> open();

  [[nodiscard]] std::vector<std::string> map_names() const;

  // Digest of the object file.
  [[nodiscard]] static std::uint64_t digest();

  // Has the program use this map instead of a new one. Error: the map is not as bpf/maps.h defines
  // it. (Of an outer map the kernel does not tell which inner maps it takes.)
  [[nodiscard]] Result<> reuse(const std::string& name, int fd);

  // Loads the program and makes the maps that are not reused. The object is spent then.
  [[nodiscard]] Result<LoadedXdp> load();

 private:
  struct Destroy {
    void operator()(moat_xdp_bpf* object) const;
  };
  std::unique_ptr<moat_xdp_bpf, Destroy> skeleton_;
};

}  // namespace moat
