// SPDX-License-Identifier: BSD-2-Clause
// Signatures as of ssh-keygen(1), which every host has.
#pragma once

#include <string_view>

#include "control/agent/agent_file.h"
#include "dataplane/error.h"

namespace moat {

// What is signed says by its namespace what it is for, so that a signature for something else is
// none: ssh-keygen -Y sign -f KEY -n moat LIST
inline constexpr std::string_view signature_namespace = "moat";

// Whether somebody who may has signed these bytes. Waits for ssh-keygen, some milliseconds.
[[nodiscard]] Result<> verify_signature(const SignatureSettings& settings, std::string_view bytes,
                                        std::string_view signature);

}  // namespace moat
