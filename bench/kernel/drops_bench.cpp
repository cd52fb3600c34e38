// SPDX-License-Identifier: BSD-2-Clause
// What telling of drops costs the verdict under a flood: the product's XDP program beside the same
// program with the telling left out, on the same frames, in turns, while somebody reads the ring
// buffer as the daemon does. A crowd is another random source on every run, none of them listed,
// and other ones in each round; a loud source is one over and over.
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "bench/inputs.h"
#include "bench/kernel/main.h"
#include "bench/kernel/rounds.h"
#include "bpf/abi.h"

namespace moat::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::size_t rounds = 20;
  std::uint32_t repeat = kBenchKeys;
  int cpu = 1;
  std::string json;
};

class Bench {
 public:
  explicit Bench(Options options) : options_(std::move(options)) {
    const Table table = build_policy_table(make_policy(make_prefixes(Shape::mixed, 30), 1));
    for (const Object* object : {&telling_, &quiet_}) publish(*object, table);
    ring_.reset(ring_buffer__new(telling_.map("drops"), on_event, this, nullptr));
    if (!ring_) throw std::runtime_error("the ring buffer cannot be read");
  }

  void run_all() {
    fmt::print("{:<14}{:>10}{:>10}{:>12}{:>16}{:>10}\n", "flood", "silent", "telling", "difference",
               "quartiles", "events");
    run_flood("crowd", true);
    run_flood("one source", false);
    if (!options_.json.empty()) std::ofstream(options_.json) << results_.dump(1) << "\n";
  }

 private:
  struct Free {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };

  static int on_event(void* self, void*, std::size_t) {
    static_cast<Bench*>(self)->events_++;
    return 0;
  }

  // No martians; few enough are listed among the 30 prefixes to be left in.
  std::vector<std::byte> next_sources(bool is_crowd) {
    std::vector<std::uint32_t> wire(kBenchKeys);
    std::uniform_int_distribution<std::uint32_t> unicast(0x01000000, 0x7effffff);
    for (auto& source : wire) source = __builtin_bswap32(is_crowd ? unicast(random_) : 0xcb007101);
    const auto bytes = std::as_bytes(std::span(wire));
    return {bytes.begin(), bytes.end()};
  }

  double measure(const Object& object) {
    const double ns = run(object.program("bench_verdict"), frame_, options_.repeat);
    ring_buffer__consume(ring_.get());
    return ns;
  }

  void run_flood(const char* name, bool is_crowd) {
    std::vector<double> telling, quiet, difference;
    events_ = 0;
    for (std::size_t round = 0; round <= options_.rounds; round++) {
      const auto sources = next_sources(is_crowd);
      telling_.fill("bench_keys", sources);
      quiet_.fill("bench_keys", sources);
      const bool begins = round % 2 == 0;
      const double first = measure(begins ? telling_ : quiet_);
      const double second = measure(begins ? quiet_ : telling_);
      if (round == 0) continue;  // warms up
      telling.push_back(begins ? first : second);
      quiet.push_back(begins ? second : first);
      difference.push_back(telling.back() - quiet.back());
    }
    report(name, quantile(quiet, 0.5), quantile(telling, 0.5), std::move(difference));
  }

  void report(const char* name, double quiet, double telling, std::vector<double> difference) {
    const auto [middle, low, high] = spread_of(std::move(difference));
    fmt::print("{:<14}{:>10.1f}{:>10.1f}{:>12.1f}{:>8.1f}{:>8.1f}{:>10}\n", name, quiet, telling,
               middle, low, high, events_);
    results_.push_back({{"suite", "drops"},
                        {"flood", name},
                        {"sources", (options_.rounds + 1) * options_.repeat},
                        {"silent", quiet},
                        {"telling", telling},
                        {"difference", middle},
                        {"low", low},
                        {"high", high},
                        {"events", events_}});
  }

  Options options_;
  Object telling_{"verdict_bench.bpf.o"};
  Object quiet_{"quiet_verdict.bpf.o"};
  std::unique_ptr<ring_buffer, Free> ring_;
  Frame frame_ = make_frame(0xcb007101);
  std::mt19937 random_{7};
  std::uint64_t events_ = 0;
  Json results_ = Json::array();
};

}  // namespace
}  // namespace moat::bench

int main(int argc, char** argv) {
  using moat::bench::Options;
  return moat::bench::run_bench<moat::bench::Bench, Options>(
      argc, argv,
      "What telling of drops costs under a flood: ns a verdict, the frame's writing included",
      [](moat::CommandLine& app, Options& options) {
        app.add("--repeat", options.repeat, "verdicts of each program in a round");
      });
}
