// SPDX-License-Identifier: BSD-2-Clause
// What the program in the kernel tells of the frames it drops, and what it keeps to itself.
#include "dataplane/xdp/drop_ring.h"

#include <arpa/inet.h>
#include <poll.h>

#include <algorithm>

#include "tests/support/patience.h"
#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

using Frame = std::vector<std::uint8_t>;

constexpr std::uint32_t loopback = 1;  // where test runs come in

Frame plain_syn(std::uint8_t first_octet = 11, std::uint16_t port = 5432) {
  const auto bytes = syn(first_octet);
  Frame frame(bytes.begin(), bytes.end());
  frame[36] = static_cast<std::uint8_t>(port >> 8);
  frame[37] = static_cast<std::uint8_t>(port);
  return frame;
}

Frame syn_from(std::uint32_t source, std::uint16_t port = 5432) {
  auto frame = plain_syn(0, port);
  for (int i = 0; i < 4; i++) frame[26 + i] = static_cast<std::uint8_t>(source >> (24 - 8 * i));
  return frame;
}

Frame tagged(Frame frame, std::uint16_t tci) {
  const std::array<std::uint8_t, 4> tag = {0x81, 0, static_cast<std::uint8_t>(tci >> 8),
                                           static_cast<std::uint8_t>(tci)};
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  return frame;
}

// A SYN from 2001:db8::7 to 2001:db8::1, port 5432.
Frame syn6() {
  Frame frame = {2,    0,    0,    0,    0, 1,  2, 0,  0, 0, 0, 2, 0x86, 0xdd,        // Ethernet
                 0x60, 0,    0,    0,    0, 20, 6, 64,                                // IPv6
                 0x20, 0x01, 0x0d, 0xb8, 0, 0,  0, 0,  0, 0, 0, 0, 0,    0,    0, 7,  //
                 0x20, 0x01, 0x0d, 0xb8, 0, 0,  0, 0,  0, 0, 0, 0, 0,    0,    0, 1};
  const auto plain = plain_syn();
  frame.insert(frame.end(), plain.begin() + 34, plain.end());
  return frame;
}

// Ports from 5432 on are guarded by owners 1, 2 and so on, of which 3 is in monitor mode, and
// 10.0.0.0/8 may reach them.
Table databases(std::uint8_t count) {
  TableInput input;
  input.generation = count;
  for (std::uint8_t i = 0; i < count; i++)
    input.databases.push_back({.owner = static_cast<std::uint8_t>(i + 1),
                               .monitor = i == 2,
                               .address = {},
                               .ports = {static_cast<std::uint16_t>(5432 + i)}});
  input.classes.resize(2u * count);
  std::fill(input.classes.begin() + count, input.classes.end(), listed_slot);
  input.ranges = {{0, 0}, {10u << 24, 1}, {11u << 24, 0}};
  auto table = build_table(input);
  if (!table) throw std::runtime_error(table.error().message);
  return *table;
}

void stay_on_this_cpu() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
}

class DropRingTest : public XdpScene {
 protected:
  void SetUp() override {
    XdpScene::SetUp();
    stay_on_this_cpu();  // each has allowances of its own
    backend_ = open();
    ASSERT_TRUE(backend_->publish(databases(3)));
    ring_ = std::move(backend_->drops().value());
    program_ = pins().get("xdp");
  }

  void send(Frame frame, std::uint32_t repeat = 1) const {
    bpf_test_run_opts options = {};
    options.sz = sizeof options;
    options.data_in = frame.data();
    options.data_size_in = static_cast<__u32>(frame.size());
    options.repeat = static_cast<int>(repeat);
    ASSERT_EQ(bpf_prog_test_run_opts(program_.get(), &options), 0);
  }

  std::vector<moat_drop> told() {
    std::vector<moat_drop> events;
    ring_->read([&](const moat_drop& event) { events.push_back(event); });
    return events;
  }

  [[nodiscard]] std::uint64_t counted(std::uint32_t slot) const {
    return backend_->counters().value()[slot].packets;
  }

  std::unique_ptr<XdpBackend> backend_;
  std::unique_ptr<DropSource> ring_;
  Fd program_;
};

std::string source_of(const moat_drop& drop) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(drop.family == 6 ? AF_INET6 : AF_INET, drop.source, text.data(), text.size());
  return text.data();
}

