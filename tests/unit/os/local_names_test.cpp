// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/local_names.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>

#include "control/os/control_socket.h"
#include "tests/support/temporary_folder.h"

// In this program these are what the C library's functions would be: they ask name services, which
// may not answer for minutes.
extern "C" {
int getpwuid_r(uid_t, struct passwd*, char*, size_t, struct passwd**) {
  ADD_FAILURE() << "a name service is asked for a user";
  return EIO;
}
int getgrnam_r(const char*, struct group*, char*, size_t, struct group**) {
  ADD_FAILURE() << "a name service is asked for a group";
  return EIO;
}
}

namespace moat {
namespace {

TEST(LocalNames, AreThoseOfUsersInTheFile) {
  EXPECT_EQ(user_name(0), "root");
  EXPECT_EQ(user_name(4'242'424), "uid 4242424");
}

TEST(LocalNames, AreThoseOfGroupsInTheFile) {
  EXPECT_EQ(find_group("root"), 0u);
  EXPECT_EQ(find_group("moat-no-such-group"), std::nullopt);
  EXPECT_EQ(find_group(""), std::nullopt);
}

TEST(LocalNames, AreAllThatTheControlSocketAsksFor) {
  const TemporaryFolder folder;
  EXPECT_TRUE(listen_on(folder / "moatd.sock", "moat-no-such-group"));
}

}  // namespace
}  // namespace moat
