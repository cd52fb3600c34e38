// SPDX-License-Identifier: BSD-2-Clause
// The program on interfaces that come, go, change their names or belong to somebody else.
#include "dataplane/xdp/xdp_link.h"

#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

class XdpLinkTest : public XdpScene {
 protected:
  void SetUp() override {
    XdpScene::SetUp();
    if (HasFatalFailure()) return;
    backend_ = open();
    ASSERT_TRUE(backend_->publish(make_table(1, 10)));
  }
  void TearDown() override {
    backend_.reset();
    XdpScene::TearDown();
  }

  InterfaceStatus ensure(const std::string& interface,
                         WantedAttach wanted = WantedAttach::automatic) {
    return backend_->ensure_attached(interface, wanted);
  }
  [[nodiscard]] std::uint32_t pinned_link(const std::string& interface) const {
    return kernel_id(pins().get("links/" + interface).get());
  }

  std::unique_ptr<XdpBackend> backend_;
};

TEST_F(XdpLinkTest, a_native_driver_gets_the_program_natively) {
  const auto status = ensure("mt0");
  EXPECT_TRUE(status.present);
  EXPECT_EQ(status.mode, AttachMode::native) << status.reason;
  EXPECT_EQ(status.program_id, program_on("mt0"));
  EXPECT_EQ(status.reason, "");
  EXPECT_EQ(pins().list("links"), Names{"mt0"});
  EXPECT_EQ(backend_->attached_interfaces(), Names{"mt0"});
  EXPECT_TRUE(drops("mt0", 11));
}

TEST_F(XdpLinkTest, ensuring_twice_changes_nothing) {
  ensure("mt0");
  const auto link = pinned_link("mt0");
  const auto status = ensure("mt0");
  EXPECT_EQ(status.mode, AttachMode::native);
  EXPECT_EQ(pinned_link("mt0"), link);
}

TEST_F(XdpLinkTest, inspecting_changes_nothing) {
  const auto status = backend_->inspect("mt0");
  EXPECT_TRUE(status.present);
  EXPECT_EQ(status.mode, AttachMode::none);
  EXPECT_EQ(status.reason, "not attached");
  EXPECT_EQ(program_on("mt0"), 0u);
}

TEST_F(XdpLinkTest, a_missing_interface_is_told) {
  const auto status = ensure("mt7");
  EXPECT_FALSE(status.present);
  EXPECT_EQ(status.mode, AttachMode::none);
  EXPECT_EQ(status.reason, "no such interface");
  EXPECT_FALSE(status.moved);
  EXPECT_FALSE(ensure("a-name-longer-than-any-interface").present);
}

TEST_F(XdpLinkTest, without_native_mode_it_is_generic_in_the_drivers_words) {
  const auto status = ensure("lo");
  EXPECT_EQ(status.mode, AttachMode::generic);
  EXPECT_EQ(status.reason,
            "Underlying driver does not support XDP in native mode (Operation not supported)");
  EXPECT_NE(status.remedy, "");
  EXPECT_EQ(backend_->inspect("lo").reason, status.reason);
  ASSERT_TRUE(backend_->detach("lo"));
  EXPECT_EQ(program_on("lo"), 0u);
}

// The kernel would take the program, which would read an address where it looks for the type.
TEST_F(XdpLinkTest, an_interface_without_ethernet_is_told_and_not_called_guarded) {
  ASSERT_TRUE(run("ip tuntap add mt9 mode tun"));
  const auto status = ensure("mt9");
  EXPECT_TRUE(status.present);
  EXPECT_EQ(status.mode, AttachMode::none);
  EXPECT_EQ(status.reason, "its frames have no Ethernet header (hardware type 65534)");
  EXPECT_NE(status.remedy, "");
  EXPECT_EQ(program_on("mt9"), 0u);
}

TEST_F(XdpLinkTest, native_alone_is_not_made_generic) {
  const auto status = ensure("lo", WantedAttach::native);
  EXPECT_EQ(status.mode, AttachMode::none);
  EXPECT_EQ(status.reason,
            "Underlying driver does not support XDP in native mode (Operation not supported)");
  EXPECT_NE(status.remedy.find("attach: auto"), std::string::npos);
  EXPECT_EQ(program_on("lo"), 0u);
}

TEST_F(XdpLinkTest, generic_mode_is_had_by_asking) {
  EXPECT_EQ(ensure("mt0", WantedAttach::generic).mode, AttachMode::generic);
  // No mode is left for another without being asked to detach.
  const auto link = pinned_link("mt0");
  const auto status = ensure("mt0", WantedAttach::native);
  EXPECT_EQ(status.mode, AttachMode::generic);
  EXPECT_NE(status.reason, "");
  EXPECT_EQ(pinned_link("mt0"), link);
  ASSERT_TRUE(backend_->detach("mt0"));
  EXPECT_EQ(ensure("mt0", WantedAttach::native).mode, AttachMode::native);
}

