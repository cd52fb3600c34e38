// SPDX-License-Identifier: BSD-2-Clause
// Publishing, and going on with what another daemon left. Interfaces: xdp_link_test.cpp.
#include "dataplane/xdp/xdp_backend.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <chrono>
#include <cstddef>
#include <thread>

#include "dataplane/pinned.h"
#include "dataplane/xdp/input_link.h"
#include "tests/support/patience.h"
#include "tests/support/stranger.h"
#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

#define ASSERT_DONE(result) \
  if (const auto& done = (result); !done) FAIL() << done.error().message

// The kernel frees a map in the background.
bool is_freed(std::uint32_t map) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10 * patience());
  while (std::chrono::steady_clock::now() < deadline) {
    const int fd = bpf_map_get_fd_by_id(map);
    if (fd < 0) return true;
    ::close(fd);
    std::this_thread::yield();
  }
  return false;
}

// On this thread every bpf() that makes a map fails as it does without memory.
void refuse_memory() {
  std::array<sock_filter, 6> filter = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_MAP_CREATE, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

// This thread has no other capability from here on.
void keep_capabilities(const std::vector<unsigned>& kept) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets = {};
  for (const unsigned one : kept) {
    sets[one / 32].effective |= 1u << one % 32;
    sets[one / 32].permitted |= 1u << one % 32;
  }
  ASSERT_EQ(syscall(SYS_capset, &header, sets.data()), 0);
}

// The same table, said to be of another version.
Table as_of_abi(const Table& table, std::uint32_t abi) {
  const std::shared_ptr<std::byte[]> bytes(new std::byte[table.bytes().size()]);
  std::memcpy(bytes.get(), table.bytes().data(), table.bytes().size());
  auto& header = *reinterpret_cast<moat_table*>(bytes.get());
  header.abi = abi;
  header.digest = table_digest({bytes.get(), table.bytes().size()});
  return Table({bytes, bytes.get()}, table.bytes().size());
}

// An inner map with the table in it, whatever that is.
Fd inner_map(const Table& table, std::uint32_t bytes) {
  bpf_map_create_opts options = {};
  options.sz = sizeof options;
  options.map_flags = BPF_F_MMAPABLE;
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, bytes, 1, &options));
  std::vector<std::byte> value(bytes);
  std::memcpy(value.data(), table.bytes().data(), table.bytes().size());
  const __u32 slot = 0;
  EXPECT_EQ(bpf_map_update_elem(map.get(), &slot, value.data(), BPF_ANY), 0);
  return map;
}

class XdpBackendTest : public XdpScene {};

// ---- Publishing ----

TEST_F(XdpBackendTest, nothing_is_live_before_the_first_publish) {
  const auto backend = open();
  const auto live = backend->live();
  ASSERT_DONE(live);
  EXPECT_EQ(live->generation, 0u);
  EXPECT_FALSE(*backend->live_table());
}

TEST_F(XdpBackendTest, what_is_published_is_live_and_pinned) {
  const auto backend = open();
  const Table table = make_table(1, 10);
  ASSERT_DONE(backend->publish(table));
  expect_live(*backend, table);
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  const Fd program = pins().get("xdp");
  EXPECT_EQ(run_program(program.get(), 10), XDP_PASS);
  EXPECT_EQ(run_program(program.get(), 11), XDP_DROP);
}

TEST_F(XdpBackendTest, a_table_moves_through_the_tiers_as_it_grows_and_shrinks) {
  struct Step {
    std::uint32_t ranges;
    const char* slot;
  };
  const auto backend = open();
  std::uint64_t generation = 0;
  std::uint32_t last = 0;
  for (const Step& step : {Step{0, "policy-small"},
                           {medium_ranges, "policy-medium"},
                           {medium_ranges, "policy-medium"},
                           {large_ranges, "policy-large"},
                           {medium_ranges, "policy-medium"},
                           {0, "policy-small"},
                           {large_ranges, "policy-large"},
                           {0, "policy-small"}}) {
    SCOPED_TRACE(fmt::format("generation {} in {}", ++generation, step.slot));
    const auto octet = static_cast<std::uint8_t>(generation);
    const Table table = make_table(generation, octet, step.ranges);
    ASSERT_DONE(backend->publish(table));
    expect_live(*backend, table);
    for (const char* slot : {"policy-small", "policy-medium", "policy-large"})
      EXPECT_EQ(occupant(slot) != 0, std::string(slot) == step.slot) << slot;
    EXPECT_EQ(pins().list(), pins_with(fmt::format("table-{}", generation)));

    const Fd program = pins().get("xdp");
    EXPECT_EQ(run_program(program.get(), octet), XDP_PASS);
    EXPECT_EQ(run_program(program.get(), octet + 1), XDP_DROP);
    EXPECT_TRUE(last == 0 || is_freed(last)) << "the table before is still in the kernel";
    last = occupant(step.slot);
  }
}

