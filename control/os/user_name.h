// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <string>

namespace moat {

// "root", or "uid 1234" for a user without a name.
[[nodiscard]] std::string user_name(uid_t uid);

}  // namespace moat
