// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/own_folder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/stranger.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

class OwnFolderAsRoot : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(geteuid(), 0u) << "needs root: files of another user"; }

  std::string make(const std::string& name, mode_t mode, uid_t owner = 0) {
    const std::string path = home_ / name;
    EXPECT_EQ(mkdir(path.c_str(), 0700), 0) << path;
    EXPECT_EQ(chmod(path.c_str(), mode), 0) << path;
    EXPECT_EQ(chown(path.c_str(), owner, owner), 0) << path;
    return path;
  }

  TemporaryFolder home_;
};

TEST_F(OwnFolderAsRoot, may_be_read_by_all) {
  const auto path = make("moat", 0755);
  EXPECT_TRUE(check_own_folder(path));
  EXPECT_TRUE(check_own_folder(path + "/"));
}

TEST_F(OwnFolderAsRoot, is_no_strangers) {
  const auto path = make("moat", 0700, stranger_uid);
  const auto checked = check_own_folder(path);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message, path + " belongs to another user, uid 65534");
  EXPECT_EQ(checked.error().remedy, "if it should be Moat's: chown 0 " + path);
}

TEST_F(OwnFolderAsRoot, is_not_writable_by_others) {
  for (const mode_t mode : {0720u, 0702u, 01777u}) {
    const auto path = make(fmt::format("{:o}", mode), mode);
    const auto checked = check_own_folder(path);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().message,
              fmt::format("{} is writable by others (mode {:04o})", path, mode));
    EXPECT_EQ(checked.error().remedy, "chmod go-w " + path);
  }
}

TEST_F(OwnFolderAsRoot, may_lie_in_a_folder_for_all_where_nobody_can_replace_it) {
  make("sticky", 01777);
  EXPECT_TRUE(check_own_folder(make("sticky/moat", 0700)));
  make("loose", 0777);
  const auto moat = make("loose/moat", 0700);
  EXPECT_FALSE(check_own_folder(moat));
  EXPECT_FALSE(check_folders_above(moat));
  make("strange", 01777, stranger_uid);
  EXPECT_FALSE(check_own_folder(make("strange/moat", 0700)));
}

TEST_F(OwnFolderAsRoot, is_found_through_symlinks_that_no_stranger_has_made) {
  const auto sticky = make("sticky", 01777);
  const auto moat = make("moat", 0700);
  const auto ours = home_ / "ours";
  ASSERT_EQ(symlink("moat", ours.c_str()), 0);
  EXPECT_TRUE(check_own_folder(ours));
  const auto strange = sticky + "/link";
  ASSERT_EQ(symlink(moat.c_str(), strange.c_str()), 0);
  ASSERT_EQ(lchown(strange.c_str(), stranger_uid, stranger_uid), 0);
  EXPECT_FALSE(check_own_folder(strange));
  const auto by_way_of_it = home_ / "by-way-of-it";
  ASSERT_EQ(symlink("sticky/link", by_way_of_it.c_str()), 0);
  EXPECT_FALSE(check_own_folder(by_way_of_it));
}

TEST_F(OwnFolderAsRoot, may_not_be_a_circle_of_symlinks) {
  const auto circle = home_ / "circle";
  ASSERT_EQ(symlink("circle", circle.c_str()), 0);
  const auto checked = check_own_folder(circle);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("Too many levels of symbolic links"), std::string::npos);
}

// To what people write.
TEST_F(OwnFolderAsRoot, is_on_a_way_that_only_people_who_were_let_in_can_change) {
  make("rules", 0777);
  const auto dbs = make("rules/dbs", 0755);
  const auto loose = check_way_to(dbs);
  ASSERT_FALSE(loose);
  EXPECT_EQ(loose.error().message, home_ / "rules" + " is writable by others (mode 0777)");
  EXPECT_EQ(loose.error().remedy, "chmod o-w " + home_ / "rules");
  ASSERT_EQ(chmod((home_ / "rules").c_str(), 01777), 0);
  EXPECT_TRUE(check_way_to(dbs)) << "what root has there stays";
  ASSERT_EQ(chmod((home_ / "rules").c_str(), 02775), 0);
  EXPECT_TRUE(check_way_to(dbs)) << "a group is let in by root";
  ASSERT_EQ(chown((home_ / "rules").c_str(), stranger_uid, 0), 0);
  EXPECT_FALSE(check_way_to(dbs));
  EXPECT_TRUE(check_way_to(dbs, stranger_uid)) << "who is let in";
  make("mine", 0755, stranger_uid);
  EXPECT_TRUE(check_way_to(home_ / "mine")) << "the end may be anybody's";
}

TEST_F(OwnFolderAsRoot, is_on_a_way_through_symlinks) {
  make("loose", 0777);
  const auto dbs = make("dbs", 0755);
  ASSERT_EQ(symlink(dbs.c_str(), (home_ / "loose/link").c_str()), 0);
  ASSERT_EQ(symlink("loose/link", (home_ / "link").c_str()), 0);
  EXPECT_FALSE(check_way_to(home_ / "loose/link"));
  EXPECT_FALSE(check_way_to(home_ / "link"));
  ASSERT_EQ(chmod((home_ / "loose").c_str(), 0755), 0);
  EXPECT_TRUE(check_way_to(home_ / "link"));
  ASSERT_EQ(lchown((home_ / "loose/link").c_str(), stranger_uid, stranger_uid), 0);
  EXPECT_FALSE(check_way_to(home_ / "link"));
}

TEST_F(OwnFolderAsRoot, is_made_with_those_above_it) {
  const auto mask = umask(0);
  const auto made = make_own_folder(home_ / "var/lib/moat", 0750);
  umask(mask);
  ASSERT_TRUE(made) << made.error().message;
  struct stat status = {};
  ASSERT_EQ(stat((home_ / "var/lib").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777u, 0750u);
}

}  // namespace
}  // namespace moat
