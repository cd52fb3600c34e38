// SPDX-License-Identifier: BSD-2-Clause
// Which network namespace this process, and what it attaches, is in.
#pragma once

#include <optional>
#include <string>

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/pinned.h"

namespace moat {

[[nodiscard]] Result<Netns> own_netns();

// "net:[4026531840]", with its name in /run/netns, if it has one: "db (net:[4026532290])".
[[nodiscard]] std::string describe(const Netns& netns);

// As the value of a map, which can be pinned.
[[nodiscard]] Result<Fd> make_netns_map(const Netns& netns);
[[nodiscard]] std::optional<Netns> read_netns_map(int fd);

}  // namespace moat
