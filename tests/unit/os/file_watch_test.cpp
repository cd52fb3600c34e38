// SPDX-License-Identifier: BSD-2-Clause
// On a real folder: each way in which a file can come to say something else.
#include "control/os/file_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/shared_mapping.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

class WatchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "moat-watch-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    home_ = name;
    fs::create_directories(home_ / "etc/databases.d");
    write("etc/moat.yaml", "1");
    write("etc/databases.d/orders.yaml", "1");
  }
  void TearDown() override { fs::remove_all(home_); }

  void write(const fs::path& path, const std::string& text) const {
    std::ofstream(home_ / path) << text;
  }
  void follow(const std::vector<std::string>& paths) {
    std::vector<std::string> whole;
    for (const auto& path : paths) whole.push_back(home_ / path);
    watch_.follow(whole);
    EXPECT_EQ(watch_.problem(), "");
    (void)watch_.drain();  // of what was done before
  }
  void follow_all() { follow({"etc/moat.yaml", "etc/databases.d"}); }

  // The kernel queues events before the call that causes them returns, so there is no waiting.
  bool heard() { return watch_.drain().changed; }

  bool is_being_written(const fs::path& path) {
    struct stat status{};
    EXPECT_EQ(stat((home_ / path).c_str(), &status), 0);
    return watch_.is_being_written({status.st_dev, status.st_ino});
  }

  fs::path home_;
  Watch watch_;
};

TEST_F(WatchTest, IsSilentWhileNothingHappens) {
  follow_all();
  EXPECT_FALSE(heard());
  std::ifstream(home_ / "etc/moat.yaml").get();
  EXPECT_FALSE(heard()) << "reading is no change";
}

TEST_F(WatchTest, HearsOfAFileWrittenInPlace) {
  follow_all();
  write("etc/databases.d/orders.yaml", "2");
  EXPECT_TRUE(heard());
  write("etc/moat.yaml", "2");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, TellsWhichFilesSomebodyCouldWriteToAndHasClosed) {
  follow_all();
  (void)watch_.take_closed();
  const auto path = home_ / "etc/databases.d/orders.yaml";
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  {
    const SharedMapping writer(path);
    writer.replace("1", "2");
    EXPECT_EQ(watch_.take_closed(), std::set<FileId>());
  }
  EXPECT_EQ(watch_.take_closed(), (std::set<FileId>{{status.st_dev, status.st_ino}}));
  EXPECT_EQ(watch_.take_closed(), std::set<FileId>());
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, HearsOfAFileRenamedOverAnother) {
  follow_all();
  write("etc/databases.d/.orders.yaml.new", "2");
  EXPECT_FALSE(heard()) << "a temporary file is none of its business";
  fs::rename(home_ / "etc/databases.d/.orders.yaml.new", home_ / "etc/databases.d/orders.yaml");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, HearsOfFilesThatComeGoAndChangeTheirMode) {
  follow_all();
  write("etc/databases.d/new.yaml", "1");
  EXPECT_TRUE(heard());
  fs::permissions(home_ / "etc/databases.d/new.yaml", fs::perms::all);
  EXPECT_TRUE(heard());
  fs::remove(home_ / "etc/databases.d/new.yaml");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, PassesOverNeighboursOfASingleFile) {
  follow({"etc/moat.yaml"});
  write("etc/other.yaml", "1");
  EXPECT_FALSE(heard());
}

TEST_F(WatchTest, HearsOfTheTargetOfASymlink) {
  write("elsewhere.yaml", "1");
  fs::create_symlink(home_ / "elsewhere.yaml", home_ / "etc/databases.d/link.yaml");
  follow({"etc/databases.d", "etc/databases.d/link.yaml"});
  write("elsewhere.yaml", "2");
  EXPECT_TRUE(heard());
  write("elsewhere.new", "3");
  EXPECT_FALSE(heard());
  fs::rename(home_ / "elsewhere.new", home_ / "elsewhere.yaml");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, HearsOfAFolderWhoseSymlinkIsSwapped) {
  fs::create_directories(home_ / "one/databases.d");
  fs::create_directories(home_ / "two/databases.d");
  fs::create_symlink("one", home_ / "current");
  follow({"current/databases.d"});
  fs::create_symlink("two", home_ / "next");
  EXPECT_FALSE(heard());
  fs::rename(home_ / "next", home_ / "current");
  EXPECT_TRUE(heard());

  follow({"current/databases.d"});
  write("two/databases.d/orders.yaml", "1");
  EXPECT_TRUE(heard());
  write("one/databases.d/orders.yaml", "1");
  EXPECT_FALSE(heard()) << "no longer wanted";
}

TEST_F(WatchTest, HearsOfHiddenLinksThatFilesLeadThrough) {
  fs::create_directories(home_ / "etc/databases.d/..1");
  fs::create_directories(home_ / "etc/databases.d/..2");
  fs::create_symlink("..1", home_ / "etc/databases.d/..data");
  fs::create_symlink("..data/app.yaml", home_ / "etc/databases.d/app.yaml");
  follow({"etc/databases.d", "etc/databases.d/app.yaml"});
  fs::create_symlink("..2", home_ / "etc/databases.d/..data_tmp");
  fs::rename(home_ / "etc/databases.d/..data_tmp", home_ / "etc/databases.d/..data");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, HearsOfAFolderAboveThatIsReplaced) {
  follow_all();
  fs::rename(home_ / "etc", home_ / "etc.old");
  EXPECT_TRUE(heard());
  fs::create_directories(home_ / "etc/databases.d");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, WaitsForWhatIsNotThereYet) {
  follow({"later/databases.d"});
  fs::create_directory(home_ / "unrelated");
  EXPECT_FALSE(heard());
  fs::create_directory(home_ / "later");
  EXPECT_TRUE(heard());
  EXPECT_TRUE(watch_.follow({home_ / "later/databases.d"}));
  fs::create_directory(home_ / "later/databases.d");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, HearsOfAWriteThroughAnotherNameOfTheFile) {
  fs::create_hard_link(home_ / "etc/databases.d/orders.yaml", home_ / "alias");
  follow({"etc/databases.d", "etc/databases.d/orders.yaml"});
  write("alias", "2");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, SaysWhetherAnythingNewIsWatched) {
  const std::vector<std::string> paths = {home_ / "etc/moat.yaml"};
  EXPECT_TRUE(watch_.follow(paths));
  EXPECT_FALSE(watch_.follow(paths));
}

