// SPDX-License-Identifier: BSD-2-Clause
// The fast path beside what DPDK itself has, on the same prefixes, keys and ports:
//
//   lookup   ns to look a source up, in bursts of 64: the table one by one, its index (lines),
//            rte_fib (the smallest of 1, 2, 4 bytes that holds the classes and divided /24s; scalar
//            and AVX512), rte_lpm bulk
//   verdict  ns for parse, verdict and counter, frame by frame and a burst together, over writing
//            the sources alone
//   path     cycles a packet and million packets a second from a pcap feed to a sink, half of them
//            listed, through the worker's forwarder; and the same ports without a verdict (io),
//            which is what testpmd's io mode does
//
// Contenders run in turn, each on other keys; medians. A fill of rte_lpm with a million prefixes
// takes ten minutes: --slow-fill asks for it.
#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_fib.h>
#include <rte_lpm.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/inputs.h"
#include "control/text/command_line.h"
#include "dataplane/dpdk/burst.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/forwarder.h"
#include "dataplane/dpdk/port.h"

namespace moat::bench {
namespace {

constexpr unsigned burst = 64;
constexpr std::uint32_t key_count = 1u << 20, chunk = 1u << 15;
constexpr unsigned warming_chunks = 4;  // of other keys: the caches as a flood leaves them
constexpr unsigned packet_count = 512;

struct Options {
  std::vector<std::size_t> sizes = {30, 1000, 10'000, 100'000, 1'000'000};
  std::vector<unsigned> hits = {0, 50};
  unsigned rounds = 31;
  double seconds = 1;
  bool has_slow_fill = false;
  std::string json, feed;
  std::vector<std::string> eal;
};

using Keys = std::vector<std::uint32_t>;

struct Contender {
  std::string name;
  std::function<std::uint64_t(const std::uint32_t*)> run;  // over a chunk; returns a sum to compare
  std::vector<double> ns;
  double kib = 0;
};

double cpu_ns() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// All of them in turn, over and over.
void measure(std::vector<Contender>& contenders, const Keys& keys, unsigned rounds) {
  for (unsigned round = 0; round < rounds; round++)
    for (std::size_t c = 0; c < contenders.size(); c++) {
      const auto at = static_cast<std::uint32_t>((round * 13 + c * 5) * chunk % key_count);
      for (std::uint32_t warm = 1; warm <= warming_chunks; warm++)
        contenders[c].run(keys.data() + (at + warm * chunk) % key_count);
      const double begin = cpu_ns();
      contenders[c].run(keys.data() + at);
      contenders[c].ns.push_back((cpu_ns() - begin) / chunk);
    }
}

void check_agreement(std::vector<Contender>& contenders, const Keys& keys) {
  for (std::uint32_t at = 0; at < key_count; at += chunk) {
    const std::uint64_t wanted = contenders[0].run(keys.data() + at);
    for (Contender& each : contenders)
      if (each.run(keys.data() + at) != wanted) {
        fmt::print(stderr, "{} disagrees with {}\n", each.name, contenders[0].name);
        std::exit(1);
      }
  }
}

// ---- Look-ups ----

template <typename LookUp>
std::uint64_t in_bursts(const std::uint32_t* keys, LookUp look_up) {
  std::uint64_t sum = 0;
  std::uint32_t found[burst];
  for (std::uint32_t i = 0; i < chunk; i += burst) {
    look_up(keys + i, found);
    for (const std::uint32_t each : found) sum += each;
  }
  return sum;
}

// /24s that are divided: each takes a second table in DIR-24-8.
std::uint32_t divided_of(const Prefixes& prefixes) {
  std::uint32_t count = 0;
  std::uint64_t last = ~0ull;
  for (const Prefix prefix : prefixes)
    if (prefix.length > 24 && prefix.address.value >> 8 != last) {
      last = prefix.address.value >> 8;
      count++;
    }
  return count;
}

struct FibKind {
  rte_fib_dir24_8_nh_sz bytes;
  const char* name;
  std::uint32_t max_divided, max_class;
};
constexpr FibKind fib_kinds[] = {{RTE_FIB_DIR24_8_1B, "1 byte", 127, 127},
                                 {RTE_FIB_DIR24_8_2B, "2 bytes", 32767, 32767},
                                 {RTE_FIB_DIR24_8_4B, "4 bytes", 1u << 21, 1u << 30}};

using Fib = std::unique_ptr<rte_fib, decltype(&rte_fib_free)>;

Fib make_fib(const Prefixes& prefixes, const Table& table, const FibKind& kind, bool has_vectors) {
  rte_fib_conf conf = {};
  conf.type = RTE_FIB_DIR24_8;
  conf.max_routes = static_cast<int>(prefixes.size() + 16);
  conf.dir24_8.nh_sz = kind.bytes;
  conf.dir24_8.num_tbl8 = std::min(divided_of(prefixes) + 8, kind.max_divided);
  Fib fib(rte_fib_create(has_vectors ? "vectors" : "scalar", SOCKET_ID_ANY, &conf), rte_fib_free);
  if (!fib) return fib;
  for (const Prefix prefix : prefixes)
    if (rte_fib_add(fib.get(), prefix.address.value, prefix.length,
                    source_class(table, prefix.first())) != 0)
      return {nullptr, rte_fib_free};
  const auto type =
      has_vectors ? RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512 : RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO;
  if (rte_fib_select_lookup(fib.get(), type) != 0) return {nullptr, rte_fib_free};
  return fib;
}

using Lpm = std::unique_ptr<rte_lpm, decltype(&rte_lpm_free)>;

Lpm make_lpm(const Prefixes& prefixes, const Table& table) {
  rte_lpm_config conf = {};
  conf.max_rules = static_cast<std::uint32_t>(prefixes.size() + 16);
  conf.number_tbl8s = divided_of(prefixes) + 8;
  Lpm lpm(rte_lpm_create("lpm", SOCKET_ID_ANY, &conf), rte_lpm_free);
  for (const Prefix prefix : prefixes)
    if (lpm && rte_lpm_add(lpm.get(), prefix.address.value, prefix.length,
                           source_class(table, prefix.first())) != 0)
      return {nullptr, rte_lpm_free};
  return lpm;
}

std::uint64_t run_fib(rte_fib* fib, const std::uint32_t* keys) {
  std::uint64_t sum = 0, found[burst];
  for (std::uint32_t i = 0; i < chunk; i += burst) {
    rte_fib_lookup_bulk(fib, const_cast<std::uint32_t*>(keys + i), found, burst);
    for (const std::uint64_t each : found) sum += each;
  }
  return sum;
}

void look_up_lpm(const rte_lpm* lpm, const std::uint32_t* keys, std::uint32_t* found) {
  rte_lpm_lookup_bulk(lpm, keys, found, burst);
  for (unsigned i = 0; i < burst; i++)
    found[i] = found[i] & RTE_LPM_LOOKUP_SUCCESS ? found[i] & 0xffffff : 0;
}

// A size, with all that is made of it once.
struct Scene {
  std::size_t size = 0;  // prefixes, give or take those that the feed's took the place of
  Prefixes prefixes;
  LiveTable live;
};

// Those that the feed's listed packets come from are in the scenes of all sizes.
Prefixes feed_prefixes() { return make_prefixes(Shape::mixed, 30); }

Scene make_scene(std::size_t size) {
  Scene scene;
  scene.size = size;
  scene.prefixes = make_prefixes(Shape::mixed, size);
  const Prefixes feed = feed_prefixes();
  std::erase_if(scene.prefixes, [&](const Prefix prefix) {
    return std::ranges::any_of(feed, [&](const Prefix other) {
      return prefix.first() <= other.last() && other.first() <= prefix.last();
    });
  });
  scene.prefixes.insert(scene.prefixes.end(), feed.begin(), feed.end());
  std::ranges::sort(scene.prefixes);
  scene.live =
      LiveTable::make(build_policy_table(make_policy(scene.prefixes, 1)), allocate_dpdk).value();
  return scene;
}

void add_moat(const Scene& scene, std::vector<Contender>& contenders) {
  const moat_table* table = &scene.live.table.header();
  contenders.push_back({"moat, one by one",
                        [=](const std::uint32_t* keys) {
                          std::uint64_t sum = 0;
                          for (std::uint32_t i = 0; i < chunk; i++)
                            sum += moat_source_class(table, table->size, keys[i]);
                          return sum;
                        },
                        {},
                        table->size / 1024.0});
  contenders.push_back({"moat, lines",
                        [&scene, table](const std::uint32_t* keys) {
                          return in_bursts(keys,
                                           [&](const std::uint32_t* some, std::uint32_t* found) {
                                             scene.live.lines.look_up(*table, {some, burst}, found);
                                           });
                        },
                        {},
                        static_cast<double>(scene.live.lines.bytes()) / 1024.0});
}

void bench_lookups(const Scene& scene, const Options& options, nlohmann::json& rows) {
  std::vector<Contender> contenders;
  add_moat(scene, contenders);
  std::vector<Fib> fibs;
  for (const FibKind& kind : fib_kinds) {
    if (divided_of(scene.prefixes) + 8 > kind.max_divided ||
        scene.live.table.header().classes > kind.max_class)
      continue;
    for (const bool has_vectors : {false, true}) {
      Fib fib = make_fib(scene.prefixes, scene.live.table, kind, has_vectors);
      if (!fib) continue;
      contenders.push_back(
          {fmt::format("rte_fib, {}, {}", kind.name, has_vectors ? "AVX512" : "scalar"),
           [at = fib.get()](const std::uint32_t* keys) { return run_fib(at, keys); },
           {},
           0});
      fibs.push_back(std::move(fib));
    }
    break;  // the smallest that holds them is the fastest
  }
  Lpm lpm(nullptr, rte_lpm_free);
  if (scene.size <= 100'000 || options.has_slow_fill)
    lpm = make_lpm(scene.prefixes, scene.live.table);
  if (lpm)
    contenders.push_back({"rte_lpm, bulk",
                          [at = lpm.get()](const std::uint32_t* keys) {
                            return in_bursts(keys,
                                             [&](const std::uint32_t* some, std::uint32_t* found) {
                                               look_up_lpm(at, some, found);
                                             });
                          },
                          {},
                          0});
  for (const unsigned hits : options.hits) {
    const Keys keys = make_keys(scene.prefixes, key_count, hits, Pattern::random);
    check_agreement(contenders, keys);
    for (Contender& each : contenders) each.ns.clear();
    measure(contenders, keys, options.rounds);
    double own = 1e9, best = 1e9;
    for (const Contender& each : contenders) {
      const double ns = median(each.ns);
      auto& least = each.name.starts_with("moat") ? own : best;
      least = std::min(least, ns);
      rows.push_back({{"suite", "dpdk-lookup"},
                      {"prefixes", scene.size},
                      {"hits", hits},
                      {"contender", each.name},
                      {"ns", ns},
                      {"kib", each.kib}});
      fmt::print("lookup   {:8} prefixes, {:2} % listed  {:26} {:7.2f} ns\n", scene.size, hits,
                 each.name, ns);
    }
    fmt::print("lookup   {:8} prefixes, {:2} % listed  {:26} {:7.2f} x\n", scene.size, hits,
               "best of DPDK over Moat", best / own);
    std::fflush(stdout);
  }
}

// ---- Verdicts ----

// What the worker's forwarder does with an lcore's counters, and no reports.
struct Lcore {
  std::vector<moat_counter> counters = std::vector<moat_counter>(MOAT_COUNTER_SLOTS);
  void count(std::uint32_t slot, std::uint32_t bytes) {
    counters[slot].packets++;
    counters[slot].bytes += bytes;
  }
  static bool wants_report(std::uint32_t) { return false; }
  static void report(const moat_frame&, const moat_verdict&) {}
};

struct PacketFrames {
  static constexpr std::uint64_t now = 0;
  rte_mbuf** packets;
  moat_frame operator[](unsigned number) const {
    moat_frame frame = {};
    frame.data = rte_pktmbuf_mtod(packets[number], const __u8*);
    frame.end = frame.data + packets[number]->data_len;
    frame.length = packets[number]->pkt_len;
    return frame;
  }
};

class VerdictBench {
 public:
  explicit VerdictBench(rte_mempool* pool) : packets_(packet_count) {
    rte_pktmbuf_alloc_bulk(pool, packets_.data(), packet_count);
    const Frame model = make_frame(1);
    for (rte_mbuf* packet : packets_)
      std::memcpy(rte_pktmbuf_append(packet, kFrameBytes), model.data(), kFrameBytes);
  }
  ~VerdictBench() { rte_pktmbuf_free_bulk(packets_.data(), packet_count); }
  VerdictBench(const VerdictBench&) = delete;
  VerdictBench& operator=(const VerdictBench&) = delete;

  void run(const Scene& scene, const Options& options, nlohmann::json& rows) {
    for (const unsigned hits : options.hits) {
      const Keys keys = make_keys(scene.prefixes, key_count, hits, Pattern::random);
      std::vector<Contender> contenders;
      for (const auto& [name, way] :
           {std::pair{"sources written", Way::none}, std::pair{"one by one", Way::one_by_one},
            std::pair{"burst", Way::in_bursts}})
        contenders.push_back({name, [this, &scene, way](const std::uint32_t* some) {
                                return judge(some, scene.live, way);
                              }});
      measure(contenders, keys, options.rounds);
      const double written = median(contenders[0].ns);
      for (std::size_t i = 1; i < contenders.size(); i++) {
        const double ns = median(contenders[i].ns) - written;
        rows.push_back({{"suite", "dpdk-verdict"},
                        {"prefixes", scene.size},
                        {"hits", hits},
                        {"contender", contenders[i].name},
                        {"ns", ns}});
        fmt::print("verdict  {:8} prefixes, {:2} % listed  {:26} {:7.2f} ns\n", scene.size, hits,
                   contenders[i].name, ns);
      }
      std::fflush(stdout);
    }
  }

 private:
  enum class Way { none, one_by_one, in_bursts };

  std::uint64_t judge(const std::uint32_t* keys, const LiveTable& table, Way way) {
    std::uint64_t drops = 0;
    for (std::uint32_t at = 0; at < chunk; at += packet_count) {
      for (unsigned i = 0; i < packet_count; i++) {
        const std::uint32_t source = __builtin_bswap32(keys[at + i]);
        std::memcpy(rte_pktmbuf_mtod_offset(packets_[i], char*, 26), &source, sizeof source);
      }
      for (unsigned i = 0; way != Way::none && i < packet_count; i += burst) {
        const PacketFrames frames{packets_.data() + i};
        drops += way == Way::in_bursts ? Burst(table, frames, burst, lcore_).drops()
                                       : judge_one_by_one(table, frames);
      }
    }
    return drops;
  }

  // What a burst is measured against.
  std::uint64_t judge_one_by_one(const LiveTable& live, const PacketFrames& frames) {
    const moat_table& table = live.table.header();
    std::uint64_t drops = 0;
    for (unsigned i = 0; i < burst; i++) {
      moat_frame frame = frames[i];
      moat_verdict verdict;
      moat_judge_frame(&table, table.size, &frame, &verdict);
      lcore_.count(verdict.slot, verdict.bytes);
      drops |= std::uint64_t{verdict.drop} << i;
    }
    return drops;
  }

  std::vector<rte_mbuf*> packets_;
  Lcore lcore_;
};

// ---- The whole path ----

void put_u32(std::ofstream& file, std::uint32_t value) {
  file.write(reinterpret_cast<const char*>(&value), sizeof value);
}

// SYNs of these sources (pcap, microseconds, Ethernet).
void write_pcap(const std::string& path, const Keys& sources) {
  std::ofstream file(path, std::ios::binary);
  for (const std::uint32_t word : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65535u, 1u})
    put_u32(file, word);
  for (const std::uint32_t source : sources) {
    const Frame frame = make_frame(source);
    for (const std::uint32_t word :
         {0u, 0u, std::uint32_t{kFrameBytes}, std::uint32_t{kFrameBytes}})
      put_u32(file, word);
    file.write(reinterpret_cast<const char*>(frame.data()), kFrameBytes);
  }
}

class PathBench {
 public:
  PathBench(Port nic, Port sink) : nic_(std::move(nic)), sink_(std::move(sink)) {
    drops_ = rte_ring_create_elem("drops", sizeof(moat_drop), 4096, SOCKET_ID_ANY,
                                  RING_F_SP_ENQ | RING_F_SC_DEQ);
  }

