// SPDX-License-Identifier: BSD-2-Clause
// What an earlier daemon left pinned, if this one can go on with it.
#pragma once

#include <optional>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/xdp/bpf_pins.h"
#include "dataplane/xdp/tiers.h"
#include "dataplane/xdp/xdp_program.h"

namespace moat {

// A table in the kernel, held open.
struct LiveTable {
  Fd map;
  std::uint32_t id = 0;
  std::uint64_t generation = 0;
};

// Why adopt() takes nothing over where the pins are whole and the place of the table is empty.
inline constexpr auto no_live_table = "no table is live in the pinned maps";

struct Adopted {
  Program program;
  std::vector<NamedMap> maps;
  LiveTable table;
  Fd version;  // closed if the program, or one of its maps, is of another version, or missing
  // Pins that somebody has removed: the program is of this version, and its maps are not all there.
  std::vector<std::string> missing;
};

// The outer maps among these, as tiers.
[[nodiscard]] Tiers tiers_of(const std::vector<NamedMap>& maps);

// The inner map of that id, found among the pins.
[[nodiscard]] Fd find_table(const BpfPins& pins, std::uint32_t id);

// Leaves one pin of a table, `table-N`, and that of the live one; removes those that a crash left.
[[nodiscard]] Result<> keep_table_pin(const BpfPins& pins, const LiveTable& live);

// Gives the pins of an earlier version the names that they have now, each in one step.
void rename_earlier_pins(const BpfPins& pins);

// Takes over program, maps and table, and has `object` use the maps. All must belong together: the
// program uses these very maps, which are as the object defines them, and a sound table of our ABI
// version is live. Error: the first thing that is otherwise; nothing was changed then.
[[nodiscard]] Result<Adopted> adopt(const BpfPins& pins, XdpObject& object);

}  // namespace moat