TEST_F(XdpBackendTest, the_live_table_cannot_be_written) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  const Fd map = pins().get("table-1");
  const std::vector<std::byte> value(MOAT_TIER_SMALL);
  const __u32 slot = 0;
  EXPECT_NE(bpf_map_update_elem(map.get(), &slot, value.data(), BPF_ANY), 0);
}

TEST_F(XdpBackendTest, an_table_stays_readable_when_it_is_no_longer_live) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  const auto table = backend->live_table();
  ASSERT_DONE(table);
  ASSERT_DONE(backend->publish(make_table(2, 11)));
  EXPECT_TRUE(check_table(table->bytes()));
  EXPECT_EQ(table->header().generation, 1u);
}

TEST_F(XdpBackendTest, a_generation_is_published_again_where_its_slot_was_emptied) {
  const auto backend = open();
  const Table table = make_table(1, 10);
  ASSERT_DONE(backend->publish(table));
  const __u32 slot = 0;
  ASSERT_EQ(bpf_map_delete_elem(pins().get("policy-small").get(), &slot), 0);
  EXPECT_EQ(backend->live()->generation, 0u);
  ASSERT_DONE(backend->publish(table));
  expect_live(*backend, table);
  EXPECT_EQ(pins().list(), pins_with("table-1"));
}

TEST_F(XdpBackendTest, an_emptied_slot_closes_guarded_ports_to_all) {
  auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  ASSERT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  EXPECT_TRUE(backend->is_live().value());
  EXPECT_FALSE(drops("mt0", 10));
  const __u32 slot = 0;
  ASSERT_EQ(bpf_map_delete_elem(pins().get("policy-small").get(), &slot), 0);
  EXPECT_FALSE(backend->is_live().value());
  EXPECT_TRUE(drops("mt0", 10)) << "listed, but there is no list";
  EXPECT_TRUE(drops("mt0", 20));

  backend.reset();
  const auto next = open();
  EXPECT_TRUE(drops("mt0", 20)) << "a daemon that finds it so";
  ASSERT_DONE(next->publish(make_table(2, 10)));
  EXPECT_TRUE(next->is_live().value());
  EXPECT_FALSE(drops("mt0", 10));
}

TEST_F(XdpBackendTest, a_closed_table_changed_by_hand_is_mended) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{});
  const __u32 slot = 0;
  const std::vector<std::byte> nothing(MOAT_CLOSED_BYTES);
  ASSERT_EQ(bpf_map_update_elem(pins().get("policy-closed").get(), &slot, nothing.data(), BPF_ANY),
            0);
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{"the map policy-closed held another table"});
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{});
}

TEST_F(XdpBackendTest, somebody_elses_table_is_told_and_replaced) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  const Table other = make_table(5, 20);
  occupy("policy-small", inner_map(as_of_abi(other, MOAT_ABI), MOAT_TIER_SMALL).get());
  const auto live = backend->live();
  EXPECT_TRUE(!live || live->generation == 5u);
  ASSERT_DONE(backend->publish(make_table(2, 10)));
  expect_live(*backend, make_table(2, 10));
}

TEST_F(XdpBackendTest, a_damaged_table_changes_nothing) {
  const auto backend = open();
  const Table table = make_table(1, 10);
  ASSERT_DONE(backend->publish(table));
  const Table good = make_table(2, 11);
  const std::shared_ptr<std::byte[]> bytes(new std::byte[good.bytes().size()]);
  std::memcpy(bytes.get(), good.bytes().data(), good.bytes().size());
  bytes[good.bytes().size() - 1] ^= std::byte{1};
  EXPECT_FALSE(backend->publish(Table({bytes, bytes.get()}, good.bytes().size())));
  expect_live(*backend, table);
}

TEST_F(XdpBackendTest, without_memory_the_old_table_stays_and_the_cause_is_told) {
  const auto backend = open();
  const Table table = make_table(1, 10);
  ASSERT_DONE(backend->publish(table));
  Result<> refused;
  std::thread([&] {
    refuse_memory();
    refused = backend->publish(make_table(2, 11));
  }).join();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "the kernel refuses a table of 512 KiB: Cannot allocate memory");
  EXPECT_NE(refused.error().remedy, "");
  expect_live(*backend, table);
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  ASSERT_DONE(backend->publish(make_table(2, 11)));
}