TEST_F(DropRingTest, a_drop_is_told_with_all_that_is_known_of_it) {
  timespec before = {};
  clock_gettime(CLOCK_MONOTONIC, &before);
  send(plain_syn(11));
  const auto events = told();
  ASSERT_EQ(events.size(), 1u);
  const auto& drop = events.front();
  EXPECT_EQ(source_of(drop), "11.1.2.3");
  EXPECT_EQ(drop.family, 4);
  EXPECT_EQ(drop.reason, MOAT_NO_RULE);
  EXPECT_EQ(drop.owner, 1);
  EXPECT_EQ(drop.monitored, 0);
  EXPECT_EQ(ntohs(drop.port), 5432);
  EXPECT_EQ(drop.vlan, 0);
  EXPECT_EQ(drop.ifindex, loopback);
  EXPECT_EQ(drop.bytes, 54u);
  EXPECT_EQ(drop.packets, 1u);
  EXPECT_GE(drop.time, static_cast<std::uint64_t>(before.tv_sec) * 1'000'000'000u +
                           static_cast<std::uint64_t>(before.tv_nsec));
}

TEST_F(DropRingTest, what_passes_is_not_told) {
  send(plain_syn(10));
  send(plain_syn(11, 80));
  EXPECT_TRUE(told().empty());
}

TEST_F(DropRingTest, the_outermost_tag_is_told) {
  send(tagged(tagged(plain_syn(11), 7), 0x2000 | 42));
  const auto events = told();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].vlan, 0x2000 | 42);
  EXPECT_EQ(source_of(events[0]), "11.1.2.3");
}

TEST_F(DropRingTest, an_ipv6_source_is_told_whole) {
  send(syn6());
  const auto events = told();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].family, 6);
  EXPECT_EQ(source_of(events[0]), "2001:db8::7");
  EXPECT_EQ(events[0].reason, MOAT_IPV6);
  EXPECT_EQ(ntohs(events[0].port), 5432);
}

TEST_F(DropRingTest, a_frame_without_a_source_is_told_as_such) {
  auto frame = plain_syn();
  for (int i = 0; i < 5; i++) frame = tagged(frame, 9);
  send(frame);
  const auto events = told();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].family, 0);
  EXPECT_EQ(events[0].reason, MOAT_VLAN_DEPTH);
  EXPECT_EQ(events[0].owner, 0);
}

TEST_F(DropRingTest, what_passes_in_monitor_mode_is_told_as_monitored) {
  send(plain_syn(11, 5434));
  const auto events = told();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].monitored, 1);
  EXPECT_EQ(events[0].owner, 3);
}

TEST_F(DropRingTest, a_loud_source_is_told_a_few_times_and_its_packets_are_not_forgotten) {
  constexpr std::uint32_t loud = 100'000;
  send(plain_syn(11), loud);
  std::uint64_t packets = 0;
  const auto first = told();
  for (const auto& event : first) packets += event.packets;
  EXPECT_GE(first.size(), 8u);
  EXPECT_LE(first.size(), 40u);
  const auto& last = first.back();
  std::array<std::uint8_t, 16> source = {};
  std::copy(std::begin(last.source), std::end(last.source), source.begin());
  const auto slot = MOAT_OUTCOME_SLOT(1u, 0u, MOAT_NO_RULE);
  EXPECT_EQ(packets + backend_->suppressed_drops()->packets(source, slot), counted(slot));
  // Once it has its turn again, it says how many there were.
  while (packets <= loud) {
    send(plain_syn(11));
    for (const auto& event : told()) packets += event.packets;
  }
  EXPECT_EQ(packets, counted(slot));
}

