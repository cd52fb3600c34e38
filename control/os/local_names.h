// SPDX-License-Identifier: BSD-2-Clause
// Users and groups as /etc/passwd and /etc/group have them. No name service is asked (LDAP, sssd):
// it may not answer before there is a network, and the guard does not wait for one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace moat {

// "root", or "uid 1234" for a user without a name there.
[[nodiscard]] std::string user_name(uid_t uid);

[[nodiscard]] std::optional<gid_t> find_group(const std::string& name);

}  // namespace moat