TEST_F(XdpBackendTest, counters_are_summed_by_slot_and_cleared) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  const Fd program = pins().get("xdp");
  for (int i = 0; i < 3; i++) run_program(program.get(), 10);
  run_program(program.get(), 11);

  constexpr std::uint32_t unlisted = MOAT_OUTCOME_SLOT(1, 0, MOAT_NO_RULE);
  const auto counted = backend->counters();
  ASSERT_DONE(counted);
  ASSERT_EQ(counted->size(), std::size_t{MOAT_COUNTER_SLOTS});
  EXPECT_EQ((*counted)[listed_slot].packets, 3u);
  EXPECT_EQ((*counted)[listed_slot].bytes, 3u * 54u);
  EXPECT_EQ((*counted)[unlisted].packets, 1u);
  ASSERT_DONE(backend->clear_counters({listed_slot}));
  EXPECT_EQ((*backend->counters())[listed_slot].packets, 0u);
  EXPECT_EQ((*backend->counters())[unlisted].packets, 1u);
}

// ---- Going on with what is pinned ----

TEST_F(XdpBackendTest, the_next_daemon_goes_on_without_a_gap) {
  const Table table = make_table(3, 10);
  auto backend = open();
  ASSERT_DONE(backend->publish(table));
  ASSERT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  const std::uint32_t program = program_on("mt0");
  backend.reset();

  EXPECT_EQ(program_on("mt0"), program);
  EXPECT_FALSE(drops("mt0", 10));
  EXPECT_TRUE(drops("mt0", 11));
  backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force");
  expect_live(*backend, table);
  EXPECT_EQ((*backend->counters())[listed_slot].packets, 1u) << "counters start anew";
  EXPECT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).program_id, program);

  ASSERT_DONE(backend->publish(make_table(4, 11)));
  EXPECT_TRUE(drops("mt0", 10));
  EXPECT_FALSE(drops("mt0", 11));
}

TEST_F(XdpBackendTest, a_commit_cut_short_before_its_last_write_leaves_the_old_table) {
  const Table table = make_table(1, 10);
  ASSERT_DONE(open()->publish(table));
  {
    const auto staged = stage_table(make_table(2, 11), MOAT_TIER_LARGE);
    ASSERT_DONE(staged);
    ASSERT_DONE(pins().put("table-next", staged->get()));
    occupy("policy-large", staged->get());
  }
  const auto backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force");
  expect_live(*backend, table);
  EXPECT_EQ(occupant("policy-large"), 0u);
  EXPECT_EQ(pins().list(), pins_with("table-1"));
}

TEST_F(XdpBackendTest, a_commit_cut_short_after_its_last_write_is_finished) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  const Table table = make_table(2, 11);
  {
    const auto staged = stage_table(table, MOAT_TIER_SMALL);
    ASSERT_DONE(staged);
    ASSERT_DONE(pins().put("table-next", staged->get()));
    occupy("policy-small", staged->get());
  }
  const auto backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force");
  expect_live(*backend, table);
  EXPECT_EQ(pins().list(), pins_with("table-2"));
}

TEST_F(XdpBackendTest, a_program_of_another_version_is_replaced_in_place) {
  const Table table = make_table(1, 10);
  ASSERT_DONE(open()->publish(table));
  std::uint32_t link_id = 0;
  {
    std::vector<Fd> maps;
    std::vector<int> fds;
    for (const char* name : {"policy-small", "policy-medium", "policy-large", "counters"})
      fds.push_back(maps.emplace_back(pins().get(name)).get());
    const Fd older = tiny_program("older", XDP_DROP, fds);
    ASSERT_TRUE(older);
    const Fd link = link_program("mt0", older.get());
    ASSERT_DONE(pins().put("xdp", older.get()));
    ASSERT_DONE(pins().put("links/mt0", link.get()));
    link_id = kernel_id(link.get());
    ASSERT_TRUE(drops("mt0", 10));
  }
  const auto backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force, with a newer program");
  EXPECT_EQ(backend->take_mended(), Names{}) << "nobody has meddled with it";
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  expect_live(*backend, table);
  EXPECT_FALSE(drops("mt0", 10));
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(kernel_id(pins().get("links/mt0").get()), link_id) << "it was detached";
  EXPECT_EQ(kernel_id(pins().get("xdp").get()), program_on("mt0"));
}

