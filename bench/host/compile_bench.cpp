// SPDX-License-Identifier: BSD-2-Clause
// From a policy to a table, with Google Benchmark: time, and the bytes of the table.
//
//   compile/SHAPE/PREFIXES/DATABASES
#include <benchmark/benchmark.h>

#include "bench/inputs.h"

namespace moat::bench {
namespace {

void compile_policy(benchmark::State& state) {
  const auto shape = static_cast<Shape>(state.range(0));
  const Prefixes prefixes = make_prefixes(shape, static_cast<std::size_t>(state.range(1)));
  if (prefixes.empty()) {
    state.SkipWithError("no file of the world's ranges (package tor-geoipdb)");
    return;
  }
  const Policy policy = make_policy(prefixes, static_cast<std::size_t>(state.range(2)));
  std::size_t bytes = 0;
  for (auto _ : state) bytes = build_policy_table(policy).bytes().size();
  state.counters["table_bytes"] = static_cast<double>(bytes);
  state.counters["prefixes"] = static_cast<double>(prefixes.size());
  state.counters["databases"] = static_cast<double>(policy.databases.size());
  state.SetLabel(to_string(shape));
}

constexpr int kMixed = static_cast<int>(Shape::mixed);
constexpr int kScattered = static_cast<int>(Shape::scattered);
constexpr int kWorld = static_cast<int>(Shape::world);

BENCHMARK(compile_policy)
    ->Name("compile")
    ->ArgNames({"shape", "prefixes", "databases"})
    ->ArgsProduct({{kMixed, kScattered}, {30, 1000, 100'000, 1'000'000}, {1}})
    ->ArgsProduct({{kMixed}, {100'000}, {8, 64}})
    ->ArgsProduct({{kWorld}, {1'000'000}, {1}})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace moat::bench

BENCHMARK_MAIN();
