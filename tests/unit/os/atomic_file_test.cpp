// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>

#include "dataplane/fd.h"
#include "tests/support/stopped_at.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using Kind = WriteError::Kind;

struct stat status_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status;
}

TEST(ReplaceFile, writes_the_new_bytes_and_leaves_nothing_else) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  EXPECT_TRUE(replace_file(path, "old", "new"));
  EXPECT_EQ(folder.get("a.yaml"), "new");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(ReplaceFile, never_writes_into_the_old_file) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  const auto before = status_of(path).st_ino;
  ASSERT_TRUE(replace_file(path, "old", "new"));
  EXPECT_NE(status_of(path).st_ino, before);
}

TEST(ReplaceFile, refuses_a_file_that_says_something_else) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "edited");
  for (const std::string expected : {"", "edit", "edited more", "EDITED"}) {
    const auto outcome = replace_file(path, expected, "new");
    ASSERT_FALSE(outcome) << expected;
    EXPECT_EQ(outcome.error().kind, Kind::changed);
    EXPECT_NE(outcome.error().message.find(path), std::string::npos);
  }
  EXPECT_EQ(folder.get("a.yaml"), "edited");
  EXPECT_EQ(folder.count(), 1u);
}

bool is_rename(const SystemCall& call) {
  const auto number = call.entry.nr;
#ifdef SYS_rename
  if (number == SYS_rename) return true;
#endif
  return number == SYS_renameat || number == SYS_renameat2;
}

bool makes_a_file(const SystemCall& call) {
  return call.entry.nr == SYS_openat && (call.entry.args[2] & O_CREAT) != 0;
}

bool stopped_at_renames(const std::function<bool()>& act,
                        const std::function<void(int)>& meanwhile) {
  return stopped_at(is_rename, act, meanwhile);
}

void replace_as_editors_do(const TemporaryFolder& folder, const std::string& bytes) {
  const auto next = folder.put("editors.new", bytes);
  ASSERT_EQ(::rename(next.c_str(), (folder / "a.yaml").c_str()), 0);
}

TEST(ReplaceFile, gives_way_to_who_replaces_the_file_at_the_last_moment) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  const bool was_refused = stopped_at_renames(
      [&] {
        const auto outcome = replace_file(path, "old", "new");
        return !outcome && outcome.error().kind == Kind::changed;
      },
      [&](int rename) {
        if (rename == 1) replace_as_editors_do(folder, "the editor's");
      });
  EXPECT_TRUE(was_refused);
  EXPECT_EQ(folder.get("a.yaml"), "the editor's");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(ReplaceFile, gives_way_to_who_does_so_again_while_it_is_put_back) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  const bool was_refused =
      stopped_at_renames([&] { return !replace_file(path, "old", "new"); },
                         [&](int rename) {
                           if (rename <= 2) replace_as_editors_do(folder, std::to_string(rename));
                         });
  EXPECT_TRUE(was_refused);
  EXPECT_EQ(folder.get("a.yaml"), "2");
  EXPECT_EQ(folder.count(), 1u);
}

TEST(ReplaceFile, makes_no_file_of_one_that_is_removed_at_the_last_moment) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  const bool was_refused = stopped_at_renames([&] { return !replace_file(path, "old", "new"); },
                                              [&](int) { ::unlink(path.c_str()); });
  EXPECT_TRUE(was_refused);
  EXPECT_EQ(folder.count(), 0u);
}

TEST(ReplaceFile, keeps_the_mode) {
  const TemporaryFolder folder;
  for (const mode_t mode : {0600u, 0640u, 0664u, 0755u}) {
    const auto path = folder.put("a.yaml", "old", mode);
    ASSERT_TRUE(replace_file(path, "old", "new"));
    EXPECT_EQ(status_of(path).st_mode & 07777, mode);
  }
}

TEST(ReplaceFileAsRoot, keeps_the_owner) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  ASSERT_EQ(::chown(path.c_str(), 1234, 2345), 0);
  ASSERT_TRUE(replace_file(path, "old", "new"));
  EXPECT_EQ(status_of(path).st_uid, 1234u);
  EXPECT_EQ(status_of(path).st_gid, 2345u);
}

