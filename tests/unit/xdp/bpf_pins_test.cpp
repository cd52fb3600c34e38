// SPDX-License-Identifier: BSD-2-Clause
// The folder of pins among other users of the host.
#include "dataplane/xdp/bpf_pins.h"

#include <filesystem>

#include "tests/support/stranger.h"
#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

#define ASSERT_DONE(result) \
  if (const auto& done = (result); !done) FAIL() << done.error().message

class BpfPinsTest : public XdpScene {
 protected:
  void SetUp() override {
    XdpScene::SetUp();
    if (HasFatalFailure()) return;
    // As the kernel mounts it unless told otherwise; and the way there is open.
    ASSERT_EQ(chmod(mount_point().c_str(), 01777), 0);
    ASSERT_EQ(chmod(fs::path(mount_point()).parent_path().c_str(), 0755), 0);
  }

  [[nodiscard]] struct stat status_of(const std::string& path) const {
    struct stat status = {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status;
  }
  void expect_own(const std::string& path) const {
    const auto status = status_of(path);
    EXPECT_EQ(status.st_uid, 0u) << path;
    EXPECT_EQ(status.st_mode, S_IFDIR | 0700u) << path;
  }
  void expect_ours() const {
    expect_own(folder());
    expect_own(folder() + "/links");
  }

  [[nodiscard]] static Fd map() {
    return Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 8, 1, nullptr));
  }

  BpfPins pins_{folder()};
};

// ---- Folders ----

TEST_F(BpfPinsTest, the_folder_is_out_of_strangers_reach) {
  ASSERT_TRUE(pins_.prepare().value());
  expect_ours();
  ASSERT_DONE(pins_.put("links/eth0", map().get()));
  EXPECT_FALSE(as_stranger([&] { return unlink((folder() + "/links/eth0").c_str()) == 0; }));
  EXPECT_FALSE(
      as_stranger([&] { return rename(folder().c_str(), (folder() + "2").c_str()) == 0; }));
  EXPECT_EQ(pins_.take_mended(), Names{});
}

TEST_F(BpfPinsTest, a_strangers_folder_is_moved_out_of_the_way) {
  ASSERT_TRUE(as_stranger([&] {
    return mkdir(folder().c_str(), 0777) == 0 && mkdir((folder() + "/links").c_str(), 0777) == 0;
  }));
  ASSERT_TRUE(pins_.prepare().value());
  expect_ours();
  const auto told = pins_.take_mended();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].starts_with(folder() + " belonged to another user, uid 65534, and is " +
                                  folder() + "-of-uid-65534-"))
      << told[0];
}

TEST_F(BpfPinsTest, so_is_a_strangers_symlink) {
  const auto elsewhere = mount_point() + "/elsewhere";
  ASSERT_EQ(mkdir(elsewhere.c_str(), 0700), 0);
  ASSERT_TRUE(as_stranger([&] { return symlink(elsewhere.c_str(), folder().c_str()) == 0; }));
  ASSERT_TRUE(pins_.prepare().value());
  expect_ours();
  EXPECT_TRUE(fs::is_empty(elsewhere));
}

TEST_F(BpfPinsTest, a_folder_that_is_open_to_others_is_closed) {
  ASSERT_EQ(mkdir(folder().c_str(), 0700), 0);
  ASSERT_EQ(chmod(folder().c_str(), 0777), 0);
  ASSERT_TRUE(as_stranger([&] { return mkdir((folder() + "/links").c_str(), 0777) == 0; }));
  ASSERT_TRUE(pins_.prepare().value());
  expect_ours();
  EXPECT_EQ(pins_.take_mended().size(), 2u);
}