TEST_F(XdpBackendTest, what_was_done_to_the_programs_while_no_daemon_ran_is_told) {
  const auto guard = [this] {
    auto backend = open();
    EXPECT_TRUE(backend->ensure_attached("mt0", WantedAttach::automatic).is_attached());
    auto told = backend->ensure_backstop("", {}).mended;
    EXPECT_TRUE(backend->ensure_pins());
    const auto more = backend->take_mended();
    told.insert(told.end(), more.begin(), more.end());
    return told;
  };
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  EXPECT_EQ(guard(), Names{});
  EXPECT_EQ(guard(), Names{}) << "each daemon has a backstop of its own";
  swap_program("links/mt0", tiny_program("passes", XDP_PASS).get());
  swap_program("backstop-link", passes_at_sockets().get());
  EXPECT_EQ(guard(), (Names{"the backstop ran another program than Moat's",
                            "interface mt0 ran another program than Moat's"}));
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(guard(), Names{});
  ASSERT_EQ(bpf_link_detach(pins().get("links/mt0").get()), 0);
  EXPECT_EQ(guard(), Names{"interface mt0 was without Moat's program when moatd started, which was "
                           "taken off it or went with the interface that had the name before"});
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(guard(), Names{});
  ASSERT_EQ(bpf_link_detach(pins().get("backstop-link").get()), 0);
  EXPECT_EQ(guard(), Names{"the backstop had been taken off its cgroup"});
  if (InputLink::has_place()) {
    for (const auto* link : {pin::input_link_ipv4, pin::input_link_ipv6})
      ASSERT_EQ(bpf_link_detach(pins().get(link).get()), 0);
    EXPECT_EQ(guard(), Names{"the backstop had been taken off its place before sockets"});
    EXPECT_EQ(guard(), Names{});
  }
  const __u32 slot = 0;
  ASSERT_EQ(bpf_map_delete_elem(pins().get("policy-small").get(), &slot), 0);
  EXPECT_EQ(guard(), Names{"the live table was not what it should be"});
  open()->remove_backstop();
}

TEST_F(XdpBackendTest, the_pin_of_an_earlier_name_is_not_looked_for) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  PinIds pinned;
  const auto guard = [&](const std::string& interface) {
    auto backend = open(pinned);
    EXPECT_TRUE(backend->ensure_attached(interface, WantedAttach::automatic).is_attached());
    EXPECT_TRUE(backend->ensure_pins());
    pinned = backend->pinned();
    return backend->take_mended();
  };
  EXPECT_EQ(guard("mt0"), Names{});
  ASSERT_TRUE(run("ip link set mt0 down && ip link set mt0 name mt8"));
  EXPECT_EQ(guard("mt8"), Names{});
  ASSERT_TRUE(run("ip link set mt8 name mt0"));
  EXPECT_EQ(guard("mt0"), Names{});
}

// Killed between the links and the pin of the program.
TEST_F(XdpBackendTest, a_replacement_cut_short_is_nobodys_meddling) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  ASSERT_EQ(open()->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  {
    const Fd next = tiny_program("newer", XDP_DROP);
    pins().announce("xdp", next.get());
    swap_program("links/mt0", next.get());
  }
  const auto backend = open();
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{});
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  EXPECT_FALSE(drops("mt0", 10));
}

// ---- Another ABI version ----

class AnotherVersion : public XdpBackendTest {
 protected:
  // A daemon of a version that kept other counters, and whose program drops everything.
  void SetUp() override {
    XdpBackendTest::SetUp();
    ASSERT_TRUE(pins().prepare());
    const Fd counters(bpf_map_create(BPF_MAP_TYPE_ARRAY, "counters", 4, 8, 100, nullptr));
    const Fd program = tiny_program("ancient", XDP_DROP, {counters.get()});
    ASSERT_TRUE(program);
    const Fd link = link_program("mt0", program.get());
    ASSERT_TRUE(pins().put("counters", counters.get()));
    ASSERT_TRUE(pins().put("xdp", program.get()));
    ASSERT_TRUE(pins().put("links/mt0", link.get()));
    program_id_ = kernel_id(program.get());
    link_id_ = kernel_id(link.get());
  }

  std::uint32_t program_id_ = 0;
  std::uint32_t link_id_ = 0;
};

TEST_F(AnotherVersion, goes_on_enforcing_until_the_first_publish) {
  const auto backend = open();
  EXPECT_NE(backend->adoption(), "it took over the rules in force");
  EXPECT_EQ(backend->live()->generation, 0u);
  EXPECT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).program_id, program_id_);
  // An interface that appears meanwhile gets what the others have.
  EXPECT_EQ(backend->ensure_attached("mt1", WantedAttach::automatic).program_id, program_id_);
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{});
  EXPECT_EQ(kernel_id(pins().get("xdp").get()), program_id_);
}

TEST_F(AnotherVersion, gives_way_in_place_at_the_first_publish) {
  auto backend = open();
  const Table table = make_table(1, 10);
  ASSERT_DONE(backend->publish(table));
  EXPECT_FALSE(drops("mt0", 10));
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(kernel_id(pins().get("links/mt0").get()), link_id_) << "it was detached";
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  EXPECT_EQ(kernel_id(pins().get("xdp").get()), program_on("mt0"));
  backend.reset();
  backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force");
  expect_live(*backend, table);
}

