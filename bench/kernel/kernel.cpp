// SPDX-License-Identifier: BSD-2-Clause
#include "bench/kernel/kernel.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>
#include <vector>

namespace moat::bench {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  fmt::print(stderr, "bench: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

int print_warnings(libbpf_print_level level, const char* format, va_list arguments) {
  return level == LIBBPF_WARN ? std::vfprintf(stderr, format, arguments) : 0;
}

bpf_test_run_opts run_options(std::span<const std::uint8_t> frame, std::uint32_t repeat) {
  bpf_test_run_opts options = {};
  options.sz = sizeof options;
  options.data_in = frame.data();
  options.data_size_in = static_cast<std::uint32_t>(frame.size());
  options.repeat = static_cast<int>(repeat);
  return options;
}

void copy_through_mmap(int map, std::size_t size, std::span<const std::byte> bytes) {
  const std::size_t page = 4096, length = (size + page - 1) / page * page;
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  if (memory == MAP_FAILED) give_up("mmap of a map");
  std::memcpy(memory, bytes.data(), std::min(size, bytes.size()));
  munmap(memory, length);
}

}  // namespace

Object::Object(const std::string& name, const std::function<void(bpf_object*)>& prepare)
    : object_(nullptr, bpf_object__close) {
  libbpf_set_print(print_warnings);
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string path = name.find('/') != std::string::npos ? name : (here / name).string();
  object_.reset(bpf_object__open_file(path.c_str(), nullptr));
  if (!object_) give_up("open " + path);
  if (prepare) prepare(object_.get());
  if (bpf_object__load(object_.get()) != 0) give_up("load " + path);
}

int Object::program(const char* name) const {
  const bpf_program* program = bpf_object__find_program_by_name(object_.get(), name);
  if (program == nullptr) give_up(fmt::format("program {}", name));
  return bpf_program__fd(program);
}

int Object::map(const char* name) const {
  const int map = bpf_object__find_map_fd_by_name(object_.get(), name);
  if (map < 0) give_up(fmt::format("map {}", name));
  return map;
}

void Object::fill(const char* name, std::span<const std::byte> bytes) const {
  const bpf_map* map = bpf_object__find_map_by_name(object_.get(), name);
  if (map == nullptr) give_up(fmt::format("map {}", name));
  copy_through_mmap(bpf_map__fd(map), bpf_map__value_size(map), bytes);
}

void set_initial(bpf_object* object, const char* section, std::span<const std::byte> bytes) {
  bpf_map* map = bpf_object__find_map_by_name(object, section);
  std::size_t size = 0;
  const auto* before =
      map == nullptr ? nullptr : static_cast<const std::byte*>(bpf_map__initial_value(map, &size));
  if (before == nullptr || size < bytes.size()) give_up(section);
  std::vector<std::byte> initial(before, before + size);
  std::ranges::copy(bytes, initial.begin());
  if (bpf_map__set_initial_value(map, initial.data(), size) != 0) give_up(section);
}

Fd make_inner_map(std::size_t value_size, std::span<const std::byte> bytes) {
  bpf_map_create_opts options = {};
  options.sz = sizeof options;
  options.map_flags = BPF_F_MMAPABLE;
  Fd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "bench_inner", 4,
                        static_cast<std::uint32_t>(value_size), 1, &options));
  if (map.get() < 0) give_up("create a map");
  copy_through_mmap(map.get(), value_size, bytes);
  return map;
}

void publish(const Object& object, const Table& table) {
  static constexpr struct {
    const char* map;
    std::size_t size;
  } kTiers[] = {{"policy_small", MOAT_TIER_SMALL},
                {"policy_medium", MOAT_TIER_MEDIUM},
                {"policy_large", MOAT_TIER_LARGE}};
  const std::uint32_t zero = 0;
  bool is_placed = false;
  for (const auto& tier : kTiers) {
    if (!is_placed && table.bytes().size() <= tier.size) {
      const Fd inner = make_inner_map(tier.size, table.bytes());
      const int fd = inner.get();
      if (bpf_map_update_elem(object.map(tier.map), &zero, &fd, BPF_ANY) != 0) give_up("publish");
      is_placed = true;
    } else {
      bpf_map_delete_elem(object.map(tier.map), &zero);
    }
  }
}

double thread_ns() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double run(int program, std::span<const std::uint8_t> frame, std::uint32_t repeat) {
  for (;;) {
    auto options = run_options(frame, repeat);
    const double before = thread_ns();
    if (bpf_prog_test_run_opts(program, &options) == 0) return (thread_ns() - before) / repeat;
    if (errno != EINTR) give_up("run");  // a run that was broken off tells nothing
  }
}

double run_once(int program, std::span<const std::uint8_t> frame) {
  auto options = run_options(frame, 1);
  if (bpf_prog_test_run_opts(program, &options) != 0) give_up("run");
  return options.duration;
}

RunResult outcome_of(int program, std::span<const std::uint8_t> frame) {
  std::vector<std::uint8_t> out(frame.size());
  auto options = run_options(frame, 1);
  options.data_out = out.data();
  options.data_size_out = static_cast<std::uint32_t>(out.size());
  if (bpf_prog_test_run_opts(program, &options) != 0) give_up("run");
  return {options.retval, std::move(out)};
}

void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) give_up("pin to a CPU");
}

void spoil_caches(std::size_t bytes) {
  static std::vector<std::uint64_t> memory;
  memory.resize(std::max(memory.size(), bytes / sizeof(std::uint64_t)));
  for (std::size_t i = 0; i < bytes / sizeof(std::uint64_t); i += 8) memory[i]++;
}

}  // namespace moat::bench
