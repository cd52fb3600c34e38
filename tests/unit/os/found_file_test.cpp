// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/found_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "dataplane/fd.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

// A folder with a/b/file and beside, and a secret next to the folder.
class FindBeneathTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(base_ / "folder/a/b");
    base_.put("folder/a/b/file", "");
    base_.put("folder/beside", "");
    base_.put("secret", "");
    folder_ = Fd(::open((base_ / "folder").c_str(), O_PATH | O_DIRECTORY));
    ASSERT_TRUE(folder_);
  }

  // The name of what is found; errno.
  std::expected<std::string, int> find(const std::string& path) {
    const auto found = find_beneath(folder_.get(), path);
    if (!found) return std::unexpected(found.error());
    return fs::read_symlink(name_of(found->object.get())).lexically_relative(base_.path()).string();
  }
  void link(const std::string& from, const std::string& to) const {
    fs::create_symlink(to, base_ / ("folder/" + from));
  }

  TemporaryFolder base_;
  Fd folder_;
};

TEST_F(FindBeneathTest, GoesWhereverTheFolderReaches) {
  link("in", "a/b/file");
  link("a/b/up", "../../beside");
  EXPECT_EQ(find("a/b/file"), "folder/a/b/file");
  EXPECT_EQ(find("a/./b/../../beside"), "folder/beside");
  EXPECT_EQ(find("in"), "folder/a/b/file");
  EXPECT_EQ(find("a/b/up"), "folder/beside");
  EXPECT_EQ(find("a/.."), "folder");
}

TEST_F(FindBeneathTest, LeadsNowhereElse) {
  link("absolute", base_ / "folder/beside");
  link("out", "../secret");
  link("out-and-in", "../folder/beside");
  link("a/deep", "b/../../../secret");
  for (const auto* path : {"absolute", "out", "out-and-in", "a/deep", "..", "../secret",
                           "/etc/passwd", "a/../../secret"})
    EXPECT_EQ(find(path), std::unexpected(EXDEV)) << path;
}

TEST_F(FindBeneathTest, SaysWhyThereIsNothing) {
  link("nowhere", "none");
  link("circle", "circle");
  EXPECT_EQ(find("nowhere"), std::unexpected(ENOENT));
  EXPECT_EQ(find("circle"), std::unexpected(ELOOP));
  EXPECT_EQ(find("beside/file"), std::unexpected(ENOTDIR));
}

}  // namespace
}  // namespace moat