TEST_F(XdpLinkTest, native_mode_stays_where_generic_is_asked_for_later_and_says_how_to_leave_it) {
  ASSERT_EQ(ensure("mt0").mode, AttachMode::native);
  const auto status = ensure("mt0", WantedAttach::generic);
  EXPECT_EQ(status.mode, AttachMode::native);
  EXPECT_TRUE(status.remedy.contains("bpftool link detach pinned ")) << status.remedy;
  EXPECT_TRUE(status.remedy.contains("/links/mt0; then: moat status")) << status.remedy;
}

TEST_F(XdpLinkTest, generic_mode_that_is_asked_for_no_more_is_left_while_the_backstop_judges) {
  ASSERT_TRUE(backend_->ensure_backstop("", {}).at_sockets.on);
  ASSERT_EQ(ensure("mt0", WantedAttach::generic).mode, AttachMode::generic);
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(pins().list("links"), Names{"mt0"});
  backend_->remove_backstop();
}

TEST_F(XdpLinkTest, where_native_mode_is_refused_generic_mode_comes_back_and_is_left_no_more) {
  ASSERT_TRUE(backend_->ensure_backstop("", {}).at_sockets.on);
  ASSERT_EQ(ensure("lo", WantedAttach::generic).mode, AttachMode::generic);
  for (const auto wanted : {WantedAttach::automatic, WantedAttach::native}) {
    const auto status = ensure("lo", wanted);
    EXPECT_EQ(status.mode, AttachMode::generic);
    EXPECT_EQ(status.reason,
              "Underlying driver does not support XDP in native mode (Operation not supported)");
  }
  const auto link = pinned_link("lo");
  EXPECT_EQ(ensure("lo").mode, AttachMode::generic);
  EXPECT_EQ(pinned_link("lo"), link);
  backend_->remove_backstop();
  ASSERT_TRUE(backend_->detach("lo"));
}

// What the status says to type.
TEST_F(XdpLinkTest, without_the_backstop_the_mode_is_left_by_hand) {
  ASSERT_EQ(ensure("mt0", WantedAttach::generic).mode, AttachMode::generic);
  const auto status = ensure("mt0");
  EXPECT_EQ(status.mode, AttachMode::generic);
  EXPECT_EQ(status.reason, "attached while generic mode was set");
  const auto from = status.remedy.find("bpftool ");
  ASSERT_NE(from, std::string::npos) << status.remedy;
  ASSERT_TRUE(run(status.remedy.substr(from, status.remedy.find(';') - from))) << status.remedy;
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
}

TEST_F(XdpLinkTest, a_foreign_program_goes_by_what_the_status_says) {
  const Fd foreign = tiny_program("somebodys", XDP_PASS);
  const auto typed = [&](const std::string& remedy, const std::string& lead) {
    const auto from = remedy.find(lead);
    return from == std::string::npos ? "" : remedy.substr(from, remedy.find(';', from) - from);
  };
  for (const auto flags : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    const auto index = static_cast<int>(::if_nametoindex("mt0"));
    ASSERT_EQ(bpf_xdp_attach(index, foreign.get(), flags, nullptr), 0);
    const auto remedy = ensure("mt0").remedy;
    EXPECT_TRUE(run(typed(remedy, "ip link"))) << remedy;
    EXPECT_EQ(program_on("mt0"), 0u);
  }
  const Fd link = link_program("mt0", foreign.get());
  const auto remedy = ensure("mt0").remedy;
  EXPECT_FALSE(run(typed(remedy, "ip link") + " 2>/dev/null")) << "a link's goes by that as well";
  ASSERT_NE(remedy.find("bpftool link detach id N"), std::string::npos) << remedy;
  ASSERT_TRUE(run(fmt::format("bpftool link detach id {}", kernel_id(link.get()))));
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
}

TEST_F(XdpLinkTest, where_the_kernel_refuses_any_mode_its_words_are_told) {
  ASSERT_TRUE(run("ip link add mt9 type bridge && ip link set mt0 master mt9"));
  ASSERT_EQ(ensure("mt9").mode, AttachMode::generic);
  const auto status = ensure("mt0");
  EXPECT_EQ(status.mode, AttachMode::none);
  EXPECT_EQ(status.reason,
            "Cannot attach when an upper device already has a program (File exists)");
  EXPECT_NE(status.remedy.find("the device above mt0"), std::string::npos) << status.remedy;
}

