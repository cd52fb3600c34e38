// SPDX-License-Identifier: BSD-2-Clause
// Everything that judges frames, behind one face, so that a case is run through all of them.
//
//   model           the policy asked directly, without table or shared parser
//   native          the shared function in this process
//   native, pieces  the same on a frame in two buffers, cut anywhere
//   dpdk ...        the fast path's burst function, in one piece and in two;
//                   and through a port and out of the other, where DPDK is
//   xdp ...         the XDP program in the kernel, the table in a tier of each size
//   xdp, pieces     the same on a frame in several buffers
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/error.h"
#include "tests/verdict/case_table.h"

namespace moat::testing {

using Bytes = std::span<const std::uint8_t>;

struct JudgeResult {
  bool drop = false;
  std::uint32_t slot = 0;  // the one counter slot that the packet moved

  friend bool operator==(const JudgeResult&, const JudgeResult&) = default;
};

// "drop, slot 4101: no-rule, owner 1"; for people.
[[nodiscard]] std::string describe(const JudgeResult& outcome);

class Engine {
 public:
  Engine() = default;
  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] virtual std::string name() const = 0;
  // Which of the report's columns it belongs to: native, dpdk or xdp.
  [[nodiscard]] virtual std::string family() const = 0;
  // Whether it can be given such a frame at all.
  [[nodiscard]] virtual bool takes(Bytes frame) const = 0;
  // Makes `scene` what the following frames are judged by.
  [[nodiscard]] virtual Result<> use(const Scene& scene) = 0;
  // Judges a frame; an error where it did not move exactly one counter by one packet and its bytes,
  // or where one way to cut the frame gives another verdict than the rest.
  [[nodiscard]] virtual Result<JudgeResult> judge(const Scene& scene, Bytes frame) = 0;
};

// All of them. Needs root.
[[nodiscard]] Result<std::vector<std::unique_ptr<Engine>>> all_engines();

// Where a frame is worth cutting: everywhere a header may begin or end, and a few more.
[[nodiscard]] std::vector<std::uint32_t> cuts_of(Bytes frame);

}  // namespace moat::testing
