// SPDX-License-Identifier: BSD-2-Clause
// What each request means, apart from how it came: from method, path, arguments and body to the
// service and back to a status code and a text.
#pragma once

#include <functional>
#include <map>
#include <string>

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
};

struct ApiResponse {
  unsigned code = 200;
  std::string body;
  // What follows the body, piece by piece, as the client takes it; an empty piece is the end. So
  // that a long answer costs the daemon neither memory nor, at one go, time.
  std::function<std::string()> rest = {};
  std::string type = "application/json";
  std::string allow = {};  // methods that the path knows; with code 405
};

[[nodiscard]] ApiResponse respond(Service& service, const ApiRequest& request);

// A refusal that comes from the transport, not from the service.
[[nodiscard]] ApiResponse refuse(unsigned code, const Refusal& refusal);

}  // namespace moat
