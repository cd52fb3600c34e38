// SPDX-License-Identifier: BSD-2-Clause
// What a verdict costs in the kernel: the product's XDP program under BPF_PROG_TEST_RUN, another
// source on every run, beside an empty program ("empty"), one that only writes the source
// ("patch"), one with the kernel's LPM trie in place of the source table ("lpm"), and one with the
// table in a plain array ("flat"). Figures are ns over the program that only writes the source,
// within a round.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <tuple>

#include "bench/designs/build.h"
#include "bench/inputs.h"
#include "bench/kernel/main.h"
#include "bench/kernel/rounds.h"
#include "bpf/verdict.h"

namespace moat::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::size_t> sizes = {30, 1000, 100'000, 1'000'000};
  std::vector<std::string> also;  // NAME=OBJECT: more builds of verdict_bench.bpf.o
  std::string json;
  std::vector<unsigned> hits = {0, 50, 100};  // per cent
  std::vector<std::string> parts = {"warm", "cold", "reasons"};
  std::size_t rounds = 15;
  std::uint32_t repeat = 200'000;
  bool quick = false;
  bool designs = false;
  int cpu = 1;
};

struct Case {
  Shape shape = Shape::mixed;
  std::size_t prefixes = 30;
  std::size_t databases = 1;
  unsigned hits = 50;  // per cent
  Pattern pattern = Pattern::random;
};

