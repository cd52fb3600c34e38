// SPDX-License-Identifier: BSD-2-Clause
// Writes rule files of the agent's own: atomically, and only what moatd's own reader takes. A file
// without the agent's mark is somebody else's and is left alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "control/policy/policy.h"
#include "dataplane/error.h"

namespace moat {

struct WriteResult {
  bool is_changed = false;
  std::size_t added = 0;  // prefixes
  std::size_t removed = 0;
};

enum class WriteMode { write, try_out };

// Where a managed range of the agent's is: FOLDER/ID.yaml, and its CIDRs in FOLDER/ID.txt.
[[nodiscard]] std::string range_path(const std::string& folder, const std::string& id);
[[nodiscard]] std::string list_path(const std::string& folder, const std::string& id);

// The CIDRs that are there; empty: there are none that can be used.
[[nodiscard]] Prefixes written_cidrs(const std::string& folder, const std::string& id);

// The digest of the CIDRs that are there; empty: there are none that can be used.
[[nodiscard]] std::string written_digest(const std::string& folder, const std::string& id);

// Nothing is written where the files say the same already.
[[nodiscard]] Result<WriteResult> write_range(const std::string& folder, const std::string& id,
                                              const std::string& name, const Prefixes& cidrs,
                                              WriteMode mode);

// Writes one file that a reader has found good, with the mark before `bytes`. True if it said
// something else before.
[[nodiscard]] Result<bool> write_marked(const std::string& path, std::string_view bytes,
                                        WriteMode mode);

// `bytes` with the mark as their first line.
[[nodiscard]] std::string marked(std::string_view bytes);

}  // namespace moat
