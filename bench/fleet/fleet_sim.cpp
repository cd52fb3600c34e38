// SPDX-License-Identifier: BSD-2-Clause
// Many hosts that follow one fleet, in one process and by the agent's own code: each lists,
// watches, writes files of its own and sends receipts. Pushes changes, and tells as JSON when each
// host had them on disk; and of real hosts among them, by their receipts, when moatd enforced them.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "control/agent/etcd_fleet.h"
#include "control/agent/fleet_push.h"
#include "control/agent/fleet_store.h"
#include "control/os/log.h"
#include "control/policy/json_codec.h"
#include "control/text/command_line.h"

namespace moat {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t hosts_a_fetcher = 50;

struct Options {
  FleetSettings settings;
  std::string folder;
  unsigned hosts = 100;
  unsigned pushes = 5;
  unsigned spread_ms = 10'000;  // over which the hosts begin
  unsigned real = 0;            // hosts that others run, called real-0 and so on
};

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

double megabytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double at(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
}

nlohmann::json percentiles(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return {{"count", seconds.size()},
          {"p50", at(seconds, 0.5)},
          {"p99", at(seconds, 0.99)},
          {"p999", at(seconds, 0.999)},
          {"max", at(seconds, 1)}};
}

class Simulation {
 public:
  Simulation(Options options, EventLoop loop, Log& log)
      : options_(std::move(options)),
        loop_(std::move(loop)),
        log_(log),
        store_(options_.settings) {}

  Result<> run() {
    auto timer = loop_.timer([this] { begin_next(); });
    if (!timer) return std::unexpected(timer.error());
    begin_timer_ = std::move(*timer);
    auto pusher = loop_.timer([this] { push(); });
    if (!pusher) return std::unexpected(pusher.error());
    push_timer_ = std::move(*pusher);
    if (auto pushed = put(); !pushed) return pushed;
    begun_ = Steady::now();
    begin_timer_.set_after(std::chrono::microseconds(0));
    if (auto ran = loop_.run(); !ran) return ran;
    return error_ ? Result<>(std::unexpected(*error_)) : Result<>();
  }

 private:
  struct Host {
    std::unique_ptr<Fleet> fleet;
    std::uint64_t push = 0;
  };

  // A host has a fetcher of its own, but a process may not have files enough for that. One for all
  // would be slower than any host: it looks for a free connection among those of all.
  Result<> open_fetcher() {
    if (hosts_.size() % hosts_a_fetcher != 0) return {};
    // A stream for each, and what else they ask.
    auto fetcher = Fetcher::open(loop_, 2 * hosts_a_fetcher);
    if (!fetcher) return std::unexpected(fetcher.error());
    fetchers_.push_back(std::move(*fetcher));
    return {};
  }

  // The next host, and the timer for the one after it.
  void begin_next() {
    if (auto opened = open_fetcher(); !opened) return fail(opened.error());
    const auto number = hosts_.size();
    const auto home = std::filesystem::path(options_.folder) / fmt::format("host-{}", number);
    std::filesystem::create_directories(home / "databases.d");
    std::filesystem::create_directories(home / "managed-ranges.d");
    auto settings = options_.settings;
    settings.host = fmt::format("host-{}", number);
    hosts_.push_back(std::make_unique<Host>());
    auto* host = hosts_.back().get();
    auto fleet = EtcdFleet::make({loop_,
                                  *fetchers_.back(),
                                  log_,
                                  {home / "databases.d", home / "managed-ranges.d"},
                                  [this, host] { note(*host); }},
                                 settings, nullptr);
    if (!fleet) return fail(fleet.error());
    host->fleet = std::move(*fleet);
    if (hosts_.size() < options_.hosts)
      begin_timer_.set_after(
          std::chrono::microseconds(1000UL * options_.spread_ms / options_.hosts));
  }

  void note(Host& host) {
    if (!host.fleet || host.fleet->status().push == host.push) return;
    host.push = host.fleet->status().push;
    if (host.push != number_) return;
    latencies_.push_back(std::chrono::duration<double>(Steady::now() - pushed_).count());
    if (latencies_.size() == options_.hosts) finish_round();
  }

  // All receipts are in then, as hosts wait with theirs for half a millisecond each.
  [[nodiscard]] std::chrono::milliseconds between_pushes() const {
    return std::chrono::seconds(5) + std::chrono::milliseconds(options_.hosts / 2);
  }

