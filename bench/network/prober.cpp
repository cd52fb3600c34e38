// SPDX-License-Identifier: BSD-2-Clause
// Notices what disturbs others: run beside a change, and again without one. Says "ready" when it
// is, ends after --seconds or on SIGTERM, and prints one line of JSON.
//
//   prober spin                    reads the clock as often as it can, before all other tasks of its
//                                  CPU: what lies long between two readings was a stall in the kernel
//   prober answer ADDRESS PORT     a server that sends back what it is sent
//   prober ask ADDRESS PORT        one request after the other over one connection
//
//   {"seconds":S,"count":N,"p50_us":T,"p99_us":T,"longest_us":T,"late":N,"resent":N}
//
//   count    of readings or requests       late    took longer than 1 ms (spin: 100 us)
//   resent   TCP segments, as one was lost on the way
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "control/text/command_line.h"

namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;
using namespace std::chrono_literals;

volatile std::sig_atomic_t is_told_to_end = 0;

[[noreturn]] void give_up(const char* what) {
  fmt::print(stderr, "prober: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

// How often something took how long, in steps of 1 us up to 1 s.
class Times {
 public:
  void add(Clock::duration took) {
    const double us = Microseconds(took).count();
    longest_ = std::max(longest_, us);
    count_++;
    steps_[std::min(static_cast<std::size_t>(us), steps_.size() - 1)]++;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] double longest() const { return longest_; }
  [[nodiscard]] std::uint64_t over(std::size_t us) const {
    std::uint64_t sum = 0;
    for (std::size_t i = us; i < steps_.size(); i++) sum += steps_[i];
    return sum;
  }
  [[nodiscard]] std::size_t quantile(double share) const {
    auto left = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    for (std::size_t i = 0; i < steps_.size(); i++) {
      if (left < steps_[i]) return i;
      left -= steps_[i];
    }
    return steps_.size();
  }

 private:
  std::vector<std::uint64_t> steps_ = std::vector<std::uint64_t>(1'000'000);
  std::uint64_t count_ = 0;
  double longest_ = 0;
};

// Until its time is over or it is told to end.
class Term {
 public:
  explicit Term(double seconds) : seconds_(seconds) {}
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }
  [[nodiscard]] bool is_over() const { return is_told_to_end != 0 || elapsed() >= seconds_; }

 private:
  Clock::time_point begin_ = Clock::now();
  double seconds_;
};

void say_ready() {
  fmt::print("ready\n");
  std::fflush(stdout);
}

void print(const Term& term, const Times& times, std::size_t late_us, unsigned resent) {
  fmt::print(
      R"({{"seconds":{:.3f},"count":{},"p50_us":{},"p99_us":{},"longest_us":{:.0f},"late":{},"resent":{}}})"
      "\n",
      term.elapsed(), times.count(), times.quantile(0.5), times.quantile(0.99), times.longest(),
      times.over(late_us), resent);
}

// --- spin ---------------------------------------------------------------------------------------

void go_first() {
  sched_param priority{};
  priority.sched_priority = 50;
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) give_up("real-time priority");
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) give_up("memory");
}

// The kernel lets real-time tasks have 95 % of a second: this one rests by itself, or it would be
// held for 50 ms now and then, which is nobody's fault.
void spin(double seconds) {
  constexpr auto work = 18ms, rest = 2ms;
  Times times;
  go_first();
  say_ready();
  const Term term(seconds);
  while (!term.is_over()) {
    auto last = Clock::now();
    for (const auto end = last + work; last < end;) {
      const auto now = Clock::now();
      times.add(now - last);
      last = now;
    }
    std::this_thread::sleep_for(rest);
  }
  print(term, times, 100, 0);
}

// --- answer, ask --------------------------------------------------------------------------------

sockaddr_in to_address(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) give_up(text.c_str());
  return address;
}

const sockaddr* general(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

void answer(const sockaddr_in& address) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, general(address), sizeof address) != 0 || listen(listener, 16) != 0) {
    give_up("listen");
  }
  say_ready();
  for (;;) {
    const int session = accept(listener, nullptr, nullptr);
    if (session < 0) give_up("accept");
    setsockopt(session, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    std::array<char, 64> bytes;
    for (ssize_t size = 0; (size = recv(session, bytes.data(), bytes.size(), 0)) > 0;) {
      if (send(session, bytes.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) < 0) break;
    }
    close(session);
  }
}

void ask(const sockaddr_in& address, double seconds) {
  const int session = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(session, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(session, general(address), sizeof address) != 0) give_up("connect");
  say_ready();
  Times times;
  const Term term(seconds);
  while (!term.is_over()) {
    char byte = '?';
    const auto before = Clock::now();
    if (send(session, &byte, 1, MSG_NOSIGNAL) != 1 || recv(session, &byte, 1, 0) != 1) {
      give_up("the session has ended");
    }
    times.add(Clock::now() - before);
  }
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(session, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) give_up("TCP_INFO");
  print(term, times, 1000, info.tcpi_total_retrans);
}

void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (cpu >= 0 && sched_setaffinity(0, sizeof set, &set) != 0) give_up("pin to a CPU");
}

}  // namespace

int main(int argc, char** argv) {
  std::string address;
  std::uint16_t port = 0;
  int cpu = -1;
  double seconds = 1e9;
  std::string what;
  moat::CommandLine app{"Notices what disturbs others"};
  app.require("WHAT", what, "spin, answer or ask");
  app.add("ADDRESS", address, "to answer at, or to ask");
  app.add("PORT", port);
  app.add("--cpu", cpu, "the one to run on");
  app.add("--seconds", seconds);
  if (const auto done = app.parse(argc, argv)) return *done;
  // Whoever answers has nothing to say at its end.
  if (what != "answer") std::signal(SIGTERM, [](int) { is_told_to_end = 1; });
  pin_to_cpu(cpu);
  if (what == "spin") {
    spin(seconds);
  } else if (what == "answer") {
    answer(to_address(address, port));
  } else if (what == "ask") {
    ask(to_address(address, port), seconds);
  } else {
    fmt::print(stderr, "prober: {} is none of spin, answer and ask\n", what);
    return 2;
  }
}