TEST_F(XdpLinkTest, a_recreated_interface_is_attached_again) {
  ensure("mt0");
  const auto old = pinned_link("mt0");
  ASSERT_TRUE(run("ip link del mt0"));
  EXPECT_FALSE(ensure("mt0").present);
  EXPECT_EQ(pins().list("links"), Names{});
  ASSERT_TRUE(run("ip link add mt0 type veth peer name mt1"));
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
  EXPECT_NE(pinned_link("mt0"), old);
  EXPECT_TRUE(drops("mt0", 11));
}

TEST_F(XdpLinkTest, a_stale_pin_of_a_recreated_interface_is_replaced) {
  ensure("mt0");
  backend_.reset();
  ASSERT_TRUE(run("ip link del mt0 && ip link add mt0 type veth peer name mt1"));
  ASSERT_EQ(pins().list("links"), Names{"mt0"});
  backend_ = open();
  EXPECT_EQ(backend_->attached_interfaces(), Names{});
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
  EXPECT_EQ(pins().list("links"), Names{"mt0"});
  EXPECT_TRUE(drops("mt0", 11));
}

TEST_F(XdpLinkTest, a_renamed_interface_keeps_its_link) {
  ensure("mt0");
  const auto link = pinned_link("mt0");
  ASSERT_TRUE(run("ip link set mt0 down && ip link set mt0 name mt9"));
  EXPECT_EQ(backend_->attached_interfaces(), Names{"mt9"});
  EXPECT_EQ(ensure("mt9").mode, AttachMode::native);
  EXPECT_EQ(pins().list("links"), Names{"mt9"});
  EXPECT_EQ(pinned_link("mt9"), link);
}

TEST_F(XdpLinkTest, interfaces_that_swap_names_keep_their_links) {
  ensure("mt0");
  ensure("mt1");
  const auto zero = pinned_link("mt0"), one = pinned_link("mt1");
  ASSERT_TRUE(
      run("ip link set mt0 down && ip link set mt1 down && ip link set mt0 name mt9 && "
          "ip link set mt1 name mt0 && ip link set mt9 name mt1"));
  ensure("mt0");
  ensure("mt1");
  EXPECT_EQ(pinned_link("mt0"), one);
  EXPECT_EQ(pinned_link("mt1"), zero);
  EXPECT_EQ(pins().list("links"), (Names{"mt0", "mt1"}));
}

// As VLAN interfaces have; the bpf filesystem takes no dot.
TEST_F(XdpLinkTest, a_name_with_a_dot_can_be_pinned) {
  ASSERT_TRUE(run("ip link set mt1 name mt1.100"));
  EXPECT_EQ(ensure("mt1.100").mode, AttachMode::native);
  EXPECT_EQ(pins().list("links"), Names{"mt1.100"});
  backend_.reset();
  backend_ = open();
  EXPECT_EQ(backend_->attached_interfaces(), Names{"mt1.100"});
}

TEST_F(XdpLinkTest, a_foreign_program_is_named_and_left_alone) {
  const Fd foreign = tiny_program("somebodys", XDP_PASS);
  {
    const Fd link = link_program("mt0", foreign.get());
    const auto status = ensure("mt0");
    EXPECT_TRUE(status.foreign);
    EXPECT_EQ(status.mode, AttachMode::none);
    EXPECT_EQ(status.program_id, kernel_id(foreign.get()));
    EXPECT_EQ(status.reason, fmt::format("XDP program {} (somebodys) is attached and not ours",
                                         status.program_id));
    EXPECT_EQ(program_on("mt0"), kernel_id(foreign.get()));
    EXPECT_EQ(pins().list("links"), Names{});
  }
  const auto status = ensure("mt0");
  EXPECT_FALSE(status.foreign);
  EXPECT_EQ(status.mode, AttachMode::native) << status.reason;
}

TEST_F(XdpLinkTest, a_pinned_link_cannot_be_taken_off_by_ip) {
  ensure("mt0");
  EXPECT_FALSE(run("ip link set dev mt0 xdp off 2>/dev/null"));
  EXPECT_TRUE(drops("mt0", 11));
}

TEST_F(XdpLinkTest, a_link_detached_by_hand_is_mended) {
  ensure("mt0");
  ASSERT_EQ(bpf_link_detach(pins().get("links/mt0").get()), 0);
  ASSERT_EQ(program_on("mt0"), 0u);
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
  EXPECT_TRUE(drops("mt0", 11));
}

TEST_F(XdpLinkTest, a_link_given_another_program_is_mended_in_place) {
  ensure("mt0");
  const auto link = pinned_link("mt0");
  const Fd other = tiny_program("other", XDP_PASS);
  ASSERT_EQ(bpf_link_update(pins().get("links/mt0").get(), other.get(), nullptr), 0);
  ASSERT_FALSE(drops("mt0", 11));
  ensure("mt0");
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(pinned_link("mt0"), link);
}

