// SPDX-License-Identifier: BSD-2-Clause
// Another user of the host, who acts in a process of his own. Needs root.
#pragma once

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace moat {

inline constexpr uid_t stranger_uid = 65534;

// Whether `act` returned true there.
template <typename Act>
bool as_stranger(Act act) {
  const pid_t child = fork();
  if (child == 0) {
    const bool is_one = setgroups(0, nullptr) == 0 &&
                        setresgid(stranger_uid, stranger_uid, stranger_uid) == 0 &&
                        setresuid(stranger_uid, stranger_uid, stranger_uid) == 0;
    _exit(is_one && act() ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

}  // namespace moat
