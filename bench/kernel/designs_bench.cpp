// SPDX-License-Identifier: BSD-2-Clause
// The product's source table beside other designs, on the same ranges and the same keys: natively
// and in the kernel, where each is a program that does nothing but look up. ns a lookup over the
// same loop without one.
#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "bench/designs/build.h"
#include "bench/inputs.h"
#include "bench/kernel/main.h"
#include "bench/kernel/rounds.h"

namespace moat::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kSpoil = std::size_t{64} << 20;
constexpr std::uint32_t kColdCount = 64;  // more would warm the caches up again

struct Options {
  std::vector<std::size_t> sizes = {30, 1000, 100'000, 1'000'000};
  std::string json;
  std::size_t rounds = 9;
  std::uint32_t count = 100'000;  // with warm caches
  bool quick = false;
  int cpu = 1;
};

struct Case {
  Shape shape;
  std::size_t prefixes;
  unsigned hits;
  Pattern pattern;
  bool depends;
  bool cold;
};

// A class of 1 to 30 by prefix, as of thirty rules.
Ranges make_ranges(const Prefixes& prefixes) {
  Ranges ranges = {{0, 0}};
  const auto emit = [&ranges](std::uint32_t first, std::uint16_t cls) {
    if (ranges.back().first == first) ranges.pop_back();
    if (ranges.empty() || ranges.back().cls != cls) ranges.push_back({first, cls});
  };
  for (std::size_t i = 0; i < prefixes.size(); i++) {
    emit(prefixes[i].first().value, static_cast<std::uint16_t>(i % 30 + 1));
    if (const auto last = prefixes[i].last().value; last != ~0u) emit(last + 1, 0);
  }
  return ranges;
}

std::span<const std::byte> bytes_of(const std::vector<std::uint32_t>& keys) {
  return std::as_bytes(std::span(keys));
}

std::uint32_t class_of(const Ranges& ranges, std::uint32_t source) {
  return std::prev(std::upper_bound(ranges.begin(), ranges.end(), source,
                                    [](std::uint32_t address, const TableInput::Range& range) {
                                      return address < range.first;
                                    }))
      ->cls;
}

struct Built {
  const Design* design;
  Block block;
};

using Objects = std::vector<std::pair<const Built*, Object>>;

// Stands in the native loop without a lookup, so that the call is no part of a difference.
std::uint32_t no_lookup(const std::uint8_t* /*block*/, std::uint32_t /*limit*/,
                        std::uint32_t source) {
  return source & 1;
}

void set_variable(const Object& object, const char* section, std::uint32_t value) {
  object.fill(section, std::as_bytes(std::span(&value, 1)));
}

std::uint32_t variable(const Object& object, const char* section) {
  const std::uint32_t zero = 0;
  std::uint32_t value = 0;
  if (bpf_map_lookup_elem(object.map(section), &zero, &value) != 0)
    throw std::runtime_error(fmt::format("cannot read {}", section));
  return value;
}

class Bench {
 public:
  explicit Bench(Options options) : options_(std::move(options)), frame_(make_frame(1)) {}

  void run_all() {
    fmt::print("{:<10}{:>9}{:>6} {:<11}{:<12}{:<6}{:<9}{:>10}{:>9}{:>9}{:>16}\n", "shape",
               "prefixes", "hits", "sources", "lookups", "cache", "design", "KiB", "native",
               "kernel", "quartiles");
    for (const std::size_t size : options_.sizes) run_set(Shape::mixed, size);
    if (!options_.quick) run_set(Shape::scattered, 1'000'000);
    if (!options_.quick) run_set(Shape::world, 1'000'000);
    if (!options_.json.empty()) std::ofstream(options_.json) << results_.dump(1) << "\n";
  }

 private:
  void run_set(Shape shape, std::size_t size) {
    const Prefixes prefixes = make_prefixes(shape, size);
    if (prefixes.empty()) return;
    const Ranges ranges = make_ranges(prefixes);
    std::vector<Built> built;
    for (const Design& design : designs())
      if (Block block = design.build(ranges); !block.empty()) built.push_back({&design, block});
    check(built, ranges, prefixes);
    for (const bool depends : {false, true}) {
      Objects objects;
      for (const Built& one : built) objects.emplace_back(&one, load(one, depends));
      fill_lpm(objects.front().second, prefixes);
      Case now{shape, prefixes.size(), 50, Pattern::random, depends, false};
      for (const unsigned hits : {0u, 50u}) {
        now.hits = hits;
        run_case(now, prefixes, ranges, objects);
      }
      if (options_.quick || depends) continue;
      now.cold = true;
      run_case(now, prefixes, ranges, objects);
      now.cold = false;
      for (const Pattern pattern : {Pattern::sequential, Pattern::single}) {
        now.pattern = pattern;
        run_case(now, prefixes, ranges, objects);
      }
    }
  }