TEST_F(DropRingTest, a_lone_drop_beside_a_loud_source_is_told) {
  send(plain_syn(11), 100'000);
  (void)told();
  for (std::uint32_t source = 0xc6336401; source < 0xc6336401 + 20; source++) {
    send(syn_from(source));
    const auto events = told();
    EXPECT_EQ(std::ranges::count(events, 198, [](const moat_drop& e) { return e.source[0]; }), 1)
        << source;
    send(plain_syn(11), 1000);
    (void)told();
  }
}

TEST_F(DropRingTest, a_crowd_is_told_at_a_bounded_rate_and_hides_no_lone_drop_of_another_kind) {
  constexpr std::uint32_t crowd = 20'000;
  timespec before = {}, after = {};
  clock_gettime(CLOCK_MONOTONIC, &before);
  for (std::uint32_t i = 0; i < crowd; i++)
    send(syn_from(0x0b000000 + i * 2654435761u % 0x1000000));
  clock_gettime(CLOCK_MONOTONIC, &after);
  const auto events = told();
  // A jiffy takes at least a millisecond; the burst comes on top, and a start within a jiffy.
  const auto elapsed =
      (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1'000'000;
  EXPECT_GE(events.size(), 64u);
  EXPECT_LE(events.size(), 64u + static_cast<std::size_t>(elapsed) + 2);
  const auto tell_alone = [&](const Frame& frame, auto matches) {
    send(frame);
    EXPECT_EQ(std::ranges::count_if(told(), matches), 1);
  };
  tell_alone(plain_syn(11, 5433), [](const moat_drop& e) { return e.owner == 2; });
  tell_alone(plain_syn(11, 5434), [](const moat_drop& e) { return e.owner == 3; });
  tell_alone(syn6(), [](const moat_drop& e) { return e.reason == MOAT_IPV6; });
}

TEST_F(DropRingTest, what_finds_no_room_is_counted_as_lost) {
  ASSERT_TRUE(backend_->publish(databases(64)));
  for (std::uint16_t port = 5432; port < 5432 + 64; port++) {
    for (std::uint32_t i = 0; i < 64; i++) {
      send(syn_from((11u << 24) + i, port));
      send(syn_from((127u << 24) + i, port));  // another kind
    }
  }
  const auto kept = told();
  EXPECT_GE(kept.size(), 4'000u);
  EXPECT_EQ(source_of(kept.front()), "11.0.0.0") << "the oldest are kept";
  EXPECT_GE(counted(MOAT_LOST_DROPS_SLOT), 1u);
  EXPECT_LE(kept.size() + counted(MOAT_LOST_DROPS_SLOT), 64u * 64 * 2);
}

TEST_F(DropRingTest, it_is_readable_while_there_are_events) {
  pollfd ready = {ring_->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, 0), 0);
  send(plain_syn(11));
  EXPECT_EQ(poll(&ready, 1, 10'000 * patience()), 1);
  EXPECT_EQ(told().size(), 1u);
  EXPECT_EQ(poll(&ready, 1, 0), 0);
}

TEST_F(DropRingTest, the_next_daemon_reads_what_was_told_meanwhile) {
  ring_.reset();
  backend_.reset();
  send(plain_syn(11));
  backend_ = open();
  EXPECT_EQ(backend_->adoption(), "it took over the rules in force");
  ring_ = std::move(backend_->drops().value());
  EXPECT_EQ(told().size(), 1u);
  send(plain_syn(12));
  EXPECT_EQ(told().size(), 1u);
}

TEST_F(DropRingTest, the_next_daemon_is_not_told_of_packets_from_before_it_as_if_they_came_now) {
  constexpr std::uint32_t loud = 100'000;
  send(plain_syn(11), loud);
  (void)told();
  ring_.reset();
  backend_.reset();
  backend_ = open();
  EXPECT_EQ(backend_->adoption(), "it took over the rules in force");
  ring_ = std::move(backend_->drops().value());
  std::uint64_t packets = 0, sent = 0;
  while (packets == 0) {
    send(plain_syn(11));
    sent++;
    for (const auto& event : told()) packets += event.packets;
  }
  EXPECT_LE(packets, sent);
  EXPECT_EQ(counted(MOAT_OUTCOME_SLOT(1u, 0u, MOAT_NO_RULE)), loud + sent);
}

TEST_F(DropRingTest, pins_of_a_version_that_told_of_nothing_are_gone_on_with) {
  ring_.reset();
  backend_.reset();
  {
    std::vector<Fd> maps;
    std::vector<int> fds;
    for (const char* name : {"policy-small", "policy-medium", "policy-large", "counters"})
      fds.push_back(maps.emplace_back(pins().get(name)).get());
    ASSERT_TRUE(pins().put("xdp", tiny_program("older", XDP_DROP, fds).get()));
    pins().remove("drops");
    pins().remove("drop-sources");
  }
  backend_ = open();
  EXPECT_EQ(backend_->adoption(), "it took over the rules in force, with a newer program");
  EXPECT_EQ(backend_->live()->generation, 3u);
  ring_ = std::move(backend_->drops().value());
  program_ = pins().get("xdp");
  send(plain_syn(11));
  EXPECT_EQ(told().size(), 1u);
}

}  // namespace
}  // namespace moat
