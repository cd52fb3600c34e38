// SPDX-License-Identifier: BSD-2-Clause
// The source table and the whole verdict in this process, with Google Benchmark.
//
//   source_class/PREFIXES/HITS/SOURCES      ns a lookup, warm caches
//   source_class_dependent/...              the same, each key waiting for the last result
//   source_class_cold/PREFIXES              ns a lookup after all else went through the caches
//   verdict/PREFIXES/HITS                   ns a frame
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <tuple>

#include "bench/inputs.h"
#include "bpf/verdict.h"

namespace moat::bench {
namespace {

constexpr std::size_t kKeys = std::size_t{1} << 18;
using Keys = std::vector<std::uint32_t>;

struct Input {
  Prefixes prefixes;
  Table table;
};

// Made once: the library calls a benchmark several times over to find how often to repeat it.
const Input& input_of(std::size_t prefixes) {
  static std::map<std::size_t, Input> inputs;
  Input& input = inputs[prefixes];
  if (!input.table) {
    input.prefixes = make_prefixes(Shape::mixed, prefixes);
    input.table = build_policy_table(make_policy(input.prefixes, 1));
  }
  return input;
}

const Keys& keys_of(const Input& input, std::int64_t hits, std::int64_t pattern) {
  static std::map<std::tuple<std::size_t, std::int64_t, std::int64_t>, Keys> known;
  Keys& keys = known[{input.prefixes.size(), hits, pattern}];
  if (keys.empty())
    keys = make_keys(input.prefixes, kKeys, static_cast<unsigned>(hits),
                     static_cast<Pattern>(pattern));
  return keys;
}

// A template, as a condition within the loop would make a conditional move of `depends`, and each
// key would wait for the last result all the same.
template <bool depends>
void source_class_warm(benchmark::State& state) {
  const Input& input = input_of(static_cast<std::size_t>(state.range(0)));
  const Keys& keys = keys_of(input, state.range(1), state.range(2));
  volatile std::uint32_t unknown_zero = 0;
  const std::uint32_t mask = unknown_zero;
  const moat_table* table = &input.table.header();
  const std::uint32_t limit = table->size;
  std::uint32_t found = 0;
  std::size_t at = 0;
  for (auto _ : state) {
    std::uint32_t source = keys[at++ % kKeys];
    if constexpr (depends) source ^= found & mask;
    benchmark::DoNotOptimize(found = moat_source_class(table, limit, source));
  }
  state.counters["table_bytes"] = limit;
}

// A batch is timed by hand, as pausing the timer costs more than the lookups.
void source_class_cold(benchmark::State& state) {
  constexpr std::size_t batch = 64, spoil = std::size_t{64} << 20;
  const Input& input = input_of(static_cast<std::size_t>(state.range(0)));
  const Keys& keys = keys_of(input, 50, 0);
  std::vector<std::uint64_t> other(spoil / sizeof(std::uint64_t));
  const moat_table* table = &input.table.header();
  std::size_t at = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < other.size(); i += 8) other[i]++;
    benchmark::ClobberMemory();
    const auto before = std::chrono::steady_clock::now();
    std::uint32_t found = 0;
    for (std::size_t i = 0; i < batch; i++)
      found += moat_source_class(table, table->size, keys[at++ % kKeys]);
    benchmark::DoNotOptimize(found);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
    state.SetIterationTime(took.count() / batch);
  }
}

void verdict(benchmark::State& state) {
  const Input& input = input_of(static_cast<std::size_t>(state.range(0)));
  const Keys& keys = keys_of(input, state.range(1), 0);
  Frame frame = make_frame(0);
  std::size_t at = 0;
  for (auto _ : state) {
    const std::uint32_t wire = __builtin_bswap32(keys[at++ % kKeys]);
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&wire), 4, frame.begin() + 26);
    benchmark::DoNotOptimize(judge(input.table, frame, 1).slot);
  }
}

const std::vector<std::int64_t> kSizes = {30, 1000, 100'000, 1'000'000};

BENCHMARK(source_class_warm<false>)
    ->Name("source_class")
    ->ArgNames({"prefixes", "hits", "sources"})
    ->ArgsProduct({kSizes, {0, 50}, {static_cast<int>(Pattern::random)}})
    ->ArgsProduct({kSizes, {50}, {static_cast<int>(Pattern::sequential)}})
    ->ArgsProduct({kSizes, {50}, {static_cast<int>(Pattern::single)}});
BENCHMARK(source_class_warm<true>)
    ->Name("source_class_dependent")
    ->ArgNames({"prefixes", "hits", "sources"})
    ->ArgsProduct({kSizes, {0, 50}, {static_cast<int>(Pattern::random)}});
BENCHMARK(source_class_cold)
    ->ArgName("prefixes")
    ->ArgsProduct({kSizes})
    ->UseManualTime()
    ->Iterations(50);
BENCHMARK(verdict)->ArgNames({"prefixes", "hits"})->ArgsProduct({kSizes, {0, 50, 100}});

}  // namespace
}  // namespace moat::bench

BENCHMARK_MAIN();
