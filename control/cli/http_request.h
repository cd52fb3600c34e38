// SPDX-License-Identifier: BSD-2-Clause
// One HTTP request over a unix socket, as moatd serves them: a connection has one request, and ends
// with its answer. Sent as HTTP/1.0, so that the answer comes in one piece, however it was made. A
// client for all that HTTP can be (libcurl) brings 15 packages to a host, LDAP and SSH among them.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <string_view>

namespace moat {

struct HttpRequest {
  std::string_view method;
  std::string_view target;  // the path with its arguments, escaped
  std::string_view body;
};

struct HttpAnswer {
  int code = 0;
  std::string body;
};

struct HttpFailure {
  enum class Kind {
    unreachable,  // nobody has the socket, or it is closed to this user: see os_error
    busy,         // who has it has more callers waiting than it takes
    cut_off,      // the connection ended before the answer did
    timed_out,
  };
  Kind kind = Kind::unreachable;
  int os_error = 0;
};

// The answer, if all of it is there within `patience`. `socket` has to fit into a sockaddr_un.
[[nodiscard]] std::expected<HttpAnswer, HttpFailure> send_request(
    const std::string& socket, const HttpRequest& request, std::chrono::milliseconds patience);

}  // namespace moat