  void run(const Scene& scene, const Options& options, nlohmann::json& rows) {
    std::vector<double> forwarded, passed;
    for (unsigned round = 0; round < 5; round++) {
      passed.push_back(io(options.seconds / 5));
      forwarded.push_back(forward(scene, options.seconds / 5));
    }
    const double ghz = static_cast<double>(rte_get_tsc_hz()) / 1e9;
    for (const auto& [name, rates] : {std::pair{"io", passed}, std::pair{"forwarder", forwarded}}) {
      const double mpps = median(rates);
      rows.push_back({{"suite", "dpdk-path"},
                      {"prefixes", scene.size},
                      {"contender", name},
                      {"mpps", mpps},
                      {"cycles", ghz * 1000 / mpps}});
      fmt::print("path     {:8} prefixes                {:26} {:7.2f} Mpps {:6.1f} cycles\n",
                 scene.size, name, mpps, ghz * 1000 / mpps);
    }
    std::fflush(stdout);
  }

 private:
  // Million packets a second of this thread's time.
  template <typename Turn>
  static double rate(double seconds, Turn turn) {
    std::uint64_t packets = 0;
    const double begin = cpu_ns();
    double now = begin;
    for (; now - begin < seconds * 1e9; now = cpu_ns())
      for (unsigned i = 0; i < 1000; i++) packets += turn();
    return static_cast<double>(packets) * 1e3 / (now - begin);
  }