TEST_F(XdpBackendTest, a_table_of_another_version_is_not_adopted) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  {
    const Fd map = inner_map(as_of_abi(make_table(2, 10), MOAT_ABI + 1), MOAT_TIER_SMALL);
    occupy("policy-small", map.get());
    ASSERT_DONE(pins().put("table-2", map.get()));
  }
  const auto backend = open();
  EXPECT_EQ(backend->adoption(),
            fmt::format("table of ABI version {}, not {}", MOAT_ABI + 1, MOAT_ABI));
  EXPECT_EQ(backend->live()->generation, 0u);
  EXPECT_EQ(backend->adoption().find("took over"), std::string::npos);
  ASSERT_DONE(backend->publish(make_table(3, 10)));
  EXPECT_EQ(pins().list(), pins_with("table-3"));
}

TEST_F(XdpBackendTest, pins_that_do_not_belong_together_are_not_adopted) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  {
    const Fd other(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", 4, sizeof(moat_counter),
                                  MOAT_COUNTER_SLOTS, nullptr));
    ASSERT_DONE(pins().put("counters", other.get()));
  }
  const auto backend = open();
  EXPECT_EQ(backend->adoption(), "the pinned program does not use the pinned map counters");
}

// ---- Around it ----

TEST_F(XdpBackendTest, an_unmounted_filesystem_ends_nothing_and_is_made_anew) {
  auto backend = open();
  const Table table = make_table(1, 10);
  ASSERT_DONE(backend->publish(table));
  ASSERT_NE(backend->ensure_attached("mt0", WantedAttach::automatic).program_id, 0u);
  EXPECT_NE(umount(mount_point().c_str()), 0) << "while somebody has the pins";
  ASSERT_EQ(umount2(mount_point().c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(drops("mt0", 11));

  ASSERT_DONE(backend->ensure_pins());
  const auto mended = backend->take_mended();
  ASSERT_EQ(mended.size(), 1u);
  for (const auto& name : pins_with("table-1"))
    EXPECT_NE(mended[0].find(name), std::string::npos) << name;
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{});
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  EXPECT_EQ(pins().list("links"), Names{"mt0"});
  backend.reset();
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(open()->adoption(), "it took over the rules in force");
}

TEST_F(XdpBackendTest, a_rule_is_enforced_although_nothing_can_be_pinned) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  ASSERT_NE(backend->ensure_attached("mt0", WantedAttach::automatic).program_id, 0u);
  ASSERT_EQ(umount2(mount_point().c_str(), MNT_DETACH), 0);
  ASSERT_EQ(mkdir((mount_point() + "/in-the-way").c_str(), 0700), 0);
  ASSERT_DONE(backend->publish(make_table(2, 11)));
  EXPECT_TRUE(drops("mt0", 10));
  const auto mended = backend->ensure_pins();
  ASSERT_FALSE(mended);
  EXPECT_EQ(mended.error().message, mount_point() + " is not on a bpf filesystem");
}

TEST_F(XdpBackendTest, without_a_filesystem_to_pin_on_it_guards_and_pins_when_there_is_one) {
  ASSERT_EQ(umount(mount_point().c_str()), 0);
  const auto in_the_way = mount_point() + "/in-the-way";
  ASSERT_EQ(mkdir(in_the_way.c_str(), 0700), 0);
  auto backend = open();
  EXPECT_EQ(backend->adoption(), mount_point() + " is not on a bpf filesystem");
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  EXPECT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  EXPECT_TRUE(drops("mt0", 11));
  const auto pinned = backend->ensure_pins();
  ASSERT_FALSE(pinned);
  const std::string lead = "mount a bpf filesystem: ";
  ASSERT_TRUE(pinned.error().remedy.starts_with(lead)) << pinned.error().remedy;
  ASSERT_EQ(rmdir(in_the_way.c_str()), 0);
  ASSERT_TRUE(run(pinned.error().remedy.substr(lead.size()))) << "as it was typed";
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_EQ(backend->take_mended(), Names{}) << "nothing was pinned before";
  EXPECT_EQ(pins().list("links"), Names{"mt0"});
  backend.reset();
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(open()->adoption(), "it took over the rules in force");
}