TEST_F(WatchTest, SurvivesLinksThatLeadNowhereOrInACircle) {
  fs::create_symlink("circle", home_ / "circle");
  fs::create_symlink("missing/file", home_ / "dangling");
  follow({"circle", "circle/below", "dangling"});
  EXPECT_FALSE(heard());
  fs::create_directory(home_ / "missing");
  EXPECT_TRUE(heard());
}

TEST_F(WatchTest, KnowsAFileThatIsStillBeingWritten) {
  follow({"etc/databases.d", "etc/databases.d/orders.yaml"});
  std::ofstream file(home_ / "etc/databases.d/orders.yaml");
  file << "1" << std::flush;
  EXPECT_TRUE(is_being_written("etc/databases.d/orders.yaml"));
  EXPECT_TRUE(heard()) << "being asked has not used it up";
  write("etc/databases.d/new.yaml", "1");
  EXPECT_TRUE(heard());
  EXPECT_FALSE(is_being_written("etc/databases.d/new.yaml")) << "that one is closed";
  EXPECT_TRUE(is_being_written("etc/databases.d/orders.yaml"));
  file.close();
  EXPECT_FALSE(is_being_written("etc/databases.d/orders.yaml"));
}

TEST_F(WatchTest, KnowsAFileInPiecesByAnyName) {
  fs::create_hard_link(home_ / "etc/databases.d/orders.yaml", home_ / "alias");
  fs::create_symlink("../../real", home_ / "etc/databases.d/link.yaml");
  write("real", "1");
  follow({"etc/databases.d", "etc/databases.d/orders.yaml", "etc/databases.d/link.yaml"});
  for (const auto& [written, asked] : {std::pair("alias", "etc/databases.d/orders.yaml"),
                                       std::pair("real", "etc/databases.d/link.yaml")}) {
    std::ofstream file(home_ / written);
    file << "1" << std::flush;
    EXPECT_TRUE(is_being_written(asked));
    file.close();
    EXPECT_FALSE(is_being_written(asked));
  }
}

TEST_F(WatchTest, WaitsForNoWriterOfAFileThatIsReplaced) {
  follow_all();
  std::ofstream file(home_ / "etc/databases.d/orders.yaml");
  file << "1" << std::flush;
  write("etc/databases.d/.new", "2");
  fs::rename(home_ / "etc/databases.d/.new", home_ / "etc/databases.d/orders.yaml");
  EXPECT_TRUE(heard());
  EXPECT_FALSE(is_being_written("etc/databases.d/orders.yaml"));
}

TEST_F(WatchTest, AdmitsAnOverrunQueue) {
  follow_all();
  std::ifstream limit("/proc/sys/fs/inotify/max_queued_events");
  unsigned most = 0;
  limit >> most;
  if (most > 100'000) GTEST_SKIP() << "the queue here is too long to overrun";
  write("etc/databases.d/a.yaml", "1");
  for (unsigned i = 0; i <= most / 2; i++) {  // each tells of the old name and of the new one
    fs::rename(home_ / (i % 2 ? "etc/databases.d/b.yaml" : "etc/databases.d/a.yaml"),
               home_ / (i % 2 ? "etc/databases.d/a.yaml" : "etc/databases.d/b.yaml"));
  }
  const auto news = watch_.drain();
  EXPECT_TRUE(news.overflow);
  EXPECT_TRUE(news.changed);
  write("etc/databases.d/a.yaml", "2");
  EXPECT_TRUE(heard()) << "it goes on afterwards";
}

TEST(WatchWithoutInotify, SaysSo) {
  // With no descriptor left, inotify fails as it does with no instance left.
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  Watch watch;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_LT(watch.fd(), 0);
  EXPECT_NE(watch.problem(), "");
  EXPECT_FALSE(watch.follow({"/etc"}));
  EXPECT_FALSE(watch.drain().changed);
}

// The limit is that of a user namespace of this process's own.
int follow_with_few_watches() {
  const auto say = [](const char* path, const std::string& text) {
    return static_cast<bool>(std::ofstream(path) << text << std::flush);
  };
  const auto limit = "/proc/sys/user/max_inotify_watches";
  if (unshare(CLONE_NEWUSER) != 0 || !say("/proc/self/uid_map", "0 0 1") || !say(limit, "2"))
    return 2;
  Watch watch;
  watch.follow({"/etc", "/usr", "/var", "/tmp"});
  const bool is_told =
      watch.problem().find("raise fs.inotify.max_user_watches") != std::string::npos;
  const bool is_unsure = !watch.take_closed();
  if (!say(limit, "100")) return 2;
  const bool has_more = watch.follow({"/etc", "/usr", "/var", "/tmp"});
  return is_told && is_unsure && has_more && watch.problem().empty() ? 0 : 1;
}

TEST(WatchWithFewWatchesAsRoot, SaysSoUntilThereAreMore) {
  EXPECT_EXIT(std::_Exit(follow_with_few_watches()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace moat
