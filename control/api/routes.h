// SPDX-License-Identifier: BSD-2-Clause
// What each request means, apart from how it came: from method, path, arguments and body to the
// service and back to a status code and a text.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/service/service.h"

namespace moat {

struct ApiRequest {
  std::string method;                            // GET, POST, PATCH, DELETE, ...
  std::string path;                              // decoded, without the arguments
  std::map<std::string, std::string> arguments;  // of the query
  std::string twice;                             // an argument given more than once, or empty
  std::string body;
  // Who asks; called only for a change, as finding a user's name may take its time.
  std::function<Peer()> peer;
  std::string if_match = {};  // the header of that name, or empty
  std::string accept = {};
  bool has_waited = false;  // as long as it wished to, for something to happen
};

struct ApiResponse {
  unsigned code = 200;
  std::string body;
  // What follows the body, piece by piece, as the client takes it; an empty piece is the end. So
  // that a long answer costs the daemon neither memory nor, at one go, time.
  std::function<std::string()> rest = {};
  std::string type = "application/json";
  std::string allow = {};  // methods that the path knows; with code 405
  std::string etag = {};   // with its quotes
  // Nothing has happened yet: ask again when something has, or after that time.
  std::optional<std::chrono::milliseconds> wait = {};
};

[[nodiscard]] ApiResponse respond(Service& service, const ApiRequest& request);

// The routes, for what documents them: "GET", "/v1/history/" with a slash where an id follows, and
// the arguments it takes.
struct RouteView {
  std::string_view method;
  std::string_view path;
  std::vector<std::string_view> arguments;
  bool has_body = false;
  bool takes_version = false;  // If-Match
};
[[nodiscard]] std::vector<RouteView> list_routes();

// A refusal that comes from the transport, not from the service.
[[nodiscard]] ApiResponse refuse(unsigned code, const Refusal& refusal);

}  // namespace moat
