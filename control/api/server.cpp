// SPDX-License-Identifier: BSD-2-Clause
#include "control/api/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/api/routes.h"
#include "control/os/control_socket.h"
#include "control/os/local_names.h"
#include "dataplane/error.h"

namespace moat {
namespace {

using Clock = std::chrono::steady_clock;

// One client's connection, which has one request.
struct Connection {
  int fd = -1;
  Clock::time_point deadline;
  bool is_strangers = false;  // of somebody who may not use moatd
  bool has_request = false;   // its headers are there, its body comes in
  bool is_too_large = false;
  bool is_answered = false;  // an answer is on its way: nothing else may be written
  bool is_ended = false;     // by us; the library has not seen it yet
  std::optional<Clock::time_point> waits_until;  // by its own wish, for something to happen
  MHD_Connection* client = nullptr;
  std::string body;
  std::list<Connection>::iterator self;
};
using Connections = std::list<Connection>;

Peer peer_of(int fd) {
  const auto credentials = peer_credentials(fd);
  return {credentials.uid, credentials.gid, credentials.pid, user_name(credentials.uid)};
}

enum class Right { none, ask, change };

Right right_of(const PeerCredentials& peer, const ApiAccess& access) {
  if (peer.uid == 0 || peer.uid == geteuid()) return Right::change;
  if (peer.is_in(access.operators_gid.value_or(getegid()))) return Right::change;
  return access.readers_gid && peer.is_in(*access.readers_gid) ? Right::ask : Right::none;
}

ApiResponse forbid(const PeerCredentials& peer, Right right, const ApiAccess& access) {
  const auto who = user_name(peer.uid);
  const auto group = access.operators_gid
                         ? fmt::format(", or a member of group {}", access.operators)
                         : std::string();
  const auto readers =
      access.readers.empty() ? "" : fmt::format("; members of group {} may ask", access.readers);
  const std::string_view may =
      right == Right::ask ? "may ask moatd, and not change anything" : "may not use moatd";
  return refuse(403, {Refusal::Kind::forbidden,
                      fmt::format("{} {}", who, may),
                      fmt::format("do this as root{}{}", group, readers),
                      {}});
}

bool is_question(std::string_view method) { return method == "GET" || method == "HEAD"; }

ApiResponse figures_alone() {
  return refuse(403, {Refusal::Kind::forbidden,
                      "here nobody is asked who they are, and /metrics and /healthz alone are told",
                      "use the control socket",
                      {}});
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Decodes %XX in place, as the library does, but for %00, where its C strings would end early and
// "orders%00x" would name orders.
std::size_t unescape(void*, MHD_Connection*, char* text) {
  char* out = text;
  for (const char* in = text; *in != '\0';) {
    const int high = *in == '%' ? digit(in[1]) : -1;
    const int low = high >= 0 ? digit(in[2]) : -1;
    if (low >= 0 && high * 16 + low != 0) {
      *out++ = static_cast<char>(high * 16 + low);
      in += 3;
    } else {
      *out++ = *in++;
    }
  }
  *out = '\0';
  return static_cast<std::size_t>(out - text);
}

MHD_Result collect_argument(void* into, MHD_ValueKind, const char* key, const char* value) {
  auto& request = *static_cast<ApiRequest*>(into);
  const bool is_new = request.arguments.emplace(key, value ? value : "").second;
  if (!is_new) request.twice = key;
  return MHD_YES;
}

// An answer that is made while it is sent.
struct Stream {
  std::string piece;
  std::size_t sent = 0;  // of the piece
  std::function<std::string()> rest;

  static ssize_t read(void* self, std::uint64_t, char* into, std::size_t size) {
    auto& stream = *static_cast<Stream*>(self);
    try {
      if (stream.sent == stream.piece.size()) {
        stream.piece = stream.rest();
        stream.sent = 0;
      }
    } catch (const std::exception&) {  // must not reach the library, which is C
      return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (stream.piece.empty()) return MHD_CONTENT_READER_END_OF_STREAM;
    const auto count = std::min(size, stream.piece.size() - stream.sent);
    std::copy_n(stream.piece.data() + stream.sent, count, into);
    stream.sent += count;
    return static_cast<ssize_t>(count);
  }
  static void end(void* self) { delete static_cast<Stream*>(self); }
};

MHD_Response* make_response(ApiResponse& answer) {
  if (answer.rest) {
    constexpr std::size_t block = std::size_t{64} << 10;
    auto stream = std::make_unique<Stream>(std::move(answer.body), 0, std::move(answer.rest));
    auto* response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block, Stream::read,
                                                       stream.get(), Stream::end);
    if (response != nullptr) (void)stream.release();
    return response;
  }
  // The library takes the bytes as writable, and only copies them.
  return MHD_create_response_from_buffer(answer.body.size(), answer.body.data(),
                                         MHD_RESPMEM_MUST_COPY);
}

MHD_Result queue(MHD_Connection* connection, ApiResponse answer) {
  MHD_Response* response = make_response(answer);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
  if (!answer.allow.empty()) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer.allow.c_str());
  }
  if (!answer.etag.empty())
    MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, answer.etag.c_str());
  // What is told is true now; an ETag is about what edits change, not about counters.
  MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  // A connection has one request: who holds one for longer only keeps others out.
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  const auto result = MHD_queue_response(connection, answer.code, response);
  MHD_destroy_response(response);
  return result;
}