TEST_F(BpfPinsTest, where_a_stranger_can_replace_the_folder_nothing_is_pinned_or_believed) {
  ASSERT_TRUE(pins_.prepare().value());
  ASSERT_DONE(pins_.put("xdp", map().get()));
  ASSERT_EQ(chmod(mount_point().c_str(), 0777), 0);
  const auto prepared = pins_.prepare();
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().message, mount_point() + " is writable by others (mode 0777)");
  EXPECT_EQ(prepared.error().remedy, "chmod go-w " + mount_point());
  EXPECT_FALSE(pins_.is_usable());
  EXPECT_FALSE(pins_.put("counters", map().get()));
  EXPECT_FALSE(pins_.get("xdp"));
  EXPECT_EQ(pins_.list(), Names{});
  pins_.remove("xdp");
  ASSERT_EQ(chmod(mount_point().c_str(), 0755), 0);
  ASSERT_TRUE(pins_.prepare().value());
  EXPECT_TRUE(pins_.get("xdp"));
  EXPECT_EQ(pins_.list(), Names{"xdp"});
}

// ---- The lock ----

TEST_F(BpfPinsTest, one_process_has_the_folder_whatever_its_namespaces) {
  ASSERT_TRUE(pins_.prepare().value());
  const pid_t child = fork();
  if (child == 0) {
    const bool is_elsewhere = unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC) == 0;
    const auto prepared = BpfPins(folder()).prepare();
    _exit(is_elsewhere && prepared && !*prepared ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the second has it as well";
  EXPECT_FALSE(BpfPins(folder()).prepare().value());
}

TEST_F(BpfPinsTest, the_lock_goes_with_its_owner_and_can_be_taken_by_no_stranger) {
  ASSERT_TRUE(BpfPins(folder()).prepare().value());
  EXPECT_FALSE(as_stranger(
      [&] { return ::open((folder() + "/links").c_str(), O_RDONLY | O_DIRECTORY) >= 0; }));
  EXPECT_TRUE(pins_.prepare().value());
}

TEST_F(BpfPinsTest, folders_made_anew_are_locked_anew) {
  ASSERT_TRUE(pins_.prepare().value());
  ASSERT_EQ(rmdir((folder() + "/links").c_str()), 0);
  ASSERT_TRUE(pins_.prepare().value());
  EXPECT_FALSE(BpfPins(folder()).prepare().value());
}

// ---- Pins ----

TEST_F(BpfPinsTest, a_strangers_pin_is_not_believed) {
  ASSERT_TRUE(pins_.prepare().value());
  const Fd ours = map();
  ASSERT_DONE(pins_.ensure({{"counters", ours.get()}}));
  ASSERT_EQ(chown((folder() + "/counters").c_str(), stranger_uid, stranger_uid), 0);
  EXPECT_FALSE(pins_.get("counters"));
  ASSERT_DONE(pins_.ensure({{"counters", ours.get()}}));
  EXPECT_EQ(pins_.take_mended(), Names{"the pin counters was not Moat's"});
  EXPECT_TRUE(pins_.holds("counters", ours.get()));
}

TEST_F(BpfPinsTest, a_missing_pin_is_told_by_name_and_a_first_one_is_not) {
  ASSERT_TRUE(pins_.prepare().value());
  const Fd one = map();
  const Fd other = map();
  const std::vector<std::pair<std::string, int>> objects = {{"one", one.get()},
                                                            {"links/eth0.100", other.get()}};
  ASSERT_DONE(pins_.ensure(objects));
  ASSERT_DONE(pins_.ensure({{"one", other.get()}}));  // another object, by our own hand
  ASSERT_DONE(pins_.ensure(objects));
  EXPECT_EQ(pins_.take_mended(), Names{});

  ASSERT_EQ(unlink((folder() + "/links/eth0:100").c_str()), 0);
  ASSERT_DONE(pins_.ensure(objects));
  EXPECT_EQ(pins_.take_mended(), Names{"the pin links/eth0.100 was missing"});
  ASSERT_EQ(unlink((folder() + "/links/eth0:100").c_str()), 0);
  ASSERT_EQ(unlink((folder() + "/one").c_str()), 0);
  ASSERT_DONE(pins_.ensure(objects));
  EXPECT_EQ(pins_.take_mended(), Names{"the pins one, links/eth0.100 were missing"});
  EXPECT_EQ(pins_.take_mended(), Names{});
}

}  // namespace
}  // namespace moat
