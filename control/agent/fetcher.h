// SPDX-License-Identifier: BSD-2-Clause
// Requests by https that do not trust the other side: its certificate is verified, redirects lead
// to https alone, and what comes is bounded in size (as unpacked), in time and in slowness. No
// proxy is taken from the environment. libcurl on the event loop; nothing blocks.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/os/event_loop.h"
#include "dataplane/error.h"

namespace moat {

struct FetchRequest {
  std::string url;
  bool allow_plaintext = false;  // http:// as well
  std::string ca;                // file; empty: those of the system
  std::string certificate;       // files, of the client's; empty: none
  std::string key;
  std::string proxy;     // empty: none
  std::string user;      // "NAME:PASSWORD" of an https server; empty: none
  std::string etag;      // for If-None-Match
  std::string modified;  // for If-Modified-Since
  std::vector<std::string> headers;
  std::optional<std::string> body;  // to be posted
  std::string socket;               // a unix socket, by which the server is reached; empty: none
  std::size_t max_bytes = std::size_t{32} << 20;
  std::chrono::milliseconds timeout{60'000};  // 0: none, of a stream
  bool may_be_slow = false;                   // of an answer that a busy server lets wait
  // What comes is handed over as it comes, and not kept; `max_bytes` means nothing then.
  std::function<void(std::string_view)> on_data = {};
};

inline constexpr long http_ok = 200, http_not_modified = 304;

struct FetchAnswer {
  long status = 0;  // of HTTP
  std::string body;
  std::string etag;
  std::string modified;
  std::string content_type;
};

class Fetcher {
 public:
  using Done = std::function<void(Result<FetchAnswer>)>;

  // A request under way; it is given up when this is destroyed, and says nothing then.
  class Transfer {
   public:
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

   private:
    friend class Fetcher;
    struct State;
    explicit Transfer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };

  // `loop` and this must outlive the transfers. Of those beyond `max_connections` (0: any number)
  // each waits for one that has ended.
  [[nodiscard]] static Result<std::unique_ptr<Fetcher>> open(EventLoop& loop,
                                                             long max_connections = 16);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // Any HTTP status is an answer; an error is what kept one from coming. `done` is called once,
  // never from within start(), and may destroy the transfer.
  [[nodiscard]] std::unique_ptr<Transfer> start(FetchRequest request, Done done);

  // The same for who has nothing else to do.
  [[nodiscard]] static Result<FetchAnswer> fetch_now(FetchRequest request);

 private:
  struct Multi;
  Fetcher();
  std::unique_ptr<Multi> multi_;
};

}  // namespace moat