// What an earlier daemon left is out of reach at first, and is then taken over in place.
TEST_F(XdpBackendTest, pins_that_come_within_reach_are_taken_over) {
  {
    const auto earlier = open();
    ASSERT_DONE(earlier->publish(make_table(1, 10)));
    ASSERT_EQ(earlier->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  }
  const auto link = kernel_id(pins().get("links/mt0").get());
  ASSERT_EQ(chmod(mount_point().c_str(), 0777), 0);
  auto backend = open();
  ASSERT_DONE(backend->publish(make_table(2, 11)));
  const auto status = backend->ensure_attached("mt0", WantedAttach::automatic);
  EXPECT_EQ(status.mode, AttachMode::none);
  EXPECT_FALSE(status.foreign) << "it is Moat's own, and out of reach";
  EXPECT_FALSE(backend->ensure_pins());
  EXPECT_TRUE(drops("mt0", 11)) << "what the earlier one enforced";

  ASSERT_EQ(chmod(mount_point().c_str(), 0700), 0);
  ASSERT_DONE(backend->ensure_pins());
  EXPECT_TRUE(drops("mt0", 10));
  EXPECT_FALSE(drops("mt0", 11));
  EXPECT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  EXPECT_EQ(kernel_id(pins().get("links/mt0").get()), link) << "it was detached";
  backend.reset();
  EXPECT_EQ(open()->adoption(), "it took over the rules in force");
  EXPECT_TRUE(drops("mt0", 10));
}

TEST_F(XdpBackendTest, links_pinned_by_an_earlier_version_are_taken_over_in_place) {
  const std::vector<std::pair<std::string, std::string>> moved = {
      {"backstop-link", "links/backstop"},
      {"input-link-ipv4", "links/input-ipv4"},
      {"input-link-ipv6", "links/input-ipv6"}};
  std::vector<std::uint32_t> ids;
  {
    const auto earlier = open();
    ASSERT_DONE(earlier->publish(make_table(1, 10)));
    ASSERT_TRUE(earlier->ensure_backstop("", {}).at_sockets.on);
    for (const auto& [now, then] : moved) {
      ids.push_back(kernel_id(pins().get(now).get()));
      ASSERT_EQ(pins().rename(now, then), ids.back() != 0) << now;
    }
    ASSERT_NE(ids[0], 0u);
  }
  const auto backend = open();
  ASSERT_TRUE(backend->ensure_backstop("", {}).at_sockets.on);
  EXPECT_EQ(pins().list("links"), Names{});
  EXPECT_EQ(kernel_id(pins().get("backstop-link").get()), ids[0]) << "it was detached";
  EXPECT_EQ(pins().get("input-link-ipv4").get() >= 0, ids[1] != 0);
  EXPECT_EQ(backend->take_mended(), Names{});
  backend->remove_backstop();
}

TEST_F(XdpBackendTest, every_pin_that_is_removed_is_mended_and_told) {
  const auto backend = open();
  const auto look = [&] {
    (void)backend->ensure_attached("mt0", WantedAttach::automatic);
    EXPECT_TRUE(backend->ensure_backstop("", {}).at_sockets.on);
    EXPECT_TRUE(backend->ensure_pins());
    return backend->take_mended();
  };
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  EXPECT_EQ(look(), Names{}) << "at a first start";
  ASSERT_DONE(backend->publish(make_table(2, 10)));
  EXPECT_EQ(look(), Names{}) << "after a change";
  auto names = pins().list();
  EXPECT_GE(names.size(), pins_with("").size() + 3);
  names.emplace_back("links/mt0");
  for (const auto& name : names) {
    pins().remove(name);
    EXPECT_EQ(look(), Names{fmt::format("the pin {} was missing", name)});
    EXPECT_TRUE(pins().get(name)) << name;
    if (name.starts_with("table-")) continue;  // the next table has another
    pins().remove(name);
    ASSERT_DONE(backend->publish(make_table(2, 10)));
    EXPECT_EQ(look(), Names{fmt::format("the pin {} was missing", name)}) << "found by publish()";
  }
  backend->remove_backstop();
}

TEST_F(XdpBackendTest, a_pin_removed_while_no_daemon_lived_is_told_by_the_next) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  pins().remove("counters");
  auto backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force, but for pins that were missing");
  EXPECT_EQ(backend->take_mended(), Names{"the pin counters was missing when moatd started"});
  EXPECT_EQ(pins().list(), pins_with("table-1"));
  backend.reset();
  backend = open();
  EXPECT_EQ(backend->adoption(), "it took over the rules in force");
  EXPECT_EQ(backend->take_mended(), Names{});
}

TEST_F(XdpBackendTest, all_pins_removed_while_no_daemon_lived_are_told_by_the_next) {
  PinIds earlier;
  const auto guard = [](XdpBackend& backend) {
    EXPECT_TRUE(backend.publish(make_table(1, 10)));
    EXPECT_EQ(backend.ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
    EXPECT_TRUE(backend.ensure_backstop("", {}).at_sockets.on);
    EXPECT_TRUE(backend.ensure_pins());
  };
  {
    const auto first = open();
    guard(*first);
    earlier = first->pinned();
  }
  ASSERT_TRUE(earlier.contains("links/mt0"));
  ASSERT_TRUE(earlier.contains("backstop-link"));
  for (const auto& [name, id] : earlier) pins().remove(name);
  auto backend = open(earlier);
  EXPECT_EQ(backend->adoption(), "no program is pinned");
  EXPECT_EQ(backend->take_mended(), Names{}) << "mended, while there is none of them";
  guard(*backend);
  const auto told = backend->take_mended();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].ends_with("were missing when moatd started")) << told[0];
  for (const auto& [name, id] : earlier)
    EXPECT_NE(told[0].find(name), std::string::npos) << name << " is not told: " << told[0];
  earlier = backend->pinned();
  backend.reset();
  backend = open(earlier);
  guard(*backend);
  EXPECT_EQ(backend->take_mended(), Names{});
  backend->remove_backstop();
}