// What getfacl shows as: user::rw- user:1234:NAMED group::r-- mask::rw- other::r--
std::string acl(std::uint16_t named) {
  constexpr std::uint32_t nobody = ACL_UNDEFINED_ID;
  const std::array<posix_acl_xattr_entry, 5> entries{{{ACL_USER_OBJ, 6, nobody},
                                                      {ACL_USER, named, 1234},
                                                      {ACL_GROUP_OBJ, 4, nobody},
                                                      {ACL_MASK, 6, nobody},
                                                      {ACL_OTHER, 4, nobody}}};
  const posix_acl_xattr_header header{POSIX_ACL_XATTR_VERSION};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  return bytes.append(reinterpret_cast<const char*>(entries.data()), sizeof(entries));
}

void set_attribute(const std::string& path, const char* name, const std::string& value) {
  ASSERT_EQ(::setxattr(path.c_str(), name, value.data(), value.size(), 0), 0) << name;
}

std::string attribute(const std::string& path, const char* name) {
  std::string value(256, '\0');
  const auto size = ::getxattr(path.c_str(), name, value.data(), value.size());
  if (size < 0) return "none";
  value.resize(static_cast<std::size_t>(size));
  return value;
}

constexpr const char* access_acl = "system.posix_acl_access";

TEST(ReplaceFileAsRoot, keeps_the_acl_and_other_attributes) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  set_attribute(path, access_acl, acl(6));
  set_attribute(path, "user.note", "of the auditor");
  const auto mode = status_of(path).st_mode;
  ASSERT_TRUE(replace_file(path, "old", "new"));
  EXPECT_EQ(attribute(path, access_acl), acl(6));
  EXPECT_EQ(attribute(path, "user.note"), "of the auditor");
  EXPECT_EQ(status_of(path).st_mode, mode);
}

TEST(ReplaceFileAsRoot, gives_nobody_what_only_new_files_of_the_folder_would_give) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old", 0644);
  set_attribute(folder.path(), "system.posix_acl_default", acl(6));
  ASSERT_TRUE(replace_file(path, "old", "new"));
  EXPECT_EQ(attribute(path, access_acl), "none");
  EXPECT_EQ(status_of(path).st_mode & 07777, 0644u);
}

TEST(ReplaceFile, follows_symlinks_and_keeps_them) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  const auto real = elsewhere.put("real", "old");
  ASSERT_EQ(::symlink(real.c_str(), (elsewhere / "between").c_str()), 0);
  ASSERT_EQ(::symlink((elsewhere / "between").c_str(), (folder / "a.yaml").c_str()), 0);
  ASSERT_TRUE(replace_file(folder / "a.yaml", "old", "new"));
  EXPECT_EQ(elsewhere.get("real"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "a.yaml"));
}

// Who owns a folder on the way may put a symlink in its place at any time.
TEST(ReplaceFile, is_led_nowhere_else_by_a_folder_that_becomes_a_symlink) {
  const TemporaryFolder home;
  const TemporaryFolder elsewhere;
  elsewhere.put("a.yaml", "old");
  std::filesystem::create_directory(home / "rules");
  const auto path = home.put("rules/a.yaml", "old");
  const bool is_done = stopped_at(
      makes_a_file, [&] { return replace_file(path, "old", "new").has_value(); },
      [&](int) {
        std::filesystem::rename(home / "rules", home / "kept");
        std::filesystem::create_directory_symlink(elsewhere.path(), home / "rules");
      });
  EXPECT_TRUE(is_done);
  EXPECT_EQ(elsewhere.get("a.yaml"), "old");
  EXPECT_EQ(elsewhere.count(), 1u);
  EXPECT_EQ(home.get("kept/a.yaml"), "new");
}

TEST(ReplaceFile, is_led_nowhere_else_by_a_file_that_becomes_a_symlink) {
  const TemporaryFolder folder;
  const TemporaryFolder elsewhere;
  const auto other = elsewhere.put("other", "old");
  const auto path = folder.put("a.yaml", "old");
  const bool was_refused = stopped_at(
      makes_a_file, [&] { return !replace_file(path, "old", "new"); },
      [&](int) {
        ::unlink(path.c_str());
        EXPECT_EQ(::symlink(other.c_str(), path.c_str()), 0);
      });
  EXPECT_TRUE(was_refused);
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_EQ(folder.count(), 1u);
}

TEST(ReplaceFile, refuses_a_read_only_file_by_name_even_for_root) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old", 0444);
  const auto outcome = replace_file(path, "old", "new");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, Kind::read_only);
  EXPECT_EQ(outcome.error().message, path + " is read-only (mode 0444)");
  EXPECT_EQ(folder.get("a.yaml"), "old");
}

