// SPDX-License-Identifier: BSD-2-Clause
// TCP SYNs from random sources into one end of a veth, as fast as they go or at a given rate: XDP
// live frames, which a program gives their source and redirects. They are received on the CPU that
// sends them, within the call that sends them, so the figure is of both together. Prints one line:
//
//   {"sent":N,"seconds":S,"busy":S,"cpu":[P,P,...]}
//
//   seconds   by the clock
//   busy      of these, what sending and receiving had of this CPU: without what others had of it,
//             but with what the kernel did for it in ksoftirqd
//   cpu       per cent of each CPU that were not idle meanwhile, whoever it was
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/inputs.h"
#include "bench/kernel/kernel.h"
#include "bench/network/feed.h"
#include "control/policy/prefix.h"
#include "control/text/command_line.h"

namespace moat::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string netns, interface, mac, address, prefixes;
  std::uint16_t port = 5432;
  unsigned hits = 0;  // per cent
  double seconds = 1;
  std::uint64_t rate = 0;  // frames a second; 0: all that go
  int cpu = 0;
  bool first = false;  // before all other tasks of the CPU, as an interrupt would be
};

// Frames are prepared 256 at a time, as many as the receiving queue of a veth holds.
constexpr std::uint32_t batch_at_a_rate = 64;  // leaves room for those of others
constexpr std::uint32_t batch = 256, frames_a_call = batch * 1024;
constexpr std::chrono::milliseconds slice{2};  // at a rate, frames go out this often

[[noreturn]] void give_up(const std::string& what) {
  fmt::print(stderr, "feed: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

volatile std::sig_atomic_t is_told_to_end = 0;

// --- The frame and what is written into it ------------------------------------------------------

std::uint64_t add_words(std::span<const std::uint8_t> bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += bytes[i] << 8 | bytes[i + 1];
  return sum;
}

std::uint16_t to_checksum(std::uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<std::uint16_t>(~sum));
}

Frame frame_to(const Options& options) {
  Frame frame = make_frame(0);
  std::array<unsigned, ETH_ALEN> mac{};
  if (std::sscanf(options.mac.c_str(), "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3],
                  &mac[4], &mac[5]) != ETH_ALEN ||
      inet_pton(AF_INET, options.address.c_str(), &frame[FEED_IP_DESTINATION]) != 1) {
    give_up("destination");
  }
  std::copy(mac.begin(), mac.end(), frame.begin());
  frame[FEED_TCP_PORT] = static_cast<std::uint8_t>(options.port >> 8);
  frame[FEED_TCP_PORT + 1] = static_cast<std::uint8_t>(options.port);
  return frame;
}

// `frame` has neither source nor checksums yet.
std::vector<feed_source> make_sources(const Frame& frame, const std::vector<std::uint32_t>& keys) {
  const auto bytes = std::span(frame);
  const auto segment = bytes.subspan(ETH_HLEN + 20);
  const std::uint64_t ip = add_words(bytes.subspan(ETH_HLEN, 20));
  const std::uint64_t tcp = add_words(segment) + segment.size() + IPPROTO_TCP +
                            add_words(bytes.subspan(FEED_IP_DESTINATION, 4));
  std::vector<feed_source> sources;
  sources.reserve(keys.size());
  for (const std::uint32_t key : keys) {
    const std::uint64_t source = (key >> 16) + (key & 0xffff);
    sources.push_back({htonl(key), to_checksum(ip + source), to_checksum(tcp + source)});
  }
  return sources;
}

Prefixes read_prefixes(const std::string& path) {
  Prefixes prefixes;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto prefix = parse_prefix(line);
    if (!prefix) give_up(fmt::format("{}: {}", path, line));
    prefixes.push_back(*prefix);
  }
  if (prefixes.empty()) give_up(path);
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

// --- Where the time goes ------------------------------------------------------------------------

// Not idle, and all, of each CPU, in ticks.
struct Ticks {
  std::uint64_t busy = 0, all = 0;
};

std::vector<Ticks> read_ticks() {
  std::vector<Ticks> cpus;
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line) && line.starts_with("cpu");) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "cpu") continue;
    Ticks ticks;
    std::uint64_t value = 0;
    for (int field = 0; field < 8 && words >> value; field++) {
      ticks.all += value;
      if (field != 3 && field != 4) ticks.busy += value;  // idle, iowait
    }
    cpus.push_back(ticks);
  }
  return cpus;
}

// What the kernel's own thread for this CPU's softirqs has had, in ns.
class Ksoftirqd {
 public:
  explicit Ksoftirqd(int cpu) {
    const std::string name = fmt::format("ksoftirqd/{}", cpu);
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::string comm;
      std::ifstream(entry.path() / "comm") >> comm;
      if (comm == name) path_ = entry.path() / "schedstat";
    }
  }
  [[nodiscard]] double ns() const {
    double on_cpu = 0;
    std::ifstream(path_) >> on_cpu;
    return on_cpu;
  }

 private:
  std::filesystem::path path_;
};

// --- Sending ------------------------------------------------------------------------------------