TEST_F(XdpBackendTest, without_the_pins_of_tables_the_log_says_what_is_out_of_reach) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  for (const auto* name : {"policy-small", "policy-medium", "policy-large"}) pins().remove(name);
  EXPECT_EQ(open()->adoption(),
            "the earlier table is out of reach, as pins are missing (policy-small, policy-medium, "
            "policy-large)");
}

// ---- Network namespaces ----

TEST_F(XdpBackendTest, a_daemon_in_another_network_namespace_is_refused_and_changes_nothing) {
  {
    const auto backend = open();
    ASSERT_DONE(backend->publish(make_table(1, 10)));
    ASSERT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
  }
  const auto link = kernel_id(pins().get("links/mt0").get());
  const auto names = pins().list();
  Result<std::unique_ptr<XdpBackend>> refused;
  struct stat there = {};
  std::thread([&] {
    ASSERT_TRUE(enter_own_netns());
    ASSERT_EQ(::stat("/proc/thread-self/ns/net", &there), 0);
    ASSERT_TRUE(run("ip link add mt0 type veth peer name mt1"));
    refused = XdpBackend::open(folder());
  }).join();
  struct stat here = {};
  ASSERT_EQ(::stat("/proc/thread-self/ns/net", &here), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().message,
      fmt::format("the pins in {} guard another network namespace, net:[{}]: this is net:[{}]",
                  folder(), here.st_ino, there.st_ino));
  EXPECT_TRUE(refused.error().remedy.ends_with("rm -r " + folder())) << refused.error().remedy;
  EXPECT_EQ(pins().list(), names);
  EXPECT_EQ(kernel_id(pins().get("links/mt0").get()), link);
  EXPECT_TRUE(drops("mt0", 11));
  EXPECT_EQ(open()->adoption(), "it took over the rules in force") << "the right one goes on";
}

TEST_F(XdpBackendTest, pins_of_another_network_namespace_that_come_within_reach_are_left_alone) {
  ASSERT_DONE(open()->publish(make_table(1, 10)));
  ASSERT_EQ(chmod(mount_point().c_str(), 0777), 0);
  Result<> pinned;
  std::thread([&] {
    ASSERT_TRUE(enter_own_netns());
    const auto backend = open();
    ASSERT_DONE(backend->publish(make_table(2, 11)));
    ASSERT_EQ(chmod(mount_point().c_str(), 0700), 0);
    pinned = backend->ensure_pins();
  }).join();
  ASSERT_FALSE(pinned);
  EXPECT_NE(pinned.error().message.find("guard another network namespace"), std::string::npos);
  EXPECT_EQ(pins().list(), pins_with("table-1"));
}

// ---- Pins given to another user ----

TEST_F(XdpBackendTest, pins_given_to_another_user_while_no_daemon_lived_are_taken_back) {
  for (const std::string spoilt : {"", "/links", "/links/mt0", "/xdp"}) {
    SCOPED_TRACE(spoilt);
    PinIds earlier;
    {
      const auto backend = open();
      ASSERT_DONE(backend->publish(make_table(1, 10)));
      ASSERT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
      ASSERT_TRUE(backend->ensure_backstop("", {}).at_sockets.on);
      earlier = backend->pinned();
    }
    ASSERT_EQ(chown((folder() + spoilt).c_str(), stranger_uid, stranger_uid), 0);
    const auto backend = open(earlier);
    EXPECT_EQ(backend->adoption(), "it took over the rules in force");
    ASSERT_DONE(backend->publish(make_table(2, 11)));
    EXPECT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
    EXPECT_TRUE(backend->ensure_backstop("", {}).at_sockets.on);
    ASSERT_DONE(backend->ensure_pins());
    EXPECT_TRUE(drops("mt0", 10));
    EXPECT_EQ(backend->take_mended().size(), 1u);
    EXPECT_EQ(backend->pin_problems(), Names{});
    for (const auto* name : {"links/mt0", "counters", "backstop-link"})
      EXPECT_EQ(kernel_id(pins().get(name).get()), earlier[name]) << name << ": a new one";
    EXPECT_FALSE(run(fmt::format("ls -d {0}-of-uid-* {0}/links-of-uid-* 2>/dev/null", folder())))
        << "what was moved is still there";
    ASSERT_DONE(backend->detach_all());
  }
}