  double io(double seconds) const {
    return rate(seconds, [this] {
      rte_mbuf* packets[burst];
      const auto count = rte_eth_rx_burst(nic_.number(), 0, packets, burst);
      const auto sent = rte_eth_tx_burst(sink_.number(), 0, packets, count);
      rte_pktmbuf_free_bulk(packets + sent, count - sent);
      return std::uint64_t{count};
    });
  }

  double forward(const Scene& scene, double seconds) {
    Forwarder forwarder({nic_.number(), sink_.number(), 0}, counters_, {kinds_, sources_, 1},
                        drops_);
    const std::uint64_t tick_cycles = rte_get_tsc_hz() / ticks_per_second;
    return rate(seconds, [&] {
      forwarder.turn(&scene.live, rte_rdtsc() / tick_cycles);
      moat_drop some[64];
      (void)rte_ring_sc_dequeue_burst_elem(drops_, some, sizeof(moat_drop), 64, nullptr);
      return std::uint64_t{burst};
    });
  }

  Port nic_, sink_;
  rte_ring* drops_;
  std::vector<moat_counter> counters_ = std::vector<moat_counter>(MOAT_COUNTER_SLOTS);
  std::vector<moat_source_allowance> sources_ = std::vector<moat_source_allowance>(MOAT_SOURCES);
  KindGrants kinds_{};
};

// ---- All of it ----

// Removed at the end if it is of its own making.
struct Feed {
  std::string path;
  bool is_kept = true;
  explicit Feed(const std::string& given) : path(given), is_kept(!given.empty()) {
    if (!is_kept) path = fmt::format("/tmp/moat-dpdk-bench.{}.pcap", ::getpid());
  }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  ~Feed() {
    if (!is_kept) ::unlink(path.c_str());
  }
};

Result<> run(const Options& options) {
  const Feed feed(options.feed);
  write_pcap(feed.path, make_keys(feed_prefixes(), 4096, 50, Pattern::random));
  DpdkSettings settings;
  settings.fast_path.nic = "net_pcap0,infinite_rx=1,rx_pcap=" + feed.path;
  settings.eal = {"--force-max-simd-bitwidth=512"};
  settings.eal.insert(settings.eal.end(), options.eal.begin(), options.eal.end());
  settings.fast_path.lcores = {};
  auto eal = Eal::begin(settings);
  if (!eal) return std::unexpected(eal.error());
  auto nic = Port::only();
  if (!nic) return std::unexpected(nic.error());
  auto sink = Port::add("net_null0,no-rx=1");
  if (!sink) return std::unexpected(sink.error());
  rte_mempool* pool =
      rte_pktmbuf_pool_create("packets", 16383, 250, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (pool == nullptr) return std::unexpected(Error{"no memory for packets", {}});
  for (Port* port : {&*nic, &*sink})
    if (auto started = port->start(1, pool); !started) return started;

  nlohmann::json rows = nlohmann::json::array();
  rows.push_back({{"suite", "dpdk"},
                  {"hugepages", eal->has_hugepages()},
                  {"tsc_ghz", static_cast<double>(rte_get_tsc_hz()) / 1e9}});
  if (!eal->has_hugepages()) fmt::print("NOTE: without hugepages, of which too few are free\n");
  PathBench path(*nic, *sink);
  for (const std::size_t size : options.sizes) {
    const Scene scene = make_scene(size);
    bench_lookups(scene, options, rows);
    VerdictBench(pool).run(scene, options, rows);
    path.run(scene, options, rows);
  }
  if (!options.json.empty()) std::ofstream(options.json) << rows.dump(1) << "\n";
  for (Port* port : {&*nic, &*sink}) port->close();
  return {};
}

}  // namespace
}  // namespace moat::bench

int main(int count, char** arguments) {
  moat::bench::Options options;
  moat::CommandLine app{"The fast path beside rte_fib, rte_lpm and bare forwarding."};
  app.add_list("--sizes", options.sizes, "prefixes");
  app.add_list("--hits", options.hits, "percent of sources that are listed");
  app.add("--rounds", options.rounds);
  app.add("--seconds", options.seconds, "for each whole path");
  app.add_flag("--slow-fill", options.has_slow_fill, "rte_lpm with a million prefixes, too");
  app.add("--json", options.json);
  app.add("--keep-feed", options.feed, "write the packets of the whole path here");
  app.add("--eal", options.eal, "a further argument to DPDK");
  if (const auto done = app.parse(count, arguments)) return *done;
  if (const auto done = moat::bench::run(options); !done) {
    fmt::print(stderr, "dpdk_bench: {}\n", moat::format_error(done.error()));
    return 1;
  }
  return 0;
}
