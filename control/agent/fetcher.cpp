// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fetcher.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "control/agent/agent_file.h"
#include "control/agent/socket_set.h"
#include "control/text/trim.h"

namespace moat {
namespace {

constexpr long max_redirects = 3;
constexpr long connect_ms = 10'000;
constexpr std::size_t max_header = 1024;  // of one that is kept
constexpr long min_bytes_per_second = 1000;
constexpr long max_slow_seconds = 20;

struct EasyDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string remedy_for(CURLcode code) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return "is its certificate of a CA that this host does not know? name that with `ca`";
    case CURLE_SSL_CACERT_BADFILE:
      return "check the path of `ca`";
    case CURLE_SSL_CERTPROBLEM:
      return "check `certificate` and `key`";
    case CURLE_UNSUPPORTED_PROTOCOL:
      return "it, or a redirect, leads to something else than https";
    case CURLE_COULDNT_RESOLVE_HOST:
      return "does the host resolve names?";
    default:
      return "";
  }
}

}  // namespace

struct Fetcher::Multi {
  explicit Multi(SocketSet set) : sockets(std::move(set)), curl(curl_multi_init()) {}
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;
  ~Multi() { curl_multi_cleanup(curl); }

  void act(curl_socket_t socket, int events) {
    int running = 0;
    curl_multi_socket_action(curl, socket, events, &running);
    deliver();
    finish();
  }
  void on_ready() {
    for (const auto& ready : sockets.ready()) {
      act(ready.socket, (ready.readable ? CURL_CSELECT_IN : 0) |
                            (ready.writable ? CURL_CSELECT_OUT : 0) |
                            (ready.failed ? CURL_CSELECT_ERR : 0));
    }
  }
  void deliver();
  void finish();

  static int on_socket(CURL*, curl_socket_t socket, int what, void* self, void*) {
    static_cast<Multi*>(self)->sockets.wait_for(socket,
                                                what == CURL_POLL_IN || what == CURL_POLL_INOUT,
                                                what == CURL_POLL_OUT || what == CURL_POLL_INOUT);
    return 0;
  }
  static int on_timer(CURLM*, long ms, void* self) {
    auto& timer = static_cast<Multi*>(self)->timer;
    if (ms < 0) {
      timer.stop();
    } else {
      timer.set_after(std::chrono::milliseconds(ms));
    }
    return 0;
  }

  SocketSet sockets;
  CURLM* curl;
  EventLoop::Source source;
  EventLoop::Timer timer;
  std::set<Transfer::State*> streams;  // with data that was not handed over yet
};

struct Fetcher::Transfer::State {
  Multi* multi;  // none of one that is waited for
  FetchRequest request;
  Done done;
  std::unique_ptr<CURL, EasyDeleter> curl{curl_easy_init()};
  std::unique_ptr<curl_slist, ListDeleter> headers{};
  FetchAnswer answer{};
  std::string pending{};  // of a stream
  bool is_too_large = false;
  bool is_added = false;
  std::array<char, CURL_ERROR_SIZE> error{};

  State(Multi* of, FetchRequest what, Done callback)
      : multi(of), request(std::move(what)), done(std::move(callback)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (multi != nullptr) multi->streams.erase(this);
    if (is_added) curl_multi_remove_handle(multi->curl, curl.get());
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* into) {
    auto& self = *static_cast<State*>(into);
    if (self.request.on_data) {
      self.pending.append(data, size);
      self.multi->streams.insert(&self);
      return size;
    }
    // As unpacked: what is small on its way may not be.
    if (self.answer.body.size() + size > self.request.max_bytes) {
      self.is_too_large = true;
      return 0;
    }
    self.answer.body.append(data, size);
    return size;
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* into) {
    auto& answer = static_cast<State*>(into)->answer;
    const std::string_view line(data, size);
    // Of the last answer alone, where one redirects.
    if (line.starts_with("HTTP/")) answer = {};
    const auto take = [&line](std::string_view name, std::string& value) {
      if (line.size() <= max_header && line.size() > name.size() && line[name.size()] == ':' &&
          ::strncasecmp(line.data(), name.data(), name.size()) == 0)
        value = trim(line.substr(name.size() + 1));
    };
    take("etag", answer.etag);
    take("last-modified", answer.modified);
    take("content-type", answer.content_type);
    return size;
  }

