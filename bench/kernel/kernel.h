// SPDX-License-Identifier: BSD-2-Clause
// BPF objects of the benchmarks: loaded, filled and run with BPF_PROG_TEST_RUN.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/inputs.h"
#include "dataplane/fd.h"

namespace moat::bench {

// A loaded object file. Faults end the process: a benchmark has nobody to report them to.
class Object {
 public:
  // `name`: a file in the folder of the running program, or a path. `prepare` runs before loading.
  explicit Object(const std::string& name, const std::function<void(bpf_object*)>& prepare = {});

  [[nodiscard]] int program(const char* name) const;
  // A section of variables is a map, too: ".bss".
  [[nodiscard]] int map(const char* name) const;
  // Writes the first bytes of the only value of an array map that can be mapped.
  void fill(const char* map, std::span<const std::byte> bytes) const;

 private:
  std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object_;
};

// Before loading: the bytes that a section of variables (".rodata") begins with.
void set_initial(bpf_object* object, const char* section, std::span<const std::byte> bytes);

// An array map of one value with these bytes in front, as the tiers hold.
[[nodiscard]] Fd make_inner_map(std::size_t value_size, std::span<const std::byte> bytes);

// Makes the table the live one of an object with the maps of bpf/maps.h.
void publish(const Object& object, const Table& table);

// What this thread has had of a CPU, in ns.
[[nodiscard]] double thread_ns();

// Runs the program `repeat` times on the frame within one call. ns a run, by the time this thread
// had the CPU, so that neighbours on the machine do not count.
[[nodiscard]] double run(int program, std::span<const std::uint8_t> frame, std::uint32_t repeat);

// Runs the program once; ns as the kernel took them.
[[nodiscard]] double run_once(int program, std::span<const std::uint8_t> frame);

// What a run makes of a frame.
struct RunResult {
  std::uint32_t action;  // of XDP
  std::vector<std::uint8_t> frame;
};
[[nodiscard]] RunResult outcome_of(int program, std::span<const std::uint8_t> frame);

void pin_to_cpu(int cpu);

// Walks over `bytes` of memory, so that as much of the caches holds something else.
void spoil_caches(std::size_t bytes);

}  // namespace moat::bench