TEST(ReplaceFile, says_how_to_find_who_has_the_file_open_for_writing) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.yaml", "old");
  const Fd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const auto outcome = replace_file(path, "old", "new");
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "somebody has " + path + " open for writing");
  EXPECT_TRUE(outcome.error().remedy.ends_with("fuser -v " + path)) << outcome.error().remedy;
}

TEST(ReplaceFile, refuses_what_is_not_there_or_no_file) {
  const TemporaryFolder folder;
  EXPECT_FALSE(replace_file(folder / "none", "", "new"));
  EXPECT_FALSE(replace_file(folder.path(), "", "new"));
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0644), 0);
  EXPECT_FALSE(replace_file(folder / "fifo", "", "new"));
  ASSERT_EQ(::symlink("nowhere", (folder / "dangling").c_str()), 0);
  const auto outcome = replace_file(folder / "dangling", "", "new");
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message.find("symlink"), std::string::npos);
}

TEST(WriteFile, creates_and_replaces) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_file(folder / "state", "one", 0600));
  EXPECT_EQ(folder.get("state"), "one");
  EXPECT_EQ(status_of(folder / "state").st_mode & 07777, 0600u);
  ASSERT_TRUE(write_file(folder / "state", "two", 0644));
  EXPECT_EQ(folder.get("state"), "two");
  EXPECT_EQ(status_of(folder / "state").st_mode & 07777, 0600u);
  EXPECT_EQ(folder.count(), 1u);
}

TEST(WriteAmongOthers, replaces_a_symlink_and_leaves_what_it_leads_to_alone) {
  const TemporaryFolder folder;
  const auto elsewhere = folder.put("moat.yaml", "interfaces: [eth0]\n");
  const auto path = folder.path() + "/.moat-agent.refresh";
  std::filesystem::create_symlink(elsewhere, path);
  ASSERT_TRUE(write_among_others(path, "news\n", 0644));
  EXPECT_FALSE(std::filesystem::is_symlink(path));
  EXPECT_EQ(folder.get(".moat-agent.refresh"), "news\n");
  EXPECT_EQ(folder.get("moat.yaml"), "interfaces: [eth0]\n");
  ASSERT_TRUE(write_among_others(path, "more\n", 0600));
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));
}

TEST(WriteFile, says_which_folder_is_missing) {
  const TemporaryFolder folder;
  const auto outcome = write_file(folder / "none/state", "one");
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message.find(folder / "none/state"), std::string::npos);
}

TEST(WriteFile, a_write_that_fails_leaves_the_old_file_alone) {
  const TemporaryFolder folder;
  folder.put("state", "old");
  const auto write_with_limit = [&folder] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto outcome = write_file(folder / "state", std::string(4096, 'x'));
    std::_Exit(!outcome && outcome.error().kind == Kind::failed ? 0 : 1);
  };
  EXPECT_EXIT(write_with_limit(), testing::ExitedWithCode(0), "");
  EXPECT_EQ(folder.get("state"), "old");
  EXPECT_EQ(folder.count(), 1u);
}

// Runs `check` where `folder` is a file system of 64 KiB of its own. False: not allowed here.
bool run_on_small_disk(const std::string& folder, const std::function<bool()>& check) {
  const auto child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", "", MS_REC | MS_PRIVATE, "") != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") != 0) {
      std::_Exit(77);
    }
    std::_Exit(check() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return false;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return true;
}

TEST(SmallDiskAsRoot, a_full_disk_changes_nothing_and_is_named) {
  const TemporaryFolder folder;
  const auto ran = run_on_small_disk(folder.path(), [&folder] {
    folder.put("a.yaml", "old");
    const auto outcome = replace_file(folder / "a.yaml", "old", std::string(1 << 20, 'x'));
    return !outcome && outcome.error().message.find("No space left") != std::string::npos &&
           outcome.error().remedy.find("make room") != std::string::npos &&
           folder.get("a.yaml") == "old" && folder.count() == 1;
  });
  if (!ran) GTEST_SKIP() << "no mount namespace";
}

