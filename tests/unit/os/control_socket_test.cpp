// SPDX-License-Identifier: BSD-2-Clause
// The socket as it is found on disk: whose it is, and what it takes the place of.
#include "control/os/control_socket.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

struct stat status_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

bool is_answered(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

TEST(ControlSocketAsRoot, IsForOwnerAndGroupAlone) {
  const TemporaryFolder folder;
  const auto path = folder / "moatd.sock";
  const auto* group = ::getgrnam("daemon");
  ASSERT_NE(group, nullptr);
  const auto gid = group->gr_gid;
  const auto listener = listen_on(path, "daemon");
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_EQ(status_of(path).st_mode, S_IFSOCK | 0660u);
  EXPECT_EQ(status_of(path).st_gid, gid);
  EXPECT_TRUE(is_answered(path));
}

TEST(ControlSocket, StaysItsOwnersWhereThereIsNoSuchGroup) {
  const TemporaryFolder folder;
  const auto path = folder / "deeper/moatd.sock";
  const auto listener = listen_on(path, "moat-no-such-group");
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_EQ(status_of(path).st_mode, S_IFSOCK | 0660u);
  EXPECT_EQ(status_of(path).st_gid, ::getegid());
}

TEST(ControlSocket, IsNotPutWhereOthersCanTakeItsName) {
  const TemporaryFolder folder;
  ASSERT_EQ(::chmod(folder.path().c_str(), 01777), 0);
  const auto listener = listen_on(folder / "moatd.sock", "");
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().message, folder.path() + " is writable by others (mode 1777)");
}

TEST(ControlSocket, TakesThePlaceOfOneThatNobodyAnswersOn) {
  const TemporaryFolder folder;
  const auto path = folder / "moatd.sock";
  ASSERT_TRUE(listen_on(path, ""));  // and closed again: what a killed daemon leaves behind
  EXPECT_FALSE(is_answered(path));
  const auto listener = listen_on(path, "");
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(is_answered(path));
}

TEST(ControlSocket, LeavesAloneWhatSomebodyAnswersOn) {
  const TemporaryFolder folder;
  const auto path = folder / "moatd.sock";
  const auto first = listen_on(path, "");
  ASSERT_TRUE(first);
  const auto second = listen_on(path, "");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("somebody listens on " + path), std::string::npos);
  EXPECT_TRUE(is_answered(path));
}

TEST(ControlSocket, LeavesAloneWhatIsNoSocket) {
  const TemporaryFolder folder;
  const auto path = folder.put("moatd.sock", "mine");
  const auto listener = listen_on(path, "");
  ASSERT_FALSE(listener);
  EXPECT_NE(listener.error().message.find("is no socket"), std::string::npos);
  EXPECT_EQ(folder.get("moatd.sock"), "mine");
}

TEST(ControlSocket, IsTellableFromAnotherInItsPlace) {
  const TemporaryFolder folder;
  const auto path = folder / "moatd.sock";
  EXPECT_EQ(socket_at(path), std::nullopt);
  const auto first = listen_on(path, "");
  const auto at_first = socket_at(path);
  ASSERT_TRUE(at_first);
  EXPECT_EQ(socket_at(path), at_first);
  std::filesystem::rename(path, folder / "kept");  // so that its inode is not used again
  EXPECT_EQ(socket_at(path), std::nullopt);
  const auto second = listen_on(path, "");
  ASSERT_TRUE(socket_at(path));
  EXPECT_NE(socket_at(path), at_first);
}

TEST(ControlSocket, NamesAPathThatIsTooLong) {
  const TemporaryFolder folder;
  const auto listener = listen_on(folder / std::string(200, 'x'), "");
  ASSERT_FALSE(listener);
  EXPECT_NE(listener.error().message.find("name too long"), std::string::npos)
      << listener.error().message;
}

}  // namespace
}  // namespace moat