ApiResponse too_large(std::size_t limit) {
  return moat::refuse(413, {Refusal::Kind::invalid,
                            fmt::format("the request is larger than {} bytes", limit),
                            "send less at once",
                            {}});
}

// Says 503 to a client that waits, as far as its buffer takes it, and ends the connection. The
// library sees the end and forgets it.
void turn_away(const Connection& connection) {
  if (!connection.is_answered) {
    const auto answer = moat::refuse(503, {Refusal::Kind::unavailable,
                                           "too many connections",
                                           "try again, and close those not needed",
                                           {}});
    const auto text = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
        "Connection: close\r\nRetry-After: 1\r\n\r\n{}",
        answer.type, answer.body.size(), answer.body);
    send(connection.fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  shutdown(connection.fd, SHUT_RDWR);
}

}  // namespace

class Api::Server {
 public:
  Server(Service& service, ApiLimits limits, ApiScope scope)
      : service_(service), limits_(limits), scope_(scope) {}
  ~Server() {
    notify();  // the library takes no end of what is suspended
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Result<> start(int listener) {
    const int flags = fcntl(listener, F_GETFL);
    if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) != 0) {
      return failed("control socket");
    }
    // The library's own limit only bounds those that were told to go and have not yet.
    const auto most = static_cast<unsigned>(2 * limits_.connections + limits_.waiting + 64);
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, on_request, this,  //
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, most,            //
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, this,                                //
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, nullptr, MHD_OPTION_END);
    if (daemon_ == nullptr) {
      return std::unexpected(Error{
          fmt::format("control socket: the HTTP server does not start: {}", errno_words(errno)),
          ""});
    }
    const auto* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    fd_ = info->epoll_fd;
    return {};
  }

  void run() {
    is_due_ = false;
    MHD_run(daemon_);
    const auto now = Clock::now();
    while (!open_.empty() && open_.front().deadline <= now) end(open_.front());
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      auto& connection = *at++;
      if (*connection.waits_until <= now) resume(connection);
    }
  }

  void admit(const ApiAccess& access) { access_ = access; }

  void notify() {
    while (!waiting_.empty()) resume(waiting_.front());
  }

  [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const {
    std::optional<std::chrono::milliseconds> due;
    MHD_UNSIGNED_LONG_LONG library_due = 0;
    if (MHD_get_timeout(daemon_, &library_due) == MHD_YES) {
      due = std::chrono::milliseconds(library_due);
    }
    if (!open_.empty()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(open_.front().deadline - Clock::now());
      due = std::min(due.value_or(left), left);
    }
    for (const auto& connection : waiting_) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*connection.waits_until - Clock::now());
      due = std::min(due.value_or(left), left);
    }
    if (is_due_) due = std::chrono::milliseconds(0);
    if (due) due = std::max(*due, std::chrono::milliseconds(0));
    return due;
  }

  [[nodiscard]] int fd() const { return fd_; }

  [[nodiscard]] std::size_t connections() const {
    return MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
  }

 private:
  void end(Connection& connection) {
    turn_away(connection);
    connection.is_ended = true;
    ended_.splice(ended_.end(), open_, connection.self);
  }

  // Until something happens, or its time is over: then the library asks about it once more.
  void suspend(MHD_Connection* client, Connection& connection, std::chrono::milliseconds wait) {
    if (!connection.waits_until) connection.waits_until = Clock::now() + wait;
    if (waiting_.size() >= limits_.waiting) {
      waiting_.front().waits_until = Clock::now();
      resume(waiting_.front());
    }
    connection.client = client;
    waiting_.splice(waiting_.end(), open_, connection.self);
    MHD_suspend_connection(client);
  }

  void resume(Connection& connection) {
    connection.deadline = Clock::now() + limits_.lifetime;
    open_.splice(open_.end(), waiting_, connection.self);
    MHD_resume_connection(connection.client);
    is_due_ = true;
  }

  // A stranger who opens many takes the place of other strangers alone.
  void make_room() {
    if (open_.size() <= limits_.connections) return;
    const auto strangers = std::ranges::find(open_, true, &Connection::is_strangers);
    const auto oldest = strangers != open_.end()
                            ? strangers
                            : std::ranges::find(open_, false, &Connection::is_answered);
    end(oldest == open_.end() ? open_.front() : *oldest);
  }

  [[nodiscard]] bool is_strangers(int fd) const {
    return scope_ == ApiScope::all && right_of(peer_credentials(fd), access_) == Right::none;
  }

  static void on_connection(void* self, MHD_Connection* client, void** context,
                            MHD_ConnectionNotificationCode code) {
    auto& server = *static_cast<Server*>(self);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
      const auto* info = MHD_get_connection_info(client, MHD_CONNECTION_INFO_CONNECTION_FD);
      auto& connection = server.open_.emplace_back();
      connection.fd = info->connect_fd;
      connection.is_strangers = server.is_strangers(connection.fd);
      connection.deadline = Clock::now() + server.limits_.lifetime;
      connection.self = std::prev(server.open_.end());
      *context = &connection;
      server.make_room();
    } else {
      const auto& connection = *static_cast<Connection*>(*context);
      (connection.is_ended ? server.ended_ : server.open_).erase(connection.self);
    }
  }

  static MHD_Result on_request(void* self, MHD_Connection* client, const char* path,
                               const char* method, const char*, const char* data, std::size_t* size,
                               void**) {
    auto& server = *static_cast<Server*>(self);
    const auto* info = MHD_get_connection_info(client, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    auto& connection = *static_cast<Connection*>(info->socket_context);
    const std::string_view piece(data, *size);
    *size = 0;  // all of it is taken
    try {
      auto response = server.take(client, connection, path, method, piece);
      if (!response) return MHD_YES;
      if (response->wait && !connection.is_ended) {
        server.suspend(client, connection, *response->wait);
        return MHD_YES;
      }
      server.await_reading(connection);
      return queue(client, std::move(*response));
    } catch (const std::exception& error) {  // must not reach the library, which is C
      return queue(client, refuse(500, {Refusal::Kind::unavailable, error.what(), "", {}}));
    }
  }

  // Called once when the headers are there, then for each piece of the body, then once without.
  // Nothing: there is more to come.
  std::optional<ApiResponse> take(MHD_Connection* client, Connection& connection, const char* path,
                                  const char* method, std::string_view piece) {
    if (!connection.has_request) {
      connection.has_request = true;
      return std::nullopt;
    }
    if (!piece.empty()) {
      // What is too large is read to its end, however much was announced: a client that is still
      // sending when the connection closes would be told of that, not of the limit.
      connection.is_too_large |= connection.body.size() + piece.size() > limits_.body;
      if (!connection.is_too_large) connection.body += piece;
      return std::nullopt;
    }
    if (auto refused = check_right(connection.fd, path, method)) return refused;
    if (connection.is_too_large) return too_large(limits_.body);
    ApiRequest request{method, path, {}, "", std::move(connection.body), {}};
    request.peer = [fd = connection.fd] { return peer_of(fd); };
    request.if_match = header(client, MHD_HTTP_HEADER_IF_MATCH);
    request.accept = header(client, MHD_HTTP_HEADER_ACCEPT);
    request.has_waited = connection.waits_until && *connection.waits_until <= Clock::now();
    MHD_get_connection_values(client, MHD_GET_ARGUMENT_KIND, collect_argument, &request);
    return respond(service_, request);
  }

  [[nodiscard]] std::optional<ApiResponse> check_right(int fd, std::string_view path,
                                                       std::string_view method) const {
    if (scope_ == ApiScope::figures) {
      const bool is_figure = path == "/metrics" || path == "/healthz";
      return is_figure ? std::nullopt : std::optional(figures_alone());
    }
    const auto peer = peer_credentials(fd);
    const auto right = right_of(peer, access_);
    if (right == Right::change || (right == Right::ask && is_question(method))) return std::nullopt;
    return forbid(peer, right, access_);
  }

  static std::string header(MHD_Connection* client, const char* name) {
    const char* value = MHD_lookup_connection_value(client, MHD_HEADER_KIND, name);
    return value == nullptr ? "" : value;
  }

  // The client has its time anew to read the answer.
  void await_reading(Connection& connection) {
    connection.is_answered = true;
    if (connection.is_ended) return;
    connection.deadline = Clock::now() + limits_.lifetime;
    open_.splice(open_.end(), open_, connection.self);
  }

  Service& service_;
  ApiLimits limits_;
  ApiScope scope_;
  ApiAccess access_;
  Connections open_;     // by deadline, the earliest first
  Connections ended_;    // by us, until the library sees it
  Connections waiting_;  // for something to happen
  bool is_due_ = false;  // what was resumed waits for run()
  MHD_Daemon* daemon_ = nullptr;
  int fd_ = -1;
};

Api::Api(std::unique_ptr<Server> server) : server_(std::move(server)) {}
Api::~Api() = default;

Result<std::unique_ptr<Api>> Api::start(Service& service, int listener, ApiLimits limits,
                                        ApiScope scope) {
  auto server = std::make_unique<Server>(service, limits, scope);
  if (auto started = server->start(listener); !started) return std::unexpected(started.error());
  return std::unique_ptr<Api>(new Api(std::move(server)));
}

int Api::fd() const { return server_->fd(); }
void Api::run() { server_->run(); }
std::optional<std::chrono::milliseconds> Api::timeout() const { return server_->timeout(); }
void Api::admit(const ApiAccess& access) { server_->admit(access); }
void Api::notify() { server_->notify(); }
std::size_t Api::connections() const { return server_->connections(); }

}  // namespace moat