// As root with the capabilities that it needs and no others, which cannot read what is another's.
TEST_F(XdpBackendTest, pins_out_of_reach_are_no_mend_until_they_are_given_back) {
  std::thread([&] {
    auto backend = open();
    ASSERT_DONE(backend->publish(make_table(1, 10)));
    ASSERT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
    const auto earlier = backend->pinned();
    const auto link = kernel_id(pins().get("links/mt0").get());
    backend.reset();
    ASSERT_TRUE(run(fmt::format("chown 65534:65534 {}/*", folder())));
    std::thread([&] {
      keep_capabilities({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON});
      backend = open(earlier);
      ASSERT_DONE(backend->publish(make_table(2, 11)));
      const auto status = backend->ensure_attached("mt0", WantedAttach::automatic);
      EXPECT_EQ(status.mode, AttachMode::none);
      EXPECT_FALSE(status.foreign);
      EXPECT_TRUE(status.reason.starts_with("Moat's own program ")) << status.reason;
      ASSERT_DONE(backend->ensure_pins());
      for (const auto& mended : backend->take_mended())
        EXPECT_EQ(mended.find("links"), std::string::npos) << mended;
    }).join();
    const auto problems = backend->pin_problems();
    ASSERT_EQ(problems.size(), 1u);
    const auto from = problems[0].find("(chown ") + 1;
    ASSERT_NE(from, 0u) << problems[0];
    ASSERT_TRUE(run(problems[0].substr(from, problems[0].find(';') - from))) << "as it was typed";
    std::thread([&] {
      keep_capabilities({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON});
      EXPECT_EQ(backend->ensure_attached("mt0", WantedAttach::automatic).mode, AttachMode::native);
      ASSERT_DONE(backend->ensure_pins());
    }).join();
    EXPECT_EQ(backend->pin_problems(), Names{});
    EXPECT_EQ(kernel_id(pins().get("links/mt0").get()), link) << "it was detached";
    EXPECT_TRUE(drops("mt0", 10));
    EXPECT_FALSE(drops("mt0", 11));
  }).join();
}

TEST_F(XdpBackendTest, pins_on_mounts_that_only_this_process_sees_are_told) {
  const auto backend = open();
  ASSERT_DONE(backend->publish(make_table(1, 10)));
  ASSERT_DONE(backend->ensure_pins());
  struct stat pid_namespace = {};
  ASSERT_EQ(::stat("/proc/self/ns/pid", &pid_namespace), 0);
  const auto last = backend->check_pins_last();
  if (pid_namespace.st_ino != 0xEFFFFFFC) {
    std::puts("NOT TRIED, as this is no host's own PID namespace: whether pins last");
    EXPECT_TRUE(last);
    return;
  }
  ASSERT_FALSE(last);
  EXPECT_NE(last.error().message.find("mounted for moatd alone"), std::string::npos);
}

TEST_F(XdpBackendTest, a_second_daemon_on_the_same_pins_is_refused) {
  const auto first = open();
  const auto second = XdpBackend::open(folder());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, "another moatd has the pins in " + folder());
}

TEST_F(XdpBackendTest, three_capabilities_are_enough) {
  Result<> published;
  std::string adoption;
  InterfaceStatus status;
  std::thread([&] {
    keep_capabilities({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON});
    auto backend = open();
    published = backend->publish(make_table(1, 10));
    (void)backend->ensure_attached("mt0", WantedAttach::automatic);
    backend.reset();
    backend = open();
    adoption = backend->adoption();
    if (published) published = backend->publish(make_table(2, 11, medium_ranges));
    status = backend->ensure_attached("mt0", WantedAttach::automatic);
  }).join();
  ASSERT_DONE(published);
  EXPECT_EQ(adoption, "it took over the rules in force");
  EXPECT_EQ(status.mode, AttachMode::native) << status.reason;
  EXPECT_TRUE(drops("mt0", 10));
}

TEST_F(XdpBackendTest, a_missing_capability_is_named) {
  Result<std::unique_ptr<XdpBackend>> opened;
  std::thread([&] {
    keep_capabilities({CAP_NET_ADMIN});
    opened = XdpBackend::open(folder());
  }).join();
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("Operation not permitted"), std::string::npos)
      << opened.error().message;
  EXPECT_EQ(opened.error().remedy,
            "moatd lacks CAP_BPF and CAP_PERFMON: start it as root, with that in "
            "CapabilityBoundingSet=");
}

TEST_F(XdpBackendTest, a_capability_that_the_verifier_misses_is_named_alone) {
  Result<std::unique_ptr<XdpBackend>> opened;
  std::thread([&] {
    keep_capabilities({CAP_BPF, CAP_NET_ADMIN});
    opened = XdpBackend::open(folder());
  }).join();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().remedy,
            "moatd lacks CAP_PERFMON: start it as root, with that in CapabilityBoundingSet=");
  EXPECT_EQ(opened.error().message, "load the XDP program: Permission denied");
}

}  // namespace
}  // namespace moat
