// SPDX-License-Identifier: BSD-2-Clause
// Raw TCP frames to a guarded port from many sources, for as long as it takes, and a judge behind
// the wall who knows of each frame whether it should have come through.
//
//   traffic --from NETNS --from-interface NAME --to NETNS --to-interface NAME
//           --address ADDRESS --port PORT --listed A,B --unlisted C,D --toggled E
//
//   sender --- veth --- XDP --- judge        frames go out in bursts, and the last frame of a burst
//                                            is from a listed source: once the judge has it, all
//                                            before it are judged, as a veth keeps their order
//
// What the toggled source is to get is told on standard input, one word a line: pass, drop, or
// either while a change is on its way. Each is answered with the same word after a whole burst that
// was sent knowing it. `quit` (or the end of input) ends it with one line of sums. Frames that got
// the wrong verdict are told at once on standard error, the first few of them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/text/command_line.h"
#include "tests/support/patience.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t burst_frames = 64;                   // a veth queues 256
constexpr std::chrono::milliseconds usual_patience{2000};  // for the last frame of a burst
constexpr int max_reported = 20;
constexpr std::uint8_t this_program = 0xfd;  // as the IPv4 TOS: nobody else's frames have it

enum class Expect { pass, drop, either };

struct Options {
  std::string from, from_interface, to, to_interface, address;
  std::uint16_t port = 0;
  std::vector<std::string> listed, unlisted;
  std::string toggled;
};

struct Source {
  in_addr_t address;
  Expect expect;
};

struct Sums {
  std::uint64_t bursts = 0, sent = 0, received = 0;
  std::uint64_t listed_lost = 0;      // should have passed and were not seen
  std::uint64_t unlisted_passed = 0;  // should have been dropped and were seen
};

#pragma pack(push, 1)
struct Frame {
  ether_header ether;
  iphdr ip;
  tcphdr tcp;
  struct {
    std::uint64_t burst;
    std::uint32_t index;
  } mark;
};
#pragma pack(pop)

void need(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::exit(2);
}

// A packet socket on one interface of one network namespace.
struct Port {
  int fd = -1;
  int index = 0;
  std::array<std::uint8_t, ETH_ALEN> mac{};
};

Port open_port(const std::string& netns, const std::string& interface) {
  const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(netns.c_str(), O_RDONLY | O_CLOEXEC);
  need(home >= 0 && there >= 0 && setns(there, CLONE_NEWNET) == 0, netns.c_str());
  Port port;
  port.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
  need(port.fd >= 0, "packet socket");
  port.index = static_cast<int>(if_nametoindex(interface.c_str()));
  need(port.index > 0, interface.c_str());
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  need(ioctl(port.fd, SIOCGIFHWADDR, &request) == 0, "hardware address");
  std::memcpy(port.mac.data(), request.ifr_hwaddr.sa_data, port.mac.size());
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_IP);
  address.sll_ifindex = port.index;
  need(bind(port.fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "bind");
  const int bytes = 8 << 20;
  need(setsockopt(port.fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0, "buffer");
  need(setns(home, CLONE_NEWNET) == 0, "namespace of before");
  close(there);
  close(home);
  return port;
}

std::uint16_t checksum(const void* bytes, std::size_t size) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < size; i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, static_cast<const char*>(bytes) + i, 2);
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

class Traffic {
 public:
  explicit Traffic(const Options& options)
      : sender_(open_port(options.from, options.from_interface)),
        judge_(open_port(options.to, options.to_interface)) {
    for (const auto& text : options.unlisted) add(text, Expect::drop);
    if (!options.toggled.empty()) {
      toggled_ = sources_.size();
      add(options.toggled, Expect::drop);
    }
    for (const auto& text : options.listed) add(text, Expect::pass);
    build_frames(options);
  }

  void expect_of_toggled(Expect expect) {
    if (toggled_) sources_[*toggled_].expect = expect;
  }

