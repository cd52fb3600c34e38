// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "control/agent/held_addresses.h"
#include "control/agent/socket_set.h"

namespace moat {
namespace {

constexpr int tries = 3;
constexpr int timeout_ms = 2000;
constexpr int udp_bytes = 1232;  // that arrive whole everywhere
// In the fourth byte of a DNS header (RFC 1035, RFC 4035).
constexpr unsigned char authentic_data = 0x20;
constexpr unsigned char response_code = 0x0f;

std::unexpected<Error> failure(const std::string& name, const std::string& why,
                               std::string remedy = {}) {
  return std::unexpected(Error{fmt::format("{}: {}", name, why), std::move(remedy)});
}

std::string words_of(int code) {
  switch (code) {
    case ns_r_nxdomain:
      return "there is no such name (NXDOMAIN)";
    case ns_r_servfail:
      return "the server cannot tell (SERVFAIL)";
    case ns_r_refused:
      return "the server does not want to tell (REFUSED)";
    default:
      return fmt::format("the server answers with code {}", code);
  }
}

// c-ares goes on to the next server after SERVFAIL, and does not tell it from silence in the end.
const char* words_of_status(int status) {
  return status == ARES_ECONNREFUSED ? "no DNS server answers, or all they say is SERVFAIL"
                                     : ares_strerror(status);
}

Result<Resolver::Answer> parse(const std::string& name, const unsigned char* bytes, int size) {
  if (size < NS_HFIXEDSZ) return failure(name, "an answer that is too short");
  if (const int code = bytes[3] & response_code; code != ns_r_noerror)
    return failure(name, words_of(code));
  std::array<ares_addrttl, HeldAddresses::max_addresses + 1> found{};
  int count = found.size();
  const int status = ares_parse_a_reply(bytes, size, nullptr, found.data(), &count);
  if (status == ARES_ENODATA || (status == ARES_SUCCESS && count == 0))
    return failure(name, "the name has no A record");
  if (status != ARES_SUCCESS) return failure(name, ares_strerror(status));
  if (static_cast<std::size_t>(count) == found.size()) {
    return failure(name, fmt::format("more than {} addresses", HeldAddresses::max_addresses),
                   "a name that stands for so many is no source of a rule");
  }
  Resolver::Answer answer{.ttl = std::chrono::hours(24),
                          .is_validated = (bytes[3] & authentic_data) != 0};
  for (int i = 0; i < count; ++i) {
    const auto& record = found[static_cast<std::size_t>(i)];
    answer.addresses.push_back(Address::from_network(record.ipaddr.s_addr));
    answer.ttl = std::min(answer.ttl, std::chrono::seconds(record.ttl));
  }
  return answer;
}

}  // namespace

struct Resolver::Channel {
  struct Question {
    Channel& channel;
    std::string name;
    Done done;
  };

  explicit Channel(SocketSet set) : sockets(std::move(set)) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    is_ending = true;
    if (ares != nullptr) ares_destroy(ares);
  }

  static void on_socket(void* self, ares_socket_t socket, int readable, int writable) {
    static_cast<Channel*>(self)->sockets.wait_for(socket, readable != 0, writable != 0);
  }

  static void on_answer(void* data, int status, int, unsigned char* bytes, int size) {
    const std::unique_ptr<Question> question(static_cast<Question*>(data));
    auto& self = question->channel;
    if (self.is_ending) return;
    // Of SERVFAIL and its like c-ares tells by a status of its own, or hands over the answer.
    const bool has_answer = bytes != nullptr && size >= NS_HFIXEDSZ;
    auto result = status == ARES_SUCCESS || has_answer
                      ? parse(question->name, bytes, size)
                      : Result<Answer>(failure(question->name, words_of_status(status)));
    self.finished.emplace_back(std::move(question->done), std::move(result));
  }

  void act() {
    for (const auto& ready : sockets.ready()) {
      const bool is_news = ready.readable || ready.failed;
      ares_process_fd(ares, is_news ? ready.socket : ARES_SOCKET_BAD,
                      ready.writable ? ready.socket : ARES_SOCKET_BAD);
    }
    ares_process_fd(ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what has timed out
    rearm();
    for (auto& [done, result] : std::exchange(finished, {})) done(result);
  }

  void rearm() {
    timeval left{};
    if (!finished.empty()) {
      timer.set_after(std::chrono::microseconds(0));
    } else if (ares_timeout(ares, nullptr, &left) != nullptr) {
      timer.set_after(std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec));
    } else {
      timer.stop();
    }
  }

  SocketSet sockets;
  ares_channel ares = nullptr;
  bool is_ending = false;
  std::vector<std::pair<Done, Result<Answer>>> finished;
  EventLoop::Source source;
  EventLoop::Timer timer;
};

Resolver::Resolver() = default;
Resolver::~Resolver() = default;

Result<std::unique_ptr<Resolver>> Resolver::open(EventLoop& loop, const std::string& server) {
  if (const int status = ares_library_init(ARES_LIB_INIT_ALL); status != ARES_SUCCESS)
    return failure("c-ares", ares_strerror(status));
  auto sockets = SocketSet::open();
  if (!sockets) return std::unexpected(sockets.error());
  std::unique_ptr<Resolver> resolver(new Resolver);
  resolver->channel_ = std::make_unique<Channel>(std::move(*sockets));
  auto* channel = resolver->channel_.get();
  ares_options options{};
  options.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = timeout_ms;
  options.tries = tries;
  options.ednspsz = udp_bytes;
  options.sock_state_cb = Channel::on_socket;
  options.sock_state_cb_data = channel;
  if (const int status = ares_init_options(&channel->ares, &options,
                                           ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                               ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
      status != ARES_SUCCESS)
    return failure("c-ares", ares_strerror(status));
  if (!server.empty() && ares_set_servers_ports_csv(channel->ares, server.c_str()) != ARES_SUCCESS)
    return failure(server, "not the address of a DNS server", "write 127.0.0.1 or 127.0.0.1:53");
  auto timer = loop.timer([channel] { channel->act(); });
  if (!timer) return std::unexpected(timer.error());
  auto source = loop.on_readable(channel->sockets.fd(), [channel] { channel->act(); });
  if (!source) return std::unexpected(source.error());
  channel->timer = std::move(*timer);
  channel->source = std::move(*source);
  return resolver;
}

void Resolver::ask(const std::string& name, Done done) {
  auto question = std::make_unique<Channel::Question>(*channel_, name, std::move(done));
  unsigned char* query = nullptr;
  int size = 0;
  // Without a final dot of its own a name would be searched for in domains of the host's.
  const int status =
      ares_create_query(name.c_str(), ns_c_in, ns_t_a, 0, 1, &query, &size, udp_bytes);
  if (status != ARES_SUCCESS) {
    channel_->finished.emplace_back(std::move(question->done),
                                    failure(name, ares_strerror(status)));
  } else {
    query[3] |= authentic_data;  // asks whether the answer was validated (RFC 6840, 5.7)
    ares_send(channel_->ares, query, size, Channel::on_answer, question.release());
    ares_free_string(query);
  }
  channel_->rearm();
}

}  // namespace moat
