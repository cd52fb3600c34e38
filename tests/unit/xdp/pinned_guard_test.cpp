// SPDX-License-Identifier: BSD-2-Clause
// What the command tells of the guard while no daemon runs, when somebody has meddled with it.
#include "dataplane/host/pinned_guard.h"

#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

class PinnedGuardTest : public XdpScene {
 protected:
  // A daemon has come and gone.
  void SetUp() override {
    XdpScene::SetUp();
    if (HasFatalFailure()) return;
    const auto backend = open();
    ASSERT_TRUE(backend->publish(make_table(5, 10)));
    ASSERT_TRUE(backend->ensure_attached("mt0", WantedAttach::automatic).is_attached());
    ASSERT_TRUE(backend->ensure_backstop("", {}).at_sockets.on);
    ASSERT_TRUE(backend->ensure_pins());
  }
  void TearDown() override {
    open()->remove_backstop();
    XdpScene::TearDown();
  }

  [[nodiscard]] PinnedGuard look() const {
    auto guard = look_at_pins(folder());
    if (!guard) throw std::runtime_error(guard.error().message);
    return std::move(*guard);
  }
};

TEST_F(PinnedGuardTest, stands_without_a_daemon) {
  const auto guard = look();
  EXPECT_TRUE(guard.stands());
  EXPECT_EQ(guard.generation, 5u);
  EXPECT_EQ(guard.interfaces, Names{"mt0"});
  EXPECT_EQ(guard.at_sockets, Runs::moats);
  EXPECT_EQ(guard.foreign, Names{});
  EXPECT_EQ(guard.gone, Names{});
}

// Of a link before sockets that was detached the kernel tells the same as of one that is attached.
TEST_F(PinnedGuardTest, a_link_before_sockets_proves_nothing) {
  for (const auto* link : {"links/mt0", "backstop-link", "input-link-ipv4", "input-link-ipv6"}) {
    const Fd pinned = pins().get(link);
    ASSERT_TRUE(!pinned || bpf_link_detach(pinned.get()) == 0) << link;
  }
  const auto guard = look();
  EXPECT_FALSE(guard.stands());
  EXPECT_EQ(guard.is_doubtful(), guard.before_sockets == Runs::moats);
}

TEST_F(PinnedGuardTest, another_program_in_a_link_is_not_moats) {
  swap_program("links/mt0", tiny_program("passes", XDP_PASS).get());
  swap_program("backstop-link", passes_at_sockets().get());
  const auto guard = look();
  EXPECT_EQ(guard.foreign, Names{"mt0"});
  EXPECT_EQ(guard.interfaces, Names{});
  EXPECT_EQ(guard.at_sockets, Runs::another);
}

// A daemon was killed as it replaced its predecessor's program.
TEST_F(PinnedGuardTest, the_program_that_is_about_to_be_pinned_is_moats) {
  const Fd next = tiny_program("next", XDP_DROP);
  pins().announce("xdp", next.get());
  swap_program("links/mt0", next.get());
  EXPECT_EQ(look().interfaces, Names{"mt0"});
}

TEST_F(PinnedGuardTest, an_emptied_slot_closes_and_a_missing_pin_does_not) {
  const __u32 slot = 0;
  const Fd small = pins().get("policy-small");
  ASSERT_TRUE(pins().rename("policy-small", "elsewhere"));
  auto guard = look();
  EXPECT_FALSE(guard.is_closed);
  EXPECT_EQ(guard.doubt, "the pin policy-small is gone");
  EXPECT_TRUE(guard.stands());
  ASSERT_TRUE(pins().put("policy-small", pins().get("policy-large").get()));
  EXPECT_EQ(look().doubt, "the pin policy-small is of another map") << "if one of Moat's";
  ASSERT_TRUE(pins().put("policy-small", small.get()));
  ASSERT_EQ(bpf_map_delete_elem(small.get(), &slot), 0);
  guard = look();
  EXPECT_TRUE(guard.is_closed);
  EXPECT_EQ(guard.doubt, "");
  pins().remove("policy-closed");
  EXPECT_FALSE(look().is_closed);
}

TEST_F(PinnedGuardTest, a_map_that_the_program_does_not_read_tells_nothing) {
  const Fd other(bpf_map_create(BPF_MAP_TYPE_ARRAY, "policy_small", 4, 4, 1, nullptr));
  ASSERT_TRUE(pins().put("policy-small", other.get()));
  EXPECT_EQ(look().doubt, "the pin policy-small is of another map");
}

TEST_F(PinnedGuardTest, a_link_of_another_kind_is_no_backstop) {
  const Fd link = pins().get("links/mt0");
  for (const auto* name : {"backstop-link", "input-link-ipv4", "input-link-ipv6"})
    ASSERT_TRUE(pins().put(name, link.get()));
  EXPECT_EQ(look().at_sockets, Runs::nothing);
  EXPECT_EQ(look().before_sockets, Runs::nothing);
}

TEST_F(PinnedGuardTest, what_cannot_be_compared_is_unknown) {
  pins().remove("xdp");
  pins().remove("backstop");
  const auto guard = look();
  EXPECT_EQ(guard.unknown, Names{"mt0"});
  EXPECT_EQ(guard.at_sockets, Runs::unknown);
}

// Its number is another interface's here: mt8 would be taken for it.
TEST_F(PinnedGuardTest, an_interface_that_was_moved_away_is_gone) {
  const Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  const Fd other(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(setns(here.get(), CLONE_NEWNET), 0);
  const auto index = ::if_nametoindex("mt0");
  ASSERT_TRUE(run(fmt::format("ip link set mt0 netns /proc/{}/fd/{}", getpid(), other.get())));
  ASSERT_TRUE(run(fmt::format("ip link add mt8 index {} type veth peer name mt9", index)));
  const auto guard = look();
  EXPECT_TRUE(run("ip link del mt1")) << "takes the one that moved along";
  EXPECT_EQ(guard.gone, Names{"mt0"});
  EXPECT_EQ(guard.interfaces, Names{});
  EXPECT_EQ(guard.foreign, Names{});
}

TEST_F(PinnedGuardTest, what_a_daemon_holds_without_a_pin_is_seen) {
  const Fd link = pins().get("links/mt0");
  pins().remove("links/mt0");
  EXPECT_EQ(look().interfaces, Names{"mt0"});
}

TEST_F(PinnedGuardTest, a_renamed_interface_is_known_by_its_new_name) {
  ASSERT_TRUE(run("ip link set mt0 down && ip link set mt0 name mt8"));
  EXPECT_EQ(look().interfaces, Names{"mt8"});
}

}  // namespace
}  // namespace moat