  static void check(const std::vector<Built>& built, const Ranges& ranges,
                    const Prefixes& prefixes) {
    for (const std::uint32_t source : make_keys(prefixes, 20'000, 50, Pattern::random))
      for (const auto& [design, block] : built) {
        const auto found = design->lookup(reinterpret_cast<const std::uint8_t*>(block.data()),
                                          static_cast<std::uint32_t>(block.size()), source);
        if (found != class_of(ranges, source))
          throw std::runtime_error(fmt::format("{} is wrong at {}", design->name, source));
      }
  }

  // One object a design, as the memory that the verifier knows of is the table's.
  static Object load(const Built& built, bool depends) {
    const std::size_t size = std::max(built.block.size(), sizeof(moat_table));
    Object object("designs_bench.bpf.o", [&](bpf_object* raw) {
      bpf_map__set_value_size(bpf_object__find_map_by_name(raw, "bench_block"),
                              static_cast<std::uint32_t>(size));
      const std::uint32_t constants[] = {static_cast<std::uint32_t>(size), depends ? 1u : 0u};
      set_initial(raw, ".rodata", std::as_bytes(std::span(constants)));
      const std::string wanted = "bench_" + built.design->name;
      bpf_program* program = nullptr;
      bpf_object__for_each_program(program, raw) {
        const std::string name = bpf_program__name(program);
        bpf_program__set_autoload(program,
                                  name == wanted || name == "bench_empty" || name == "bench_lpm");
      }
    });
    object.fill("bench_block", built.block);
    return object;
  }

  static void fill_lpm(const Object& object, const Prefixes& prefixes) {
    const int trie = object.map("bench_trie");
    std::uint32_t cls = 0;
    for (const Prefix prefix : prefixes) {
      const struct {
        std::uint32_t length, address;
      } key = {prefix.length, prefix.address.to_network()};
      cls = cls % 30 + 1;
      if (bpf_map_update_elem(trie, &key, &cls, BPF_ANY) != 0)
        throw std::runtime_error(fmt::format("no room in the trie for {}", format_prefix(prefix)));
    }
  }

  void run_case(const Case& now, const Prefixes& prefixes, const Ranges& ranges,
                const Objects& objects) {
    const auto keys = make_keys(prefixes, kBenchKeys, now.hits, now.pattern);
    std::vector<Contender> kernel, native;
    for (const auto& [built, object] : objects) {
      object.fill("bench_keys", bytes_of(keys));
      set_variable(object, ".data", count_of(now));
    }
    check_kernel(now, keys, ranges, objects);
    const auto add = [&](const std::string& name, const Object& object) {
      const int program = object.program(("bench_" + name).c_str());
      kernel.push_back({name, [&, program] { return measure(program, now); }});
    };
    const auto add_native = [&](const Built& built) {
      native.push_back({built.design->name, [&] { return measure_native(keys, now, built); }});
    };
    add("empty", objects.front().second);
    add_native(no_table_);
    for (const auto& [built, object] : objects) {
      add(built->design->name, object);
      add_native(*built);
    }
    add("lpm", objects.front().second);
    const std::size_t rounds = now.cold ? options_.rounds * 2 : options_.rounds;
    report(now, objects, take_turns(native, rounds), take_turns(kernel, rounds));
  }

  // The programs find what the ranges say, by the sum over the keys of a run.
  void check_kernel(const Case& now, const std::vector<std::uint32_t>& keys, const Ranges& ranges,
                    const Objects& objects) const {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < count_of(now); i++) sum += class_of(ranges, keys[i % kBenchKeys]);
    const auto check_one = [&](const std::string& name, const Object& object) {
      set_variable(object, ".data.at", 0);
      const auto action = outcome_of(object.program(("bench_" + name).c_str()), frame_).action;
      if (action != XDP_PASS || variable(object, ".data.found") != sum)
        throw std::runtime_error(fmt::format("{} is wrong in the kernel", name));
    };
    for (const auto& [built, object] : objects) check_one(built->design->name, object);
    check_one("lpm", objects.front().second);
  }

  [[nodiscard]] std::uint32_t count_of(const Case& now) const {
    return now.cold ? kColdCount : options_.count;
  }

  // Cold: each round after everything else went through the caches, and as the kernel times it, for
  // the call around so few lookups costs more than they do.
  [[nodiscard]] double measure(int program, const Case& now) const {
    if (!now.cold) return run(program, frame_, 1) / count_of(now);
    spoil_caches(kSpoil);
    return run_once(program, frame_) / count_of(now);
  }

  double measure_native(const std::vector<std::uint32_t>& keys, const Case& now,
                        const Built& built) {
    if (now.cold) spoil_caches(kSpoil);
    return now.depends ? loop<true>(keys, count_of(now), built)
                       : loop<false>(keys, count_of(now), built);
  }

  // A template, as a condition within the loop would make a conditional move of `depends`, and each
  // key would wait for the last result all the same.
  template <bool depends>
  double loop(const std::vector<std::uint32_t>& keys, std::uint32_t count, const Built& built) {
    const auto* block = reinterpret_cast<const std::uint8_t*>(built.block.data());
    const auto limit = static_cast<std::uint32_t>(built.block.size());
    const auto lookup = built.design->lookup;
    const std::uint32_t zero = zero_;
    std::uint32_t found = 0, at = at_;
    const double before = thread_ns();
    for (std::uint32_t i = 0; i < count; i++) {
      std::uint32_t source = keys[at++ % kBenchKeys];
      if constexpr (depends) source ^= found & zero;
      found += lookup(block, limit, source);
    }
    const double took = thread_ns() - before;
    at_ = at;
    found_ = found;
    return took / count;
  }

  void report(const Case& now, const Objects& objects, const std::vector<Figure>& native,
              const std::vector<Figure>& kernel) {
    for (std::size_t i = 1; i < kernel.size(); i++) {
      const bool is_lpm = i == kernel.size() - 1;  // it has no native figure
      const std::size_t bytes = is_lpm ? 0 : objects[i - 1].first->block.size();
      const Spread& over = kernel[i].over;
      fmt::print("{:<10}{:>9}{:>5}% {:<11}{:<12}{:<6}{:<9}{:>10}{:>9}{:>9.1f}{:>8.1f}{:>8.1f}\n",
                 to_string(now.shape), now.prefixes, now.hits, to_string(now.pattern),
                 now.depends ? "dependent" : "independent", now.cold ? "cold" : "warm",
                 kernel[i].name, bytes / 1024,
                 is_lpm ? "-" : fmt::format("{:.1f}", native[i].over.median), over.median, over.low,
                 over.high);
      results_.push_back({{"suite", "designs"},
                          {"shape", to_string(now.shape)},
                          {"prefixes", now.prefixes},
                          {"hits", now.hits},
                          {"sources", to_string(now.pattern)},
                          {"lookups", now.depends ? "dependent" : "independent"},
                          {"caches", now.cold ? "cold" : "warm"},
                          {"program", kernel[i].name},
                          {"bytes", bytes},
                          {"native", is_lpm ? Json() : Json(native[i].over.median)},
                          {"over", over.median},
                          {"low", over.low},
                          {"high", over.high}});
    }
    std::fflush(stdout);
  }

  Options options_;
  Frame frame_;
  const Design empty_ = {"empty", {}, no_lookup};
  const Built no_table_ = {&empty_, {}};
  Json results_ = Json::array();
  std::uint32_t at_ = 0, found_ = 0;
  volatile std::uint32_t zero_ = 0;
};

}  // namespace
}  // namespace moat::bench

int main(int argc, char** argv) {
  using moat::bench::Options;
  return moat::bench::run_bench<moat::bench::Bench, Options>(
      argc, argv, "Designs of the source table side by side, ns a lookup over a loop without one",
      [](moat::CommandLine& app, Options& options) {
        app.add_list("--sizes", options.sizes, "prefixes");
        app.add("--count", options.count, "lookups in a round with warm caches");
        app.add_flag("--quick", options.quick, "fewer cases");
      });
}