  void burst() {
    ++sums_.bursts;
    send_burst();
    std::array<bool, burst_frames> seen{};
    const auto deadline = Clock::now() + usual_patience * moat::patience();
    while (!seen.back()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      pollfd ready{judge_.fd, POLLIN, 0};
      if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) == 0) break;
      receive(seen);
    }
    for (std::size_t i = 0; i < burst_frames; ++i) judge(source_of(i), seen[i]);
  }

  [[nodiscard]] const Sums& sums() const { return sums_; }

 private:
  void add(const std::string& text, Expect expect) {
    in_addr address{};
    if (inet_pton(AF_INET, text.c_str(), &address) != 1) {
      std::fprintf(stderr, "traffic: no address: %s\n", text.c_str());
      std::exit(2);
    }
    sources_.push_back({address.s_addr, expect});
  }

  // Sources take turns; the listed ones come last, so the last frame is one of theirs.
  [[nodiscard]] const Source& source_of(std::size_t frame) const {
    return sources_[sources_.size() - 1 - (burst_frames - 1 - frame) % sources_.size()];
  }

  void build_frames(const Options& options) {
    for (std::size_t i = 0; i < burst_frames; ++i) {
      Frame& frame = frames_[i];
      std::memcpy(frame.ether.ether_dhost, judge_.mac.data(), ETH_ALEN);
      std::memcpy(frame.ether.ether_shost, sender_.mac.data(), ETH_ALEN);
      frame.ether.ether_type = htons(ETH_P_IP);
      iphdr& ip = frame.ip;
      ip.version = 4;
      ip.ihl = 5;
      ip.tos = this_program;
      ip.tot_len = htons(sizeof(Frame) - sizeof(ether_header));
      ip.ttl = 64;
      ip.protocol = IPPROTO_TCP;
      ip.saddr = source_of(i).address;
      need(inet_pton(AF_INET, options.address.c_str(), &ip.daddr) == 1, "destination");
      ip.check = checksum(&ip, sizeof(ip));
      frame.tcp.source = htons(static_cast<std::uint16_t>(40000 + i));
      frame.tcp.dest = htons(options.port);
      frame.tcp.doff = 5;
      frame.tcp.syn = i % 2;  // a bare ACK is judged like a SYN
      frame.tcp.ack = !frame.tcp.syn;
      frame.mark.index = static_cast<std::uint32_t>(i);
      parts_[i] = {&frame, sizeof(frame)};
      outgoing_[i].msg_hdr.msg_iov = &parts_[i];
      outgoing_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void send_burst() {
    for (auto& frame : frames_) frame.mark.burst = sums_.bursts;
    for (unsigned done = 0; done < burst_frames;) {
      const int sent = sendmmsg(sender_.fd, &outgoing_[done], burst_frames - done, 0);
      need(sent > 0, "send");
      done += static_cast<unsigned>(sent);
    }
    sums_.sent += burst_frames;
  }

  void receive(std::array<bool, burst_frames>& seen) {
    std::array<std::uint8_t, 2048> bytes;
    for (;;) {
      const auto size = recv(judge_.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size < 0) return;
      if (size != sizeof(Frame)) continue;
      Frame frame;
      std::memcpy(&frame, bytes.data(), sizeof(frame));
      if (frame.ip.tos != this_program || frame.mark.index >= burst_frames) continue;
      ++sums_.received;
      if (frame.mark.burst == sums_.bursts) {
        seen[frame.mark.index] = true;
      } else {
        std::fprintf(stderr, "traffic: a frame of burst %llu in burst %llu\n",
                     static_cast<unsigned long long>(frame.mark.burst),
                     static_cast<unsigned long long>(sums_.bursts));
      }
    }
  }

  void judge(const Source& source, bool passed) {
    if (source.expect == Expect::either || passed == (source.expect == Expect::pass)) return;
    ++(passed ? sums_.unlisted_passed : sums_.listed_lost);
    if (told_++ >= max_reported) return;
    std::array<char, INET_ADDRSTRLEN> text{};
    inet_ntop(AF_INET, &source.address, text.data(), text.size());
    std::fprintf(stderr, "traffic: burst %llu: %s from %s\n",
                 static_cast<unsigned long long>(sums_.bursts),
                 passed ? "let through" : "not let through", text.data());
  }

  Port sender_;
  Port judge_;
  std::vector<Source> sources_;
  std::optional<std::size_t> toggled_;
  std::array<Frame, burst_frames> frames_{};
  std::array<iovec, burst_frames> parts_{};
  std::array<mmsghdr, burst_frames> outgoing_{};
  Sums sums_;
  int told_ = 0;
};

// The words of standard input.
class Orders {
 public:
  // The next one, if a whole line is there.
  [[nodiscard]] std::optional<std::string> next() {
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    while (poll(&ready, 1, 0) > 0) {
      char c = 0;
      if (read(STDIN_FILENO, &c, 1) != 1) return "quit";
      if (c == '\n') return std::exchange(line_, {});
      line_ += c;
    }
    return std::nullopt;
  }

  static void await() {
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    (void)poll(&ready, 1, -1);
  }

 private:
  std::string line_;
};

void print_sums(const Sums& sums) {
  std::printf("sent=%llu received=%llu listed_lost=%llu unlisted_passed=%llu\n",
              static_cast<unsigned long long>(sums.sent),
              static_cast<unsigned long long>(sums.received),
              static_cast<unsigned long long>(sums.listed_lost),
              static_cast<unsigned long long>(sums.unlisted_passed));
  std::fflush(stdout);
}

int run(const Options& options) {
  static const std::map<std::string, Expect> words = {
      {"pass", Expect::pass}, {"drop", Expect::drop}, {"either", Expect::either}};
  Traffic traffic(options);
  Orders orders;
  for (;;) {
    const auto order = orders.next();
    if (order == "quit") return EXIT_SUCCESS;
    if (order == "sums") {
      print_sums(traffic.sums());
      Orders::await();
      continue;
    }
    if (order) {
      const auto word = words.find(*order);
      need(word != words.end(), order->c_str());
      traffic.expect_of_toggled(word->second);
    }
    traffic.burst();
    if (order) {
      std::printf("%s\n", order->c_str());
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  moat::CommandLine app{"Raw TCP frames to a guarded port, and a judge behind the wall"};
  app.require("--from", options.from);
  app.require("--from-interface", options.from_interface);
  app.require("--to", options.to);
  app.require("--to-interface", options.to_interface);
  app.require("--address", options.address);
  app.require("--port", options.port);
  app.require_list("--listed", options.listed);
  app.require_list("--unlisted", options.unlisted);
  app.add("--toggled", options.toggled);
  if (const auto done = app.parse(argc, argv)) return *done;
  return run(options);
}
