// SPDX-License-Identifier: BSD-2-Clause
// The service as HTTP and JSON, for one thread's event loop. The routes are in routes.cpp, and told
// by moatd(8) and openapi.yaml.
//
// Answers: 200 done, 202 accepted but not enforced yet; refusals 400 invalid, 403 forbidden, 404
// not found, 405, 409 conflict, 412 changed meanwhile, 413 too large, 503 unavailable, each with
// {schema, error: {kind, message, remedy, faults}}.
//
// Who may do what is told by the peer's credentials, whatever the socket's mode lets in.
//
// What a client can cost the daemon is bounded: the size of a request, how long a connection lives,
// and how many there are. One too many ends the oldest that waits for its request, with 503: so
// idle connections, however many, keep nobody out. Those of users who may not use moatd end first.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "control/service/service.h"
#include "dataplane/error.h"

namespace moat {

struct ApiLimits {
  std::size_t body = std::size_t{1} << 20;  // bytes
  std::size_t connections = 128;
  // From the connect to the request, and again from the answer to its being read.
  std::chrono::milliseconds lifetime{30'000};
  // Of those that wait for something to happen, beside the others; one too many has the oldest
  // answered, with nothing.
  std::size_t waiting = 64;
};

// Who may do what. Root, and the user that moatd runs as, may do everything.
struct ApiAccess {
  std::string operators;               // group that may, too
  std::optional<gid_t> operators_gid;  // nothing: the host has none; then moatd's own group
  std::string readers;                 // group that may ask and not change anything; empty: none
  std::optional<gid_t> readers_gid;
};

// Where everybody may connect, figures alone are told: /metrics and /healthz.
enum class ApiScope { all, figures };

class Api {
 public:
  // Takes over `listener`, a bound and listening socket, which is closed with this: a unix socket,
  // or with ApiScope::figures any. `service` must outlive it, and must not call run() from within a
  // request.
  [[nodiscard]] static Result<std::unique_ptr<Api>> start(Service& service, int listener,
                                                          ApiLimits limits = {},
                                                          ApiScope scope = ApiScope::all);
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  // Readable when there is something to do.
  [[nodiscard]] int fd() const;
  // Does what there is to do without waiting. Call it when fd() is readable or timeout() has
  // passed.
  void run();
  // How long until run() is due though fd() stays silent; nothing: for ever. Ask after each run().
  [[nodiscard]] std::optional<std::chrono::milliseconds> timeout() const;
  void admit(const ApiAccess& access);
  // Something has happened: those that wait for it are answered by the next run(), which is due at
  // once. From within a request, too.
  void notify();
  // Open connections. None: every answer has gone out.
  [[nodiscard]] std::size_t connections() const;

 private:
  class Server;
  explicit Api(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace moat