std::vector<std::byte> wire_bytes(const std::vector<std::uint32_t>& keys) {
  std::vector<std::byte> bytes(keys.size() * 4);
  for (std::size_t i = 0; i < keys.size(); i++) {
    const std::uint32_t wire = __builtin_bswap32(keys[i]);
    std::memcpy(bytes.data() + i * 4, &wire, 4);
  }
  return bytes;
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {
    objects_.emplace_back("moat", Object("verdict_bench.bpf.o"));
    for (const std::string& also : options.also) {
      const auto equals = also.find('=');
      objects_.emplace_back(also.substr(0, equals), Object(also.substr(equals + 1)));
    }
    frame_ = make_frame(0xc6336401);
  }

  void run_all() {
    fmt::print("{:<11}{:>10}{:>4}{:>6} {:<11}{:<7}{:<14}{:>8}{:>8}{:>16}\n", "shape", "prefixes",
               "dbs", "hits", "sources", "caches", "program", "ns", "over", "quartiles");
    for (const std::size_t size : options_.sizes) run_size(Shape::mixed, size);
    if (!options_.quick) {
      run_size(Shape::scattered, 1'000'000);
      run_size(Shape::world, 1'000'000);
    }
    if (has_part("reasons")) run_reasons();
    if (!options_.json.empty()) std::ofstream(options_.json) << results_.dump(1) << "\n";
  }

 private:
  [[nodiscard]] bool has_part(const char* part) const {
    return std::find(options_.parts.begin(), options_.parts.end(), part) != options_.parts.end();
  }

  void run_size(Shape shape, std::size_t size) {
    const Prefixes prefixes = make_prefixes(shape, size);
    if (prefixes.empty()) return;
    const bool is_full = shape == Shape::mixed && !options_.quick;
    const bool has_many = is_full && (size == 1000 || size == 100'000);
    for (const std::size_t databases : {1u, 8u, 64u}) {
      if (databases != 1 && !has_many) continue;
      const Table table = build_policy_table(make_policy(prefixes, databases));
      for (auto& [name, object] : objects_) publish(object, table);
      const auto others = make_others(table, prefixes, databases == 1);
      Case now{shape, prefixes.size(), databases, 50, Pattern::random};
      for (const unsigned hits : options_.hits) {
        now.hits = hits;
        if (has_part("warm")) run_case(now, table, prefixes, others, false);
      }
      now.hits = 50;
      if (databases == 1 && has_part("cold")) run_case(now, table, prefixes, others, true);
      if (!is_full || databases != 1) continue;
      now.pattern = Pattern::sequential;
      run_case(now, table, prefixes, others, false);
      now.pattern = Pattern::single;
      for (const unsigned hits : {0u, 100u}) {
        now.hits = hits;
        run_case(now, table, prefixes, others, false);
      }
    }
  }

  using Objects = std::vector<std::pair<std::string, Object>>;

  // The same program with other tables in it. Classes of further databases would change nothing.
  [[nodiscard]] Objects make_others(const Table& table, const Prefixes& prefixes,
                                    bool with_other_tables) const {
    Objects others;
    others.emplace_back("flat", with_block("flat_bench.bpf.o", "bench_table", table.bytes()));
    if (!with_other_tables) return others;
    others.emplace_back("lpm", make_lpm(table, prefixes));
    const Ranges ranges = ranges_of(table, prefixes);
    for (const Design& design : designs()) {
      if (!options_.designs || design.name == "moat" || design.name == "sorted") continue;
      others.emplace_back(design.name, with_block("verdict_" + design.name + ".bpf.o",
                                                  "bench_block", design.build(ranges)));
      publish(others.back().second, table);
    }
    return others;
  }

  // An object with an array of just these bytes; its first constant is their number.
  static Object with_block(const std::string& name, const char* map,
                           std::span<const std::byte> block) {
    Object object(name, [&](bpf_object* raw) {
      const auto size = static_cast<std::uint32_t>(block.size());
      bpf_map__set_value_size(bpf_object__find_map_by_name(raw, map), size);
      set_initial(raw, ".rodata", std::as_bytes(std::span(&size, 1)));
    });
    object.fill(map, block);
    return object;
  }

  static Ranges ranges_of(const Table& table, const Prefixes& prefixes) {
    Ranges ranges;
    const auto add = [&](std::uint32_t first) {
      const auto cls = static_cast<std::uint16_t>(source_class(table, Address(first)));
      if (ranges.empty() || ranges.back().cls != cls) ranges.push_back({first, cls});
    };
    add(0);
    for (const Prefix prefix : prefixes) {
      add(prefix.first().value);
      if (const auto last = prefix.last().value; last != ~0u) add(last + 1);
    }
    return ranges;
  }

  static Object make_lpm(const Table& table, const Prefixes& prefixes) {
    Object object("lpm_bench.bpf.o");
    publish(object, table);
    const int map = object.map("bench_trie");
    for (const Prefix prefix : prefixes) {
      const struct {
        std::uint32_t length;
        std::uint32_t address;
      } key = {prefix.length, prefix.address.to_network()};
      const std::uint32_t cls = source_class(table, prefix.address);
      if (bpf_map_update_elem(map, &key, &cls, BPF_ANY) != 0)
        throw std::runtime_error("the trie has no room");
    }
    return object;
  }

  void run_case(const Case& now, const Table& table, const Prefixes& prefixes,
                const Objects& others, bool is_cold) {
    const auto keys = wire_bytes(make_keys(prefixes, kBenchKeys, now.hits, now.pattern));
    const auto last_database = static_cast<std::uint32_t>(now.databases - 1);
    std::vector<Contender> contenders;
    const auto add = [&](const std::string& name, const Object& object, const char* program) {
      object.fill("bench_keys", keys);
      object.fill(".data.bench", std::as_bytes(std::span(&last_database, 1)));
      const int fd = object.program(program);
      contenders.push_back({name, [this, fd, is_cold] { return measure(fd, is_cold); }});
      return fd;
    };
    add("patch", objects_.front().second, "bench_patch");
    add("empty", objects_.front().second, "bench_empty");
    for (const Objects& some : {std::cref(objects_), std::cref(others)})
      for (const auto& [name, object] : some)
        check(name, add(name, object, "bench_verdict"), table);
    report(now, is_cold ? "cold" : "warm",
           take_turns(contenders, is_cold ? options_.rounds * 4 : options_.rounds));
  }

  // Of the next keys it says what the product says in this process.
  void check(const std::string& name, int program, const Table& table) const {
    for (int i = 0; i < 1000; i++) {
      const auto [action, frame] = outcome_of(program, frame_);
      if (action == (judge(table, frame, 1).drop != 0 ? XDP_DROP : XDP_PASS)) continue;
      throw std::runtime_error(fmt::format("{} answers {} to the source {}.{}.{}.{}", name, action,
                                           frame[26], frame[27], frame[28], frame[29]));
    }
  }

  double measure(int program, bool is_cold) const {
    if (!is_cold) {
      std::ignore = run(program, frame_, options_.repeat);  // the caches hold another's table
      return run(program, frame_, options_.repeat);
    }
    spoil_caches(std::size_t{64} << 20);
    return run_once(program, frame_);
  }

  // The first contender is the one that the others are given over.
  void report(const Case& now, const char* caches, const std::vector<Figure>& figures) {
    for (const Figure& figure : figures) {
      fmt::print("{:<11}{:>10}{:>4}{:>5}% {:<11}{:<7}{:<14}{:>8.1f}{:>8.1f}{:>8.1f}{:>8.1f}\n",
                 to_string(now.shape), now.prefixes, now.databases, now.hits,
                 to_string(now.pattern), caches, figure.name, figure.ns.median, figure.over.median,
                 figure.over.low, figure.over.high);
      results_.push_back({{"suite", "verdict"},
                          {"shape", to_string(now.shape)},
                          {"prefixes", now.prefixes},
                          {"databases", now.databases},
                          {"hits", now.hits},
                          {"sources", to_string(now.pattern)},
                          {"caches", caches},
                          {"program", figure.name},
                          {"ns", figure.ns.median},
                          {"over", figure.over.median},
                          {"low", figure.over.low},
                          {"high", figure.over.high}});
    }
  }

  // What each reason costs: one frame each, as it comes, through the product's own program.
  void run_reasons() {
    const Prefixes prefixes = make_prefixes(Shape::mixed, 30);
    const Table table = build_policy_table(make_policy(prefixes, 1));
    publish(objects_.front().second, table);
    fmt::print("\n{:<14}{:<8}{:>8}{:>8}{:>16}\n", "reason", "action", "ns", "over", "quartiles");
    for (const auto& [name, frame] : reason_frames(prefixes.front().address.value | 1))
      run_reason(name, frame, table);
  }

  void run_reason(const std::string& name, const std::vector<std::uint8_t>& frame,
                  const Table& table) {
    const std::string found = reason_text(judge(table, frame, 1).reason);
    if (!name.starts_with(found)) throw std::runtime_error("a frame for " + name + " is " + found);
    const int empty = objects_.front().second.program("bench_empty");
    std::vector<Contender> contenders = {
        {"empty", [&] { return run(empty, frame, options_.repeat); }}};
    for (const auto& [engine, object] : objects_) {
      const int program = object.program("moat_xdp");
      contenders.push_back({engine, [&, program] { return run(program, frame, options_.repeat); }});
    }
    const auto figures = take_turns(contenders, options_.rounds);
    for (std::size_t i = 1; i < figures.size(); i++) {
      const Figure& figure = figures[i];
      const int program = objects_[i - 1].second.program("moat_xdp");
      const bool drops = outcome_of(program, frame).action == XDP_DROP;
      fmt::print("{:<14}{:<8}{:>8.1f}{:>8.1f}{:>8.1f}{:>8.1f}  {}\n", name, drops ? "drop" : "pass",
                 figure.ns.median, figure.over.median, figure.over.low, figure.over.high,
                 figure.name);
      results_.push_back({{"suite", "reason"},
                          {"reason", name},
                          {"action", drops ? "drop" : "pass"},
                          {"program", figure.name},
                          {"ns", figure.ns.median},
                          {"over", figure.over.median},
                          {"low", figure.over.low},
                          {"high", figure.over.high}});
    }
  }

  static std::vector<std::pair<std::string, std::vector<std::uint8_t>>> reason_frames(
      std::uint32_t listed) {
    const auto from = [](std::uint32_t source) {
      const Frame frame = make_frame(source);
      return std::vector<std::uint8_t>(frame.begin(), frame.end());
    };
    const auto with = [&](std::vector<std::uint8_t> frame, std::size_t at,
                          std::initializer_list<std::uint8_t> bytes) {
      std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
      return frame;
    };
    const auto tagged = [](std::vector<std::uint8_t> frame, int tags) {
      for (int i = 0; i < tags; i++) frame.insert(frame.begin() + 12, {0x81, 0x00, 0x00, 0x07});
      return frame;
    };
    const auto plain = from(listed);
    auto optioned = with(plain, 14, {0x46, 0, 0, 50});
    optioned.insert(optioned.begin() + 34, {1, 1, 1, 0});
    auto six = with(plain, 12, {0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64});
    six.insert(six.begin() + 34, 20, 0);  // the longer header
    return {{"allowed", plain},
            {"allowed, 2 tags", tagged(plain, 2)},
            {"allowed, options", optioned},
            {"no-rule", from(0xcb007101)},
            {"martian", from(0x7f000001)},
            {"not-guarded", with(plain, 36, {0, 80})},
            {"not-guarded, udp", with(plain, 23, {17})},
            {"not-ip", with(plain, 12, {0x08, 0x06})},
            {"fragment", with(plain, 20, {0x20, 0})},
            {"malformed", with(plain, 14, {0x41})},
            {"source-route", with(optioned, 34, {131, 3, 4, 0})},
            {"vlan-depth", tagged(plain, 5)},
            {"ipv6", six}};
  }

  Options options_;
  Objects objects_;
  Frame frame_;
  Json results_ = Json::array();
};

}  // namespace
}  // namespace moat::bench

int main(int argc, char** argv) {
  using moat::bench::Options;
  return moat::bench::run_bench<moat::bench::Bench, Options>(
      argc, argv, "What a verdict costs in the kernel, in ns over a program that decides nothing",
      [](moat::CommandLine& app, Options& options) {
        app.add_list("--sizes", options.sizes, "prefixes");
        app.add_list("--hits", options.hits, "shares of listed sources, per cent");
        app.add_list("--parts", options.parts, "of warm, cold, reasons");
        app.add("--also", options.also, "NAME=OBJECT: another build of verdict_bench.bpf.o");
        app.add("--repeat", options.repeat, "runs in a round");
        app.add_flag("--designs", options.designs, "with other tables in the program as well");
        app.add_flag("--quick", options.quick, "fewer cases");
      });
}