  // The first push only finds who is there.
  void finish_round() {
    if (number_ == 1) {
      start_s_ = std::chrono::duration<double>(Steady::now() - begun_).count();
    } else {
      cpu_ += cpu_seconds() - cpu_before_;
      received_.insert(received_.end(), latencies_.begin(), latencies_.end());
      std::fprintf(stderr, "  push %u: the last of %u hosts after %.3f s\n", number_ - 1,
                   options_.hosts, latencies_.back());
    }
    latencies_.clear();
    push_timer_.set_after(between_pushes());
  }

  void push() {
    if (auto looked = look_at_receipts(); !looked) return fail(looked.error());
    if (number_ > options_.pushes) return finish();
    cpu_before_ = cpu_seconds();
    if (auto pushed = put(); !pushed) fail(pushed.error());
  }

  Result<> look_at_receipts() {
    if (options_.real == 0 || number_ == 1) return {};
    const auto receipts = store_.receipts("real-");
    if (!receipts) return std::unexpected(receipts.error());
    for (const auto& receipt : *receipts) {
      const auto time = view::read_time_ms(receipt.time);
      if (receipt.push == number_ && receipt.generation > 0 && time)
        enforced_.push_back(std::chrono::duration<double>(*time - pushed_at_).count());
    }
    return {};
  }

  void fail(const Error& error) {
    error_ = error;
    loop_.stop();
  }

  void finish() {
    const auto updates = static_cast<double>(options_.hosts) * options_.pushes;
    const nlohmann::json told = {{"hosts", options_.hosts},
                                 {"pushes", options_.pushes},
                                 {"start_s", start_s_},
                                 {"received", percentiles(received_)},
                                 {"enforced", percentiles(enforced_)},
                                 {"missing", options_.real * options_.pushes - enforced_.size()},
                                 {"cpu_ms", cpu_ * 1000 / updates},
                                 {"rss_mb", megabytes()}};
    std::printf("%s\n", told.dump().c_str());
    loop_.stop();
  }

  Result<> put() {
    const auto before = store_.read();
    if (!before) return std::unexpected(before.error());
    FleetContent wanted = before->content;
    wanted.databases["orders"] = fmt::format(
        "database: orders\nendpoint: {{port: 5432}}\nrules:\n  - cidr: 198.18.{}.0/24\n", number_);
    auto push = plan_push(before->content, wanted);
    if (!push) return std::unexpected(push.error());
    auto head = before->head;
    head.push = push->push = before->head.push + 1;
    number_ = static_cast<unsigned>(head.push);
    pushed_ = Steady::now();
    pushed_at_ = std::chrono::system_clock::now();
    head.host_count = options_.hosts + options_.real;
    const auto revision = store_.push(*push, head, {}, before->head_revision);
    if (!revision) return std::unexpected(revision.error());
    return {};
  }

  Options options_;
  EventLoop loop_;
  Log& log_;
  FleetStore store_;
  std::vector<std::unique_ptr<Fetcher>> fetchers_;
  std::vector<std::unique_ptr<Host>> hosts_;
  EventLoop::Timer begin_timer_;
  EventLoop::Timer push_timer_;
  unsigned number_ = 0;
  Steady::time_point begun_;
  Steady::time_point pushed_;
  std::chrono::system_clock::time_point pushed_at_;
  std::optional<Error> error_;
  double start_s_ = 0;
  double cpu_before_ = 0;
  double cpu_ = 0;
  std::vector<double> latencies_;  // seconds, of this push
  std::vector<double> received_;   // of all
  std::vector<double> enforced_;   // the same of real hosts
};

}  // namespace
}  // namespace moat

int main(int count, char** arguments) {
  moat::Options options;
  options.settings.name = "bench";
  moat::CommandLine app("Many hosts that follow one fleet.", "fleet_sim");
  app.require("--etcd", options.settings.endpoints);
  app.require("--folder", options.folder);
  app.add("--hosts", options.hosts);
  app.add("--pushes", options.pushes);
  app.add("--spread", options.spread_ms);
  app.add("--real", options.real);
  app.add("--ca", options.settings.ca);
  app.add("--certificate", options.settings.certificate);
  app.add("--key", options.settings.key);
  if (const auto done = app.parse(count, arguments)) return *done;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const auto log = moat::make_log("fleet_sim");
  log->set_level(spdlog::level::warn);
  auto loop = moat::EventLoop::open();
  if (!loop) return 1;
  const auto ran = moat::Simulation(std::move(options), std::move(*loop), *log).run();
  if (!ran) std::fprintf(stderr, "%s\n", ran.error().message.c_str());
  return ran ? 0 : 1;
}
