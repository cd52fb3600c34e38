// SPDX-License-Identifier: BSD-2-Clause
// A network namespace, a bpf filesystem and a pair of interfaces for a test alone, with tables and
// frames to tell by which table the kernel judges. Needs root.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/fd.h"
#include "dataplane/table/table.h"
#include "dataplane/xdp/bpf_map.h"
#include "dataplane/xdp/bpf_pins.h"
#include "dataplane/xdp/xdp_backend.h"
#include "tests/support/own_netns.h"
#include "tests/support/temporary_folder.h"

namespace moat {

inline constexpr std::uint32_t listed_slot = 7;

// Port 5432 is guarded, and FIRST_OCTET.0.0.0/8 allowed. `ranges` more sources, at most one in 224
// of the addresses from 64.0.0.0 on, make it big.
inline Table make_table(std::uint64_t generation, std::uint8_t first_octet,
                        std::uint32_t ranges = 0) {
  TableInput input;
  input.generation = generation;
  input.databases.push_back({.owner = 1, .address = {}, .ports = {5432}});
  input.classes = {0, listed_slot};
  const auto first = std::uint32_t{first_octet} << 24;
  input.ranges = {{0, 0}, {first, 1}, {first + (1u << 24), 0}};
  for (std::uint32_t i = 0; i < ranges; i++) {
    const std::uint32_t at = (64u << 24) + i * 224;
    input.ranges.push_back({at + 1 + i % 200, 1});
    input.ranges.push_back({at + 2 + i % 200, 0});
  }
  auto table = build_table(input);
  if (!table) throw std::runtime_error(table.error().message);
  return *table;
}
inline constexpr std::uint32_t medium_ranges = 100'000;
inline constexpr std::uint32_t large_ranges = 2'000'000;

// A SYN from FIRST_OCTET.1.2.3 to 192.0.2.1, port 5432.
inline std::array<std::uint8_t, 54> syn(std::uint8_t first_octet) {
  return {2,    0,    0,         0,           0, 1, 2, 0, 0,  0, 0, 2, 8,           0,  // Ethernet
          0x45, 0,    0,         40,          0, 1, 0, 0, 64, 6, 0, 0, first_octet, 1,
          2,    3,                                                                      // IPv4
          192,  0,    2,         1,                                                     //
          0xc0, 0,    5432 >> 8, 5432 & 0xff, 0, 0, 0, 1, 0,  0, 0, 0, 0x50,        2,  // TCP
          0xff, 0xff, 0,         0,           0, 0};
}

// The program's return code for that SYN; -1 if it cannot be run.
inline int run_program(int program, std::uint8_t first_octet) {
  auto frame = syn(first_octet);
  bpf_test_run_opts options = {};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  return bpf_prog_test_run_opts(program, &options) == 0 ? static_cast<int>(options.retval) : -1;
}

// A program that returns `verdict` and refers to these maps.
inline Fd tiny_program(const char* name, int verdict, const std::vector<int>& maps = {}) {
  std::vector<bpf_insn> code;
  for (const int map : maps) {  // r1 = map
    code.push_back({.code = BPF_LD | BPF_IMM | BPF_DW,
                    .dst_reg = 1,
                    .src_reg = BPF_PSEUDO_MAP_FD,
                    .off = 0,
                    .imm = map});
    code.push_back({});
  }
  code.push_back(
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = verdict});
  code.push_back({.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0});
  bpf_prog_load_opts options = {};
  options.sz = sizeof options;
  options.expected_attach_type = BPF_XDP;
  options.prog_flags = BPF_F_XDP_HAS_FRAGS;
  const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", code.data(), code.size(), &options);
  return fd >= 0 ? Fd(fd) : Fd();
}

// One that lets everything pass to sockets, where the backstop is.
inline Fd passes_at_sockets() {
  const std::array<bpf_insn, 2> code = {
      {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
       {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}}};
  bpf_prog_load_opts options = {};
  options.sz = sizeof options;
  options.expected_attach_type = BPF_CGROUP_INET_INGRESS;
  return Fd(
      bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "passes", "GPL", code.data(), code.size(), &options));
}

