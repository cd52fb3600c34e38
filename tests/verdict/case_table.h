// SPDX-License-Identifier: BSD-2-Clause
// The case table as data: cases/*.json, made by frames.py, and the policies/ that they name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/enforce/compile.h"
#include "control/policy/policy.h"
#include "dataplane/error.h"
#include "dataplane/table/table.h"

namespace moat::testing {

// What must happen to a frame, as the table says it: "drop no-rule orders",
// "pass allowed orders 198.51.100.25/32", "monitor malformed host".
struct Wanted {
  std::string text;
  bool drop = false;
  bool monitored = false;
  unsigned reason = 0;
  std::string owner;  // a database, or "host"
  std::string rule;   // for `allowed`: the source as its rule file has it
};

struct Side {
  Wanted wanted;
  // As they are sent: the last is what the case is about, those before it set its scene and meet
  // the same verdict, as the fragments that make a packet of it.
  std::vector<std::vector<std::uint8_t>> frames;
  // Passed by what guards the NIC; what the kernel then makes of it, the backstop keeps out.
  bool backstop = false;

  [[nodiscard]] const std::vector<std::uint8_t>& frame() const { return frames.back(); }
};

struct Case {
  std::string group;  // the file's name
  std::string name;
  std::string why;
  std::string policy;
  std::optional<WallTime> at;
  Side a, b;  // from a listed and from an unlisted source
};

// How gtest names a case.
void PrintTo(const Case& each, std::ostream* to);

// All cases, by group in alphabetical order and then as the file has them.
[[nodiscard]] Result<std::vector<Case>> load_cases(const std::filesystem::path& folder);

// The rule files of one folder as a policy. Any fault but a warning is an error.
[[nodiscard]] Result<std::unique_ptr<Policy>> load_policy(const std::filesystem::path& folder);

// A policy compiled so that the machine's clock now stands at `wall`, seconds after the table was
// made: rules that expired in between have done so under the live table.
struct Scene {
  std::unique_ptr<Policy> policy;  // `slots` refers to it
  SlotMap slots;
  WallTime wall;
  Table table;
};
[[nodiscard]] Result<Scene> make_scene(std::unique_ptr<Policy> policy, std::optional<WallTime> at);

// The counter slot that `wanted` names.
[[nodiscard]] Result<std::uint32_t> wanted_slot(const Scene& scene, const Wanted& wanted);

}  // namespace moat::testing
