// SPDX-License-Identifier: BSD-2-Clause
// The backstop in a real kernel: what its programs know of interfaces, and that each is on whatever
// becomes of the other.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <utility>

#include "dataplane/host/cgroups.h"
#include "dataplane/xdp/backstop_link.h"
#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

using Texts = std::vector<std::string>;

class BackstopTest : public XdpScene {
 protected:
  void SetUp() override {
    XdpScene::SetUp();
    ASSERT_TRUE(pins().prepare());
  }

  // The ends of the pair, mt0 trusted.
  [[nodiscard]] static KnownInterfaces both() {
    return {entry("mt0", MOAT_INTERFACE_TRUSTED), entry("mt1", MOAT_INTERFACE_XDP)};
  }
  [[nodiscard]] static std::pair<const std::uint32_t, moat_interface> entry(const std::string& name,
                                                                            std::uint32_t flags) {
    moat_interface known = {flags, {}};
    name.copy(known.name, sizeof known.name - 1);
    return {::if_nametoindex(name.c_str()), known};
  }
  void write_by_hand(const std::string& name, std::uint32_t flags) const {
    const auto [ifindex, known] = entry(name, flags);
    ASSERT_EQ(bpf_map_update_elem(pins().get("interfaces").get(), &ifindex, &known, BPF_ANY), 0);
  }
  [[nodiscard]] std::uint32_t flags_of(const std::string& name) const {
    const std::uint32_t ifindex = ::if_nametoindex(name.c_str());
    moat_interface known = {};
    (void)bpf_map_lookup_elem(pins().get("interfaces").get(), &ifindex, &known);
    return known.flags;
  }

  InterfaceMap map_{pins()};
};

TEST_F(BackstopTest, what_is_first_told_of_interfaces_is_no_mend) {
  ASSERT_TRUE(map_.ensure());
  ASSERT_TRUE(map_.ensure_pin());
  const auto told = map_.tell(both());
  EXPECT_EQ(told.mended, Texts());
  EXPECT_EQ(told.problem, "");
  EXPECT_EQ(flags_of("mt0"), MOAT_INTERFACE_TRUSTED);
  EXPECT_EQ(flags_of("mt1"), MOAT_INTERFACE_XDP);
  EXPECT_EQ(map_.tell({entry("mt1", MOAT_INTERFACE_XDP)}).mended, Texts());
  EXPECT_EQ(flags_of("mt0"), 0u);
}

TEST_F(BackstopTest, trust_written_by_hand_is_told_and_taken_back) {
  ASSERT_TRUE(map_.ensure());
  ASSERT_TRUE(map_.ensure_pin());
  ASSERT_EQ(map_.tell({entry("mt1", MOAT_INTERFACE_XDP)}).problem, "");
  write_by_hand("mt0", MOAT_INTERFACE_TRUSTED);
  write_by_hand("mt1", MOAT_INTERFACE_TRUSTED | MOAT_INTERFACE_XDP);
  EXPECT_EQ(map_.tell({entry("mt1", MOAT_INTERFACE_XDP)}).mended,
            Texts{"the backstop's map of interfaces had been made to trust mt0, mt1"});
  EXPECT_EQ(flags_of("mt0"), 0u);
  EXPECT_EQ(flags_of("mt1"), MOAT_INTERFACE_XDP);
  EXPECT_EQ(map_.tell({entry("mt1", MOAT_INTERFACE_XDP)}).mended, Texts());
}

TEST_F(BackstopTest, entries_changed_and_removed_by_hand_are_told_and_put_back) {
  ASSERT_TRUE(map_.ensure());
  ASSERT_TRUE(map_.ensure_pin());
  ASSERT_EQ(map_.tell(both()).problem, "");
  const std::uint32_t removed = ::if_nametoindex("mt0");
  ASSERT_EQ(bpf_map_delete_elem(pins().get("interfaces").get(), &removed), 0);
  write_by_hand("mt1", 0);
  EXPECT_EQ(map_.tell(both()).mended,
            Texts{"the backstop's map of interfaces had been changed for mt0, mt1"});
  EXPECT_EQ(flags_of("mt0"), MOAT_INTERFACE_TRUSTED);
  EXPECT_EQ(flags_of("mt1"), MOAT_INTERFACE_XDP);
}