TEST_F(XdpLinkTest, a_lost_pin_is_made_anew) {
  ensure("mt0");
  const auto link = pinned_link("mt0");
  const Names told = {"the pin links/mt0 was missing"};
  pins().remove("links/mt0");
  ensure("mt0");
  EXPECT_EQ(pinned_link("mt0"), link);
  EXPECT_EQ(backend_->take_mended(), told);
  pins().remove("links/mt0");
  EXPECT_TRUE(backend_->ensure_pins());
  EXPECT_EQ(pinned_link("mt0"), link);
  EXPECT_EQ(backend_->take_mended(), told);
  EXPECT_TRUE(backend_->ensure_pins());
  EXPECT_EQ(backend_->take_mended(), Names{});
}

// As interfaces may have any name: those that Moat's own pins had once among them.
TEST_F(XdpLinkTest, an_interface_is_called_like_a_pin_of_moats) {
  for (const char* name : {"backstop", "input-ipv4", "xdp", "new"}) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(run(fmt::format("ip link add name {} type veth peer name mt9", name)));
    EXPECT_EQ(ensure(name).mode, AttachMode::native);
    const auto link = pinned_link(name);
    ASSERT_TRUE(backend_->ensure_backstop("", {}).at_sockets.on);
    EXPECT_EQ(pinned_link(name), link);
    EXPECT_TRUE(drops(name, 11));
    EXPECT_NE(kernel_id(pins().get("backstop-link").get()), 0u);
    backend_.reset();
    EXPECT_TRUE(drops(name, 11)) << "the guard ended with the daemon";
    backend_ = open();
    EXPECT_TRUE(backend_->ensure_pins());
    EXPECT_EQ(backend_->take_mended(), Names{});
    EXPECT_EQ(pinned_link(name), link);
    ASSERT_TRUE(run(fmt::format("ip link del dev {}", name)));
  }
  backend_->remove_backstop();
}

TEST_F(XdpLinkTest, an_interface_moved_to_another_namespace_is_not_taken_for_ours) {
  const Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  const Fd other(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(setns(here.get(), CLONE_NEWNET), 0);

  ensure("mt0");
  const auto index = ::if_nametoindex("mt0");
  ASSERT_TRUE(run(fmt::format("ip link set mt0 netns /proc/{}/fd/{}", getpid(), other.get())));
  const auto moved = backend_->inspect("mt0");
  EXPECT_FALSE(moved.present);
  EXPECT_TRUE(moved.moved);
  EXPECT_TRUE(moved.remedy.contains("bpftool link detach pinned " + folder() + "/links/mt0"))
      << moved.remedy;
  // The next interface here has the same index.
  ASSERT_TRUE(run(fmt::format("ip link add mt8 index {} type veth peer name mt9", index)));
  EXPECT_EQ(backend_->inspect("mt8").mode, AttachMode::none);
  EXPECT_EQ(backend_->attached_interfaces(), Names{});
  EXPECT_EQ(ensure("mt8").mode, AttachMode::native);
  EXPECT_EQ(backend_->attached_interfaces(), Names{"mt8"});
  EXPECT_TRUE(drops("mt8", 11));
  EXPECT_TRUE(run("ip link del mt1")) << "takes the one that moved along";
  EXPECT_FALSE(ensure("mt0").moved);
}

TEST_F(XdpLinkTest, detaching_one_leaves_the_others) {
  ensure("mt0");
  ensure("mt1");
  ASSERT_TRUE(backend_->detach("mt0"));
  EXPECT_EQ(program_on("mt0"), 0u);
  EXPECT_TRUE(drops("mt1", 11));
  EXPECT_EQ(pins().list("links"), Names{"mt1"});
  EXPECT_TRUE(backend_->detach("mt0")) << "nothing to do is no error";
}

TEST_F(XdpLinkTest, detaching_all_leaves_nothing_behind) {
  ensure("mt0");
  ensure("lo");
  ASSERT_TRUE(backend_->detach_all());
  EXPECT_EQ(program_on("mt0"), 0u);
  EXPECT_EQ(program_on("lo"), 0u);
  struct stat about = {};
  EXPECT_NE(stat(folder().c_str(), &about), 0);
  EXPECT_TRUE(backend_->ensure_pins());
  EXPECT_NE(stat(folder().c_str(), &about), 0) << "pinned again after the guard was ended";
  // And it can begin again.
  ASSERT_TRUE(backend_->publish(make_table(2, 10)));
  EXPECT_EQ(ensure("mt0").mode, AttachMode::native);
  EXPECT_TRUE(drops("mt0", 11));
}

}  // namespace
}  // namespace moat
