// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/settings.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

class SettingsTest : public testing::Test {
 protected:
  void put(const std::string& bytes) { folder_.put("moat.yaml", bytes); }

  TemporaryFolder folder_;
  Settings settings_{folder_ / "moat.yaml"};
};

TEST_F(SettingsTest, AreUnknownUntilAFileHolds) {
  EXPECT_FALSE(settings_.read());
  EXPECT_FALSE(settings_.is_known());
  EXPECT_TRUE(settings_.is_held_back());
  put("interfaces: [eth0]\nmode: monitor\n");
  EXPECT_TRUE(settings_.read());
  EXPECT_TRUE(settings_.is_known());
  EXPECT_EQ(settings_.config().mode, Mode::monitor);
}

TEST_F(SettingsTest, AreNotReadFromAFileThatOthersCouldReplace) {
  const TemporaryFolder above;
  std::filesystem::create_directory(above / "moat");
  above.put("moat/moat.yaml", "interfaces: [eth0]\n");
  ASSERT_EQ(::chmod(above.path().c_str(), 0777), 0);
  Settings settings{above / "moat/moat.yaml"};
  EXPECT_FALSE(settings.read());
  ASSERT_EQ(settings.faults().size(), 1u);
  EXPECT_TRUE(settings.faults()[0].message.contains(above.path() + " is writable by others"))
      << settings.faults()[0].message;
  ASSERT_EQ(::chmod(above.path().c_str(), 0755), 0);
  EXPECT_TRUE(settings.read());
}

TEST_F(SettingsTest, AreReadOnceFromAFileThatIsTheSame) {
  put("interfaces: [eth0]\n");
  EXPECT_TRUE(settings_.read());
  EXPECT_FALSE(settings_.read());
  put("interfaces: [eth0]\n");
  EXPECT_FALSE(settings_.read()) << "the same bytes";
}

TEST_F(SettingsTest, OfAFileWithFaultsAreNotInForce) {
  put("interfaces: [eth0]\n");
  settings_.read();
  for (const auto* bad : {"interfaces: [eth1]\nmode: open\n", "interfaces: [eth1\n", ""}) {
    put(bad);
    EXPECT_FALSE(settings_.read()) << bad;
    EXPECT_TRUE(settings_.is_held_back()) << bad;
    EXPECT_EQ(settings_.config().interfaces, std::vector<std::string>{"eth0"}) << bad;
    EXPECT_EQ(settings_.bytes_in_force(), "interfaces: [eth0]\n") << bad;
  }
}

TEST_F(SettingsTest, OfAFileThatIsGoneStayInForce) {
  put("interfaces: [eth0]\n");
  settings_.read();
  std::filesystem::remove(folder_ / "moat.yaml");
  EXPECT_FALSE(settings_.read());
  EXPECT_TRUE(settings_.is_held_back());
  EXPECT_EQ(settings_.config().interfaces, std::vector<std::string>{"eth0"});
}

TEST_F(SettingsTest, FallBackOnAnEarlierLifeOnlyWithoutAFileThatHolds) {
  put("mode: open\n");
  settings_.read();
  settings_.fall_back("interfaces: [eth7]\n");
  EXPECT_TRUE(settings_.has_fallen_back());
  EXPECT_EQ(settings_.config().interfaces, std::vector<std::string>{"eth7"});
  put("interfaces: [eth0]\n");
  EXPECT_TRUE(settings_.read());
  EXPECT_FALSE(settings_.has_fallen_back());
  settings_.fall_back("interfaces: [eth7]\n");
  EXPECT_EQ(settings_.config().interfaces, std::vector<std::string>{"eth0"});
}

TEST_F(SettingsTest, OfAFileThatIsBeingWrittenWait) {
  put("interfaces: [eth0]\n");
  settings_.read();
  put("interfaces: [eth1]\n");
  EXPECT_FALSE(settings_.read(
      [](const FileStamp&, std::optional<bool>, const FileStamp&) { return BeingWritten::open; }));
  EXPECT_TRUE(settings_.is_being_written());
  EXPECT_FALSE(settings_.is_held_back()) << "a warning, as something is in force";
  EXPECT_TRUE(settings_.read());
  EXPECT_FALSE(settings_.is_being_written());
  EXPECT_EQ(settings_.config().interfaces, std::vector<std::string>{"eth1"});
}

TEST_F(SettingsTest, NameFoldersBesideTheFile) {
  put("interfaces: [eth0]\ndatabases: here\nmanaged-ranges: /srv/ranges\n");
  settings_.read();
  EXPECT_EQ(settings_.folders().databases, folder_ / "here");
  EXPECT_EQ(settings_.folders().ranges, "/srv/ranges");
}

}  // namespace
}  // namespace moat