  void set_up() {
    auto* easy = curl.get();
    const auto set = [easy](CURLoption option, auto value) {
      curl_easy_setopt(easy, option, value);
    };
    const auto set_text = [&](CURLoption option, const std::string& value) {
      if (!value.empty()) set(option, value.c_str());
    };
    const char* protocols = request.allow_plaintext ? "https,http" : "https";
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, protocols);
    set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
    set(CURLOPT_FOLLOWLOCATION, request.body ? 0L : 1L);
    set(CURLOPT_MAXREDIRS, max_redirects);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!request.ca.empty()) {
      set(CURLOPT_CAINFO, request.ca.c_str());
      set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    }
    set_text(CURLOPT_SSLCERT, request.certificate);
    set_text(CURLOPT_SSLKEY, request.key);
    set_text(CURLOPT_USERPWD, request.user);
    set_text(CURLOPT_UNIX_SOCKET_PATH, request.socket);
    set(CURLOPT_PROXY, request.proxy.c_str());  // empty: none, whatever the environment says
    set(CURLOPT_ACCEPT_ENCODING, "");           // all that libcurl unpacks
    set(CURLOPT_USERAGENT, "moat-agent/" MOAT_VERSION);
    set(CURLOPT_NOSIGNAL, 1L);
    // A connection for each request that is under way: a stream that stalls holds back no other.
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    if (request.timeout.count() > 0) {
      set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
      if (!request.may_be_slow) {  // libcurl takes waiting for the first byte as slowness as well
        set(CURLOPT_LOW_SPEED_LIMIT, min_bytes_per_second);
        set(CURLOPT_LOW_SPEED_TIME,
            std::clamp<long>(static_cast<long>(request.timeout.count() / 4000), 1,
                             max_slow_seconds));
      }
    } else {
      set(CURLOPT_TCP_KEEPALIVE, 1L);
      set(CURLOPT_TCP_KEEPIDLE, 10L);
      set(CURLOPT_TCP_KEEPINTVL, 5L);
    }
    set(CURLOPT_ERRORBUFFER, error.data());
    set(CURLOPT_WRITEFUNCTION, &State::on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(CURLOPT_HEADERFUNCTION, &State::on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_PRIVATE, static_cast<void*>(this));
    add_headers();
    if (request.body) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
      set(CURLOPT_POSTFIELDS, request.body->c_str());
    }
  }

  void add_headers() {
    auto lines = request.headers;
    if (!request.etag.empty()) lines.push_back("If-None-Match: " + request.etag);
    if (!request.modified.empty()) lines.push_back("If-Modified-Since: " + request.modified);
    if (request.body) lines.emplace_back("Expect:");  // no waiting for leave to send
    for (const auto& line : lines)
      headers.reset(curl_slist_append(headers.release(), line.c_str()));
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  }

  // What became of it.
  Result<FetchAnswer> result(CURLcode code) {
    if (is_too_large) {
      return std::unexpected(
          Error{fmt::format("{}: more than {} bytes", public_url(request.url), request.max_bytes),
                "if it is meant, raise `max-bytes`"});
    }
    if (code != CURLE_OK) {
      const char* why = error[0] != '\0' ? error.data() : curl_easy_strerror(code);
      return std::unexpected(
          Error{fmt::format("{}: {}", public_url(request.url), why), remedy_for(code)});
    }
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    return std::move(answer);
  }
};

// Not from within libcurl's own callbacks, where no request may be started or given up.
void Fetcher::Multi::deliver() {
  while (!streams.empty()) {
    auto& stream = **streams.begin();
    streams.erase(streams.begin());
    const auto data = std::exchange(stream.pending, {});
    const auto on_data = stream.request.on_data;  // which may end the transfer
    on_data(data);
  }
}

void Fetcher::Multi::finish() {
  int left = 0;
  while (const auto* message = curl_multi_info_read(curl, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    Transfer::State* state = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &state);
    auto result = state->result(message->data.result);
    curl_multi_remove_handle(curl, state->curl.get());
    state->is_added = false;
    const auto done = std::move(state->done);  // which may destroy the transfer
    done(std::move(result));
  }
}

Fetcher::Transfer::Transfer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Fetcher::Transfer::~Transfer() = default;

Fetcher::Fetcher() = default;
Fetcher::~Fetcher() = default;

Result<std::unique_ptr<Fetcher>> Fetcher::open(EventLoop& loop, long max_connections) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return std::unexpected(Error{"libcurl cannot be used", ""});
  auto sockets = SocketSet::open();
  if (!sockets) return std::unexpected(sockets.error());
  std::unique_ptr<Fetcher> fetcher(new Fetcher);
  fetcher->multi_ = std::make_unique<Multi>(std::move(*sockets));
  auto* multi = fetcher->multi_.get();
  auto timer = loop.timer([multi] { multi->act(CURL_SOCKET_TIMEOUT, 0); });
  if (!timer) return std::unexpected(timer.error());
  auto source = loop.on_readable(multi->sockets.fd(), [multi] { multi->on_ready(); });
  if (!source) return std::unexpected(source.error());
  multi->timer = std::move(*timer);
  multi->source = std::move(*source);
  curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, Multi::on_socket);
  curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
  curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, Multi::on_timer);
  curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
  curl_multi_setopt(multi->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections);
  return fetcher;
}

std::unique_ptr<Fetcher::Transfer> Fetcher::start(FetchRequest request, Done done) {
  auto state = std::make_unique<Transfer::State>(multi_.get(), std::move(request), std::move(done));
  state->set_up();
  curl_multi_add_handle(multi_->curl, state->curl.get());
  state->is_added = true;
  return std::unique_ptr<Transfer>(new Transfer(std::move(state)));
}

Result<FetchAnswer> Fetcher::fetch_now(FetchRequest request) {
  Transfer::State state(nullptr, std::move(request), {});
  state.set_up();
  return state.result(curl_easy_perform(state.curl.get()));
}

}  // namespace moat