inline Fd link_program(const std::string& interface, int program) {
  const int index = static_cast<int>(::if_nametoindex(interface.c_str()));
  const int fd = bpf_link_create(program, index, BPF_XDP, nullptr);
  return fd >= 0 ? Fd(fd) : Fd();
}

class XdpScene : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    is_private_ = is_private_ || (unshare(CLONE_NEWNS) == 0 &&
                                  mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                                  enter_own_netns());
  }

  void SetUp() override {
    ASSERT_TRUE(is_private_) << "needs root: namespaces, mounts and BPF";
    ASSERT_EQ(mkdir(mount_point_.c_str(), 0700), 0);
    ASSERT_EQ(mount("bpf", mount_point_.c_str(), "bpf", 0, nullptr), 0);
    ASSERT_TRUE(run("ip link add mt0 type veth peer name mt1 && ip link set mt0 up"));
  }

  void TearDown() override {
    umount2(mount_point_.c_str(), MNT_DETACH);
    for (const char* name : {"mt0", "mt1", "mt8", "mt9"})
      if (::if_nametoindex(name) != 0) {
        EXPECT_TRUE(run(fmt::format("ip link del {}", name)));
      }
  }

  // `earlier`: what the last one had pinned.
  [[nodiscard]] std::unique_ptr<XdpBackend> open(PinIds earlier = {}) const {
    auto backend = XdpBackend::open(folder(), std::move(earlier));
    if (!backend) throw std::runtime_error(backend.error().message);
    return std::move(*backend);
  }

  [[nodiscard]] std::string folder() const { return mount_point_ + "/moat"; }
  [[nodiscard]] const std::string& mount_point() const { return mount_point_; }
  [[nodiscard]] BpfPins pins() const { return BpfPins(folder()); }

  [[nodiscard]] static std::uint32_t program_on(const std::string& interface) {
    bpf_xdp_query_opts query = {};
    query.sz = sizeof query;
    const int index = static_cast<int>(::if_nametoindex(interface.c_str()));
    if (index == 0 || bpf_xdp_query(index, 0, &query) != 0) return 0;
    return query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
  }

  // Whether what the interface runs drops a SYN from that source.
  [[nodiscard]] static bool drops(const std::string& interface, std::uint8_t first_octet) {
    const std::uint32_t id = program_on(interface);
    const int fd = id ? bpf_prog_get_fd_by_id(id) : -1;
    if (fd < 0) return false;
    return run_program(Fd(fd).get(), first_octet) == XDP_DROP;
  }

  // The id of the inner map in a slot, 0 if it is free.
  [[nodiscard]] std::uint32_t occupant(const std::string& outer) const {
    const __u32 slot = 0;
    std::uint32_t id = 0;
    return bpf_map_lookup_elem(pins().get(outer).get(), &slot, &id) == 0 ? id : 0;
  }
  void occupy(const std::string& outer, int inner) const {
    const __u32 slot = 0;
    ASSERT_EQ(bpf_map_update_elem(pins().get(outer).get(), &slot, &inner, BPF_ANY), 0);
  }

  // The link of that pin runs another program from now on.
  void swap_program(const std::string& pin, int program) const {
    ASSERT_EQ(bpf_link_update(pins().get(pin).get(), program, nullptr), 0);
  }

  static void expect_live(XdpBackend& backend, const Table& table) {
    const auto live = backend.live();
    ASSERT_TRUE(live) << live.error().message;
    EXPECT_EQ(live->generation, table.header().generation);
    EXPECT_EQ(live->digest, table.header().digest);
    EXPECT_EQ(live->size, table.header().size);
  }

 private:
  static inline bool is_private_ = false;
  TemporaryFolder scratch_;
  std::string mount_point_ = scratch_ / "bpf";
};

using Names = std::vector<std::string>;

// All that is pinned, links apart.
inline Names pins_with(const std::string& table) {
  return {"counters",     "drop-sources",  "drops",        "netns", "policy-closed",
          "policy-large", "policy-medium", "policy-small", table,   "version",
          "xdp"};
}

}  // namespace moat
