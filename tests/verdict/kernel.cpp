// SPDX-License-Identifier: BSD-2-Clause
#include "tests/verdict/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "xdp.skel.h"

namespace moat::testing {
namespace {

std::unexpected<Error> failed(std::string doing, int error) {
  return std::unexpected(Error{fmt::format("{}: {}", doing, std::strerror(error)), {}});
}

// An inner map and its one value, mapped.
class Tier {
 public:
  Tier(int fd, void* value, std::size_t bytes) : fd_(fd), value_(value), bytes_(bytes) {}
  ~Tier() {
    munmap(value_, bytes_);
    close(fd_);
  }
  Tier(const Tier&) = delete;
  Tier& operator=(const Tier&) = delete;

  void fill(std::span<const std::byte> table) { std::memcpy(value_, table.data(), table.size()); }

 private:
  int fd_;
  void* value_;
  std::size_t bytes_;
};

struct CloseSkeleton {
  void operator()(moat_xdp_bpf* skeleton) const { moat_xdp_bpf::destroy(skeleton); }
};

}  // namespace

struct Kernel::Parts {
  std::unique_ptr<moat_xdp_bpf, CloseSkeleton> skeleton;
  std::array<std::unique_ptr<Tier>, MOAT_TIERS> tiers;
  int program = -1;  // fds that the skeleton owns
  int counters = -1;
  std::array<int, MOAT_TIERS> outer{};
};

Kernel::Kernel(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Kernel::~Kernel() = default;

Result<std::unique_ptr<Kernel>> Kernel::load() {
  if (geteuid() != 0)
    return std::unexpected(Error{"loading a BPF program needs root", "run this test as root"});
  auto parts = std::make_unique<Parts>();
  parts->skeleton.reset(moat_xdp_bpf::open_and_load());
  if (!parts->skeleton) return failed("load the XDP program", errno);
  const auto& maps = parts->skeleton->maps;
  parts->program = bpf_program__fd(parts->skeleton->progs.moat_xdp);
  parts->counters = bpf_map__fd(maps.counters);
  parts->outer = {bpf_map__fd(maps.policy_small), bpf_map__fd(maps.policy_medium),
                  bpf_map__fd(maps.policy_large)};

  std::unique_ptr<Kernel> kernel(new Kernel(std::move(parts)));
  const std::array<std::uint8_t, 64> probe{};
  kernel->splits_frames_ = kernel->drops(probe, 32).has_value();
  return kernel;
}

Result<> Kernel::occupy(unsigned tier) {
  const std::uint32_t bytes = kTierBytes[tier], zero = 0;
  bpf_map_create_opts options = {};
  options.sz = sizeof options;
  options.map_flags = BPF_F_MMAPABLE;
  const int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "table", sizeof zero, bytes, 1, &options);
  if (fd < 0) return failed("create an inner map", errno);
  void* value = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (value == MAP_FAILED) {
    const int error = errno;
    close(fd);
    return failed("map an inner map", error);
  }
  auto made = std::make_unique<Tier>(fd, value, bytes);
  if (bpf_map_update_elem(parts_->outer[tier], &zero, &fd, BPF_ANY) != 0)
    return failed("put an inner map in place", errno);
  parts_->tiers[tier] = std::move(made);
  return {};
}

Result<> Kernel::place(unsigned tier, const Table& table) {
  if (table.bytes().size() > kTierBytes[tier])
    return std::unexpected(Error{"the table is larger than the tier", {}});
  if (!parts_->tiers[tier])
    if (auto occupied = occupy(tier); !occupied) return occupied;
  parts_->tiers[tier]->fill(table.bytes());
  return {};
}

Result<> Kernel::vacate(unsigned tier) {
  const std::uint32_t zero = 0;
  if (!parts_->tiers[tier]) return {};
  if (bpf_map_delete_elem(parts_->outer[tier], &zero) != 0)
    return failed("empty an outer slot", errno);
  parts_->tiers[tier].reset();
  return {};
}

Result<bool> Kernel::drops(std::span<const std::uint8_t> frame,
                           std::optional<std::uint32_t> first_buffer) {
  xdp_md context = {};
  context.data_end = first_buffer.value_or(0);
  bpf_test_run_opts run = {};
  run.sz = sizeof run;
  run.data_in = frame.data();
  run.data_size_in = static_cast<std::uint32_t>(frame.size());
  run.repeat = 1;
  if (first_buffer) {
    run.ctx_in = &context;
    run.ctx_size_in = sizeof context;
  }
  if (bpf_prog_test_run_opts(parts_->program, &run) != 0)
    return failed(fmt::format("test run of {} bytes", frame.size()), errno);
  if (run.retval != XDP_DROP && run.retval != XDP_PASS)
    return std::unexpected(Error{fmt::format("the program returned {}", run.retval), {}});
  return run.retval == XDP_DROP;
}

Result<moat_counter> Kernel::counter(std::uint32_t slot) const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return failed("count the CPUs", -cpus);
  std::vector<moat_counter> parts(static_cast<std::size_t>(cpus));
  if (bpf_map_lookup_elem(parts_->counters, &slot, parts.data()) != 0)
    return failed("read a counter", errno);
  moat_counter sum = {};
  for (const moat_counter& part : parts) {
    sum.packets += part.packets;
    sum.bytes += part.bytes;
  }
  return sum;
}

Result<std::vector<moat_counter>> Kernel::counters() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return failed("count the CPUs", -cpus);
  std::vector<std::uint32_t> keys(MOAT_COUNTER_SLOTS);
  std::vector<moat_counter> values(keys.size() * static_cast<std::size_t>(cpus));
  std::uint32_t count = MOAT_COUNTER_SLOTS, next = 0;
  bpf_map_batch_opts options = {};
  options.sz = sizeof options;
  const int error = bpf_map_lookup_batch(parts_->counters, nullptr, &next, keys.data(),
                                         values.data(), &count, &options);
  if (error != 0 && errno != ENOENT) return failed("read the counters", errno);
  if (count != MOAT_COUNTER_SLOTS)
    return std::unexpected(Error{fmt::format("read {} counters", count), {}});

  std::vector<moat_counter> sums(keys.size());
  for (std::size_t i = 0; i < keys.size(); i++)
    for (std::size_t cpu = 0; cpu < static_cast<std::size_t>(cpus); cpu++) {
      const moat_counter& part = values[i * static_cast<std::size_t>(cpus) + cpu];
      sums[keys[i]].packets += part.packets;
      sums[keys[i]].bytes += part.bytes;
    }
  return sums;
}

}  // namespace moat::testing