class Feed {
 public:
  explicit Feed(const Options& options) : options_(options), frame_(frame_to(options)) {
    const int netns = open(options.netns.c_str(), O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) give_up(options.netns);
    const std::uint32_t to = if_nametoindex(options.interface.c_str());
    if (to == 0) give_up(options.interface);
    object_.emplace("feed.bpf.o", [&to](bpf_object* object) {
      set_initial(object, ".rodata", std::as_bytes(std::span(&to, 1)));
    });
    const auto prefixes = read_prefixes(options.prefixes);
    const auto keys = make_keys(prefixes, FEED_SOURCES, options.hits, Pattern::random);
    const auto sources = make_sources(frame_, keys);
    object_->fill("feed_sources", std::as_bytes(std::span(sources)));
    program_ = object_->program("feed");
  }

  void send(std::uint64_t frames) {
    bpf_test_run_opts call = {};
    call.sz = sizeof call;
    call.data_in = frame_.data();
    call.data_size_in = kFrameBytes;
    call.repeat = static_cast<int>(frames);
    call.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    call.batch_size = options_.rate == 0 ? batch : batch_at_a_rate;
    if (bpf_prog_test_run_opts(program_, &call) != 0 && errno != EINTR) give_up("live frames");
  }

  void send_all_that_go() {
    const auto end = Clock::now() + std::chrono::duration<double>(options_.seconds);
    do send(frames_a_call);
    while (Clock::now() < end && is_told_to_end == 0);
  }

  // Each call ends with a wait for RCU, 16 ms and more unless that is told to make haste (see
  // flood.sh). What could not be sent in its time is left out, as on a wire.
  void send_at_rate() {
    const auto frames = options_.rate * slice.count() / 1000;
    const auto end = Clock::now() + std::chrono::duration<double>(options_.seconds);
    for (auto at = Clock::now(); at < end && is_told_to_end == 0;) {
      send(frames);
      at = std::max(at + slice, Clock::now() - slice);
      std::this_thread::sleep_until(at);
    }
  }

  [[nodiscard]] std::uint64_t sent() const {
    std::uint64_t sent = 0;
    const std::uint32_t zero = 0;
    if (bpf_map_lookup_elem(object_->map(".bss"), &zero, &sent) != 0) give_up("what was sent");
    return sent;
  }

 private:
  Options options_;
  Frame frame_;
  std::optional<Object> object_;
  int program_ = -1;
};

void go_first() {
  sched_param priority{};
  priority.sched_priority = 1;
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) give_up("real-time priority");
}

void feed(const Options& options) {
  Feed frames(options);
  const Ksoftirqd ksoftirqd(options.cpu);
  pin_to_cpu(options.cpu);
  if (options.first) go_first();
  const auto begin = Clock::now();
  const auto ticks = read_ticks();
  const double ns = thread_ns() + ksoftirqd.ns();
  if (options.rate == 0)
    frames.send_all_that_go();
  else
    frames.send_at_rate();
  const double busy = thread_ns() + ksoftirqd.ns() - ns;
  const double wall = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto now = read_ticks();
  // Ticks are coarse: what is held to them is a run of many.
  const auto& here = ticks[static_cast<std::size_t>(options.cpu)];
  const auto& here_now = now[static_cast<std::size_t>(options.cpu)];
  const double share = static_cast<double>(here_now.busy - here.busy) /
                       static_cast<double>(std::max<std::uint64_t>(here_now.all - here.all, 1));
  if (options.rate == 0 && wall > 0.2 && busy / 1e9 < share * wall / 2) {
    fmt::print(stderr, "feed: others have CPU {}, or this kernel counts softirqs as nobody's\n",
               options.cpu);
    std::exit(1);
  }
  std::vector<std::string> cpus;
  for (std::size_t i = 0; i < now.size(); i++) {
    const auto all = static_cast<double>(now[i].all - ticks[i].all);
    cpus.push_back(fmt::format(
        "{:.0f}", 100 * static_cast<double>(now[i].busy - ticks[i].busy) / std::max(all, 1.0)));
  }
  fmt::print(R"({{"sent":{},"seconds":{:.6f},"busy":{:.6f},"cpu":[{}]}})"
             "\n",
             frames.sent(), wall, busy / 1e9, fmt::join(cpus, ","));
}

}  // namespace
}  // namespace moat::bench

int main(int argc, char** argv) {
  moat::bench::Options options;
  moat::CommandLine app{"TCP SYNs from random sources into a veth"};
  app.require("--netns", options.netns, "of the sending end");
  app.require("--interface", options.interface, "the sending end");
  app.require("--mac", options.mac, "of the receiving end");
  app.require("--address", options.address, "to send to");
  app.add("--port", options.port);
  app.require("--prefixes", options.prefixes, "a file of them, one a line");
  app.add("--hits", options.hits, "how many come from these prefixes, per cent");
  app.add("--seconds", options.seconds);
  app.add("--rate", options.rate, "frames a second; all that go without it");
  app.add("--cpu", options.cpu, "the one to send and receive on");
  app.add_flag("--first", options.first, "before all other tasks of that CPU");
  if (const auto done = app.parse(argc, argv)) return *done;
  const auto end = [](int) { moat::bench::is_told_to_end = 1; };
  std::signal(SIGINT, end);
  std::signal(SIGTERM, end);
  moat::bench::feed(options);
}
