// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/user_name.h"

#include <fmt/format.h>
#include <pwd.h>

#include <vector>

namespace moat {

std::string user_name(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return fmt::format("uid {}", uid);
  }
  return found->pw_name;
}

}  // namespace moat
