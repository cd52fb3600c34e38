// SPDX-License-Identifier: BSD-2-Clause
// From a table to its being enforced: XdpBackend::publish, which stages, reads back, commits and
// waits for the kernel. Needs root; makes a folder of pins of its own and removes it.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/inputs.h"
#include "bench/kernel/rounds.h"
#include "control/text/command_line.h"
#include "dataplane/xdp/xdp_backend.h"

namespace moat::bench {
namespace {

double publish_ms(XdpBackend& backend, const Table& table) {
  const auto before = std::chrono::steady_clock::now();
  if (const auto done = backend.publish(table); !done) {
    fmt::print(stderr, "bench: {}\n", done.error().message);
    std::exit(1);
  }
  const auto took = std::chrono::steady_clock::now() - before;
  return std::chrono::duration<double, std::milli>(took).count();
}

int run(const std::vector<std::size_t>& sizes, std::size_t rounds, const std::string& json) {
  const std::string pins = fmt::format("/sys/fs/bpf/moat-bench-{}", getpid());
  auto backend = XdpBackend::open(pins);
  if (!backend) {
    fmt::print(stderr, "bench: {}\n", backend.error().message);
    return 1;
  }
  auto results = nlohmann::ordered_json::array();
  fmt::print("{:>10}{:>12}{:>10}{:>10}{:>10}\n", "prefixes", "KiB", "p50 ms", "p99 ms", "max ms");
  for (const std::size_t size : sizes) {
    const Policy policy = make_policy(make_prefixes(Shape::mixed, size), 1);
    const Table table = build_policy_table(policy);
    publish_ms(**backend, table);  // a change of tier is another matter
    std::vector<double> samples;
    for (std::size_t i = 0; i < rounds; i++) samples.push_back(publish_ms(**backend, table));
    const double p50 = quantile(samples, 0.5), p99 = quantile(samples, 0.99);
    fmt::print("{:>10}{:>12}{:>10.1f}{:>10.1f}{:>10.1f}\n", size, table.bytes().size() / 1024, p50,
               p99, samples.back());
    results.push_back({{"suite", "publish"},
                       {"prefixes", size},
                       {"bytes", table.bytes().size()},
                       {"p50_ms", p50},
                       {"p99_ms", p99},
                       {"max_ms", samples.back()}});
  }
  if (!json.empty()) std::ofstream(json) << results.dump(1) << "\n";
  const auto removed = (*backend)->detach_all();
  return removed ? 0 : 1;
}

}  // namespace
}  // namespace moat::bench

int main(int argc, char** argv) {
  std::vector<std::size_t> sizes = {30, 1000, 100'000, 1'000'000};
  std::size_t rounds = 50;
  std::string json;
  moat::CommandLine app{"How long the data plane takes to enforce a table"};
  app.add_list("--sizes", sizes, "prefixes");
  app.add("--rounds", rounds, "publications each");
  app.add("--json", json, "file to write the results to");
  if (const auto done = app.parse(argc, argv)) return *done;
  return moat::bench::run(sizes, rounds, json);
}