TEST(SmallDiskAsRoot, a_read_only_file_system_is_named) {
  const TemporaryFolder folder;
  const auto ran = run_on_small_disk(folder.path(), [&folder] {
    folder.put("a.yaml", "old");
    ::mount("", folder.path().c_str(), "", MS_REMOUNT | MS_RDONLY, "");
    const auto outcome = replace_file(folder / "a.yaml", "old", "new");
    return !outcome && outcome.error().kind == Kind::read_only &&
           outcome.error().message.find("Read-only file system") != std::string::npos &&
           !write_file(folder / "b", "new");
  });
  if (!ran) GTEST_SKIP() << "no mount namespace";
}

TEST(SmallDiskAsRoot, the_folder_that_a_symlink_leads_to_is_named_where_it_is_read_only) {
  const TemporaryFolder folder;
  const TemporaryFolder links;
  std::filesystem::create_symlink(folder / "a.yaml", links / "a.yaml");
  const auto ran = run_on_small_disk(folder.path(), [&] {
    folder.put("a.yaml", "old");
    ::mount("", folder.path().c_str(), "", MS_REMOUNT | MS_RDONLY, "");
    const auto outcome = replace_file(links / "a.yaml", "old", "new");
    return !outcome &&
           outcome.error().remedy.ends_with("name " + folder.path() + " in ReadWritePaths=");
  });
  if (!ran) GTEST_SKIP() << "no mount namespace";
}

TEST(SmallDiskAsRoot, a_file_that_is_mounted_by_itself_is_told_and_left_alone) {
  const TemporaryFolder folder;
  const auto ran = run_on_small_disk(folder.path(), [&folder] {
    folder.put("real", "old");
    folder.put("a.yaml", "");
    if (::mount((folder / "real").c_str(), (folder / "a.yaml").c_str(), "", MS_BIND, "") != 0)
      return false;
    const auto outcome = replace_file(folder / "a.yaml", "old", "new");
    return !outcome && outcome.error().message.find("busy") != std::string::npos &&
           outcome.error().remedy.find("mount its folder instead") != std::string::npos &&
           folder.get("a.yaml") == "old" && folder.count() == 2;
  });
  if (!ran) GTEST_SKIP() << "no mount namespace";
}

TEST(Leftovers, only_temporary_files_are_removed) {
  const TemporaryFolder folder;
  for (const auto* name : {".state.moat-a1B2c3", "state", ".state", ".state.moat-long-name"}) {
    folder.put(name, "x");
  }
  remove_leftovers(folder.path());
  EXPECT_EQ(folder.count(), 3u);
  EXPECT_FALSE(std::filesystem::exists(folder / ".state.moat-a1B2c3"));
}

void make_old(const std::string& path) {
  const timespec long_ago = {.tv_sec = ::time(nullptr) - 7'200, .tv_nsec = 0};
  const std::array<timespec, 2> times = {long_ago, long_ago};
  EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW), 0) << path;
}

TEST(OldLeftovers, only_regular_files_of_ones_own_that_are_old_are_removed) {
  const TemporaryFolder folder;
  folder.put(".a.yaml.moat-a1B2c3", "x");
  folder.put(".b.yaml.moat-a1B2c3", "of an edit that goes on");
  folder.put("a.yaml", "x");
  folder.put(".a.yaml.swp", "x");
  std::filesystem::create_symlink(folder / "a.yaml", folder / ".c.yaml.moat-a1B2c3");
  std::filesystem::create_directory(folder / ".d.yaml.moat-a1B2c3");
  for (const auto* name : {".a.yaml.moat-a1B2c3", "a.yaml", ".a.yaml.swp", ".c.yaml.moat-a1B2c3",
                           ".d.yaml.moat-a1B2c3"})
    make_old(folder / name);
  remove_old_leftovers(folder.path());
  EXPECT_EQ(folder.count(), 5u);
  EXPECT_FALSE(std::filesystem::exists(folder / ".a.yaml.moat-a1B2c3"));
}

TEST(OldLeftoversAsRoot, what_is_of_another_owner_stays) {
  const TemporaryFolder folder;
  folder.put(".a.yaml.moat-a1B2c3", "x");
  ASSERT_EQ(::chown((folder / ".a.yaml.moat-a1B2c3").c_str(), 1000, 1000), 0) << "needs root";
  make_old(folder / ".a.yaml.moat-a1B2c3");
  remove_old_leftovers(folder.path());
  EXPECT_EQ(folder.count(), 1u);
}

}  // namespace
}  // namespace moat