TEST_F(BackstopTest, what_cannot_be_written_is_named_and_the_rest_written_trust_first) {
  ASSERT_TRUE(map_.ensure(1));
  ASSERT_TRUE(map_.ensure_pin());
  const auto told =
      map_.tell({entry("mt1", MOAT_INTERFACE_TRUSTED), entry("mt0", MOAT_INTERFACE_XDP)});
  EXPECT_EQ(told.problem,
            "the backstop could not be told of mt0: Argument list too long; packets from there are "
            "judged, trusted or not");
  EXPECT_EQ(flags_of("mt1"), MOAT_INTERFACE_TRUSTED);
  EXPECT_EQ(map_.tell({entry("mt0", MOAT_INTERFACE_XDP)}).mended, Texts());
  EXPECT_EQ(flags_of("mt0"), MOAT_INTERFACE_XDP);
}

TEST_F(BackstopTest, thousands_of_interfaces_are_known) {
  ASSERT_TRUE(map_.ensure());
  ASSERT_TRUE(map_.ensure_pin());
  KnownInterfaces many;
  for (std::uint32_t ifindex = 1; ifindex <= 10'000; ifindex++)
    many[ifindex] = {MOAT_INTERFACE_XDP, "any"};
  EXPECT_EQ(map_.tell(many).problem, "");
}

// In the test's own mount namespace.
void unmount_cgroup2() {
  for (auto folder = find_cgroup2(); folder; folder = find_cgroup2())
    ASSERT_EQ(umount2(folder->c_str(), MNT_DETACH), 0) << *folder;
}

TEST_F(BackstopTest, without_cgroup2_it_is_on_before_sockets_and_at_sockets_once_that_is_mounted) {
  auto backend = open();
  ASSERT_TRUE(backend->publish(make_table(1, 10)));
  unmount_cgroup2();
  const auto without = backend->ensure_backstop("", {});
  EXPECT_FALSE(without.at_sockets.on);
  EXPECT_TRUE(without.at_sockets.reason.starts_with("no cgroup2 filesystem is mounted (mount it: "))
      << without.at_sockets.reason;
  EXPECT_EQ(without.before_sockets.on, InputLink::has_place()) << without.before_sockets.reason;

  const std::string folder = mount_point() + "-cgroup";
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  ASSERT_EQ(mount("none", folder.c_str(), "cgroup2", 0, nullptr), 0);
  const auto with = backend->ensure_backstop("", {});
  EXPECT_TRUE(with.at_sockets.on) << with.at_sockets.reason;
  EXPECT_EQ(with.cgroup, folder);
  EXPECT_EQ(with.before_sockets.on, InputLink::has_place()) << with.before_sockets.reason;
  EXPECT_EQ(with.before_sockets.expected, InputLink::has_place());
  EXPECT_EQ(with.mended, Texts());
  EXPECT_EQ(with.problems, Texts());
  backend->remove_backstop();
}

// Two others have both places in the hook.
TEST_F(BackstopTest, without_a_place_before_sockets_it_is_on_at_sockets) {
  auto backend = open();
  ASSERT_TRUE(backend->publish(make_table(1, 10)));
  const std::vector<NamedMap> no_maps;
  InputLink one(BpfPins(mount_point() + "/one"));
  InputLink other(BpfPins(mount_point() + "/other"));
  if (InputLink::has_place()) {
    ASSERT_TRUE(one.ensure({.path = no_maps}, true));
    ASSERT_TRUE(other.ensure({.path = no_maps}, true));
  }
  const auto status = backend->ensure_backstop("", {});
  EXPECT_TRUE(status.at_sockets.on) << status.at_sockets.reason;
  EXPECT_FALSE(status.before_sockets.on);
  EXPECT_TRUE(status.before_sockets.reason.starts_with(
      InputLink::has_place()
          ? "attach the backstop's program before sockets: Device or resource busy"
          : "this kernel has no place for it (Linux 6.4 and later have it"))
      << status.before_sockets.reason;
  EXPECT_EQ(status.before_sockets.expected, InputLink::has_place());
  backend->remove_backstop();
}

TEST_F(BackstopTest, interfaces_are_trusted_by_any_of_their_names_and_known_by_the_kernels) {
  ASSERT_TRUE(run("ip link property add dev mt0 altname a-name-longer-than-the-kernels"));
  auto backend = open();
  ASSERT_TRUE(backend->publish(make_table(1, 10)));
  const auto status = backend->ensure_backstop("", {"a-name-longer-than-the-kernels", "absent"});
  EXPECT_EQ(status.problems, Texts());
  EXPECT_EQ(flags_of("mt0"), MOAT_INTERFACE_TRUSTED);
  const std::uint32_t ifindex = ::if_nametoindex("mt0");
  moat_interface known = {};
  ASSERT_EQ(bpf_map_lookup_elem(pins().get("interfaces").get(), &ifindex, &known), 0);
  EXPECT_STREQ(known.name, "mt0");
  backend->remove_backstop();
}

}  // namespace
}  // namespace moat
