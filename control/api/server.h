// SPDX-License-Identifier: BSD-2-Clause
// The service as HTTP and JSON on a unix socket, for one thread's event loop.
//
//   GET    /v1/status  /v1/databases  /v1/rules?database=  /v1/managed-ranges[/ID]
//          /v1/why?source=&database=  /v1/counters?database=  /v1/drops?database=&since=
//          /metrics (Prometheus text)
//   POST   /v1/rules (a NewRule as JSON)  /v1/reload  /v1/detach
//   DELETE /v1/rules?database=&id=  /v1/databases/ID
//
// Answers: 200 done, 202 accepted but not enforced yet; refusals 400 invalid, 403 forbidden, 404
// not found, 405, 409 conflict, 413 too large, 503 unavailable, each with {schema, error: {kind,
// message, remedy, faults}}.
//
// What a client can cost the daemon is bounded: the size of a request, how long a connection lives,
// and how many there are. One too many ends the oldest that waits for its request, with 503: so
// idle connections, however many, keep nobody out.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include "control/service/service.h"
#include "dataplane/error.h"

namespace moat {

struct ApiLimits {
  std::size_t body = std::size_t{1} << 20;  // bytes
  std::size_t connections = 128;
  // From the connect to the request, and again from the answer to its being read.
  std::chrono::milliseconds lifetime{30'000};
};

class Api {
 public:
  // Takes over `listener`, a bound and listening unix socket, which is closed with this. `service`
  // must outlive it, and must not call run() from within a request.
  [[nodiscard]] static Result<std::unique_ptr<Api>> start(Service& service, int listener,
                                                          ApiLimits limits = {});
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
  // Open connections. None: every answer has gone out.
  [[nodiscard]] std::size_t connections() const;

 private:
  class Server;
  explicit Api(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace moat
