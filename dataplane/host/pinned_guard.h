// SPDX-License-Identifier: BSD-2-Clause
// What of Moat's guard stands in the kernel, as the pins in a folder tell: for the command, while
// no moatd runs. By bpf(2) itself: the command does without libbpf.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

// What the link in one of Moat's places runs, the worst first. `unknown`: the pin of Moat's program
// is gone, and what is there cannot be compared with it.
enum class Runs : std::uint8_t { another, nothing, unknown, moats };

struct PinnedGuard {
  bool has_pins = false;
  bool has_table = false;  // a table is live
  // Whose rules are enforced; 0: none are, or the table cannot be read, as its pin is gone or a
  // moatd of another version made it.
  std::uint64_t generation = 0;
  std::uint32_t databases = 0;
  std::uint32_t monitored = 0;  // of these, in monitor mode: everything passes
  std::uint32_t prefixes = 0;
  // Guarded ports are closed to everyone, as the table was taken away.
  bool is_closed = false;
  // Why the pins do not tell which rules the programs go by; empty: they do.
  std::string doubt;
  std::vector<std::string> interfaces;  // that Moat's program is on
  std::vector<std::string> foreign;     // where a link of Moat's runs another program
  std::vector<std::string> unknown;     // where a link of Moat's runs what cannot be compared
  std::vector<std::string> gone;        // pins of interfaces that are gone, or moved elsewhere
  bool is_elsewhere = false;            // all this is of another network namespace
  Runs at_sockets = Runs::nothing;      // the backstop
  // Of IPv4 and IPv6 the worse. The kernel does not tell of a link there whether it was detached: it
  // is no proof by itself that anything is guarded.
  Runs before_sockets = Runs::nothing;

  [[nodiscard]] bool is_attached() const {
    return !interfaces.empty() || at_sockets == Runs::moats;
  }
  [[nodiscard]] bool has_rules() const { return has_table || is_closed || !doubt.empty(); }
  [[nodiscard]] bool stands() const { return has_rules() && is_attached(); }
  // Nothing of Moat's is known to be attached, and something may be.
  [[nodiscard]] bool is_doubtful() const {
    return !is_attached() && (!unknown.empty() || at_sockets == Runs::unknown ||
                              before_sockets == Runs::unknown || before_sockets == Runs::moats);
  }
};

// Changes nothing. An empty guard where there are no pins. Error: they cannot be looked at, as by
// others than root, or without CAP_BPF: then nobody can say what stands.
[[nodiscard]] Result<PinnedGuard> look_at_pins(const std::string& folder);

}  // namespace moat
