// SPDX-License-Identifier: BSD-2-Clause
#include "control/api/routes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "control/api/metrics.h"
#include "control/service/json.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

unsigned code_of(Refusal::Kind kind) {
  switch (kind) {
    case Refusal::Kind::invalid:
      return 400;
    case Refusal::Kind::not_found:
      return 404;
    case Refusal::Kind::conflict:
      return 409;
    case Refusal::Kind::forbidden:
      return 403;
    case Refusal::Kind::changed:
      return 412;
    case Refusal::Kind::unavailable:
      return 503;
  }
  return 500;
}

ApiResponse refuse(const Refusal& refusal) { return refuse(code_of(refusal.kind), refusal); }

ApiResponse invalid(std::string message, std::string remedy) {
  return refuse({Refusal::Kind::invalid, std::move(message), std::move(remedy), {}});
}

ApiResponse ok(const Json& document) { return {200, dump(document)}; }

template <typename T>
ApiResponse list(std::string_view key, const ServiceResult<std::vector<T>>& answer) {
  if (!answer) return refuse(answer.error());
  return ok(list_document(key, *answer));
}

template <typename T>
ApiResponse object(const ServiceResult<T>& answer) {
  if (!answer) return refuse(answer.error());
  return ok(document(encode(*answer)));
}

// A request that fits its route: `id` is the rest of the path where the route's ends with a slash.
struct Call {
  Service& service;
  const ApiRequest& request;
  std::string id;

  // Empty where it was not given.
  [[nodiscard]] std::string argument(const std::string& name) const {
    const auto found = request.arguments.find(name);
    return found == request.arguments.end() ? "" : found->second;
  }

  [[nodiscard]] Peer peer() const {
    auto peer = request.peer();
    peer.trial = argument("trial");
    peer.versions = versions;
    peer.is_dry_run = !argument("dry-run").empty();
    peer.basis = argument("basis");
    return peer;
  }

  std::vector<std::string> versions = {};  // of If-Match
};

ApiResponse changed(const ServiceResult<ChangeView>& answer) {
  if (!answer) return refuse(answer.error());
  const bool is_done = answer->enforced || answer->is_detached || answer->preview;
  return {is_done ? 200U : 202U, dump(document(encode(*answer)))};
}

// With the version that If-Match takes.
ApiResponse with_version(const Call& call, const std::string& database, ApiResponse response) {
  if (response.code >= 300) return response;
  if (const auto version = call.service.version(database))
    response.etag = fmt::format("\"{}\"", *version);
  return response;
}

ApiResponse get_status(const Call& call) { return ok(document(encode(call.service.status()))); }

// Whether all is well, for what takes a host out of service or wakes somebody up.
ApiResponse get_health(const Call& call) {
  const auto status = call.service.status();
  Json problems = Json::array();
  for (const auto& problem : status.problems) problems.push_back(encode(problem));
  auto response = ok(document({{"healthy", status.problems.empty()},
                               {"headline", status.headline},
                               {"problems", std::move(problems)}}));
  if (!status.problems.empty()) response.code = 503;
  return response;
}

ApiResponse get_databases(const Call& call) {
  return with_version(call, "", list("databases", call.service.databases()));
}

ApiResponse get_rules(const Call& call) {
  const auto database = call.argument("database");
  return with_version(call, database, list("rules", call.service.rules(database)));
}

ApiResponse get_managed_ranges(const Call& call) {
  return list("managed_ranges", call.service.managed_ranges());
}

// The CIDRs of a list as elements of a JSON array, a piece at a time, and then `end`.
std::function<std::string()> pieces_of(std::shared_ptr<const Prefixes> cidrs, std::string end) {
  constexpr std::size_t max_cidrs = 2'000;
  return [cidrs = std::move(cidrs), end = std::move(end), at = std::size_t{0}]() mutable {
    const auto stop = std::min(at + max_cidrs, cidrs->size());
    std::string piece;
    for (; at < stop; ++at)
      piece += fmt::format("{}\"{}\"", at == 0 ? "" : ",", format_prefix((*cidrs)[at]));
    if (at == cidrs->size()) piece += std::exchange(end, "");
    return piece;
  };
}

ApiResponse get_managed_range(const Call& call) {
  const auto range = call.service.managed_range(call.id);
  if (!range) return refuse(range.error());
  auto response = ok(document(encode(*range)));
  // A quote within a string has a backslash before it: this is the member.
  constexpr std::string_view empty = "\"cidrs\": []";
  const auto at = response.body.find(empty);
  if (at == std::string::npos || !range->list || range->list->empty()) return response;
  const auto inside = at + empty.size() - 1;
  response.rest = pieces_of(range->list, response.body.substr(inside));
  response.body.resize(inside);
  return response;
}

ApiResponse get_net_peerings(const Call& call) {
  return list("net_peerings", call.service.net_peerings(call.argument("database")));
}

ApiResponse get_network(const Call& call) {
  return list("databases", call.service.network(call.argument("database")));
}

ApiResponse get_endpoints(const Call& call) {
  return object(call.service.endpoints(call.argument("database")));
}

ApiResponse get_why(const Call& call) {
  const auto source = call.argument("source");
  if (source.empty()) return invalid("no source is given", "ask /v1/why?source=192.0.2.1");
  return list("answers", call.service.why(source, call.argument("database")));
}

ApiResponse get_counters(const Call& call) {
  return object(call.service.counters(call.argument("database")));
}

std::optional<std::uint64_t> read_number(const std::string& text) {
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

ApiResponse get_sessions(const Call& call) {
  return list("sessions", call.service.sessions(call.argument("database")));
}

// Of the argument `since`; nothing: it is no number.
std::optional<std::uint64_t> read_since(const Call& call) {
  const auto text = call.argument("since");
  return text.empty() ? 0 : read_number(text);
}

ApiResponse no_since(const Call& call) {
  return invalid(fmt::format("since is no number: \"{}\"", call.argument("since")),
                 "give the \"next\" of an earlier answer");
}

ApiResponse get_drops(const Call& call) {
  const auto since = read_since(call);
  if (!since) return no_since(call);
  return object(call.service.drops(call.argument("database"), *since));
}

// Waits for the first where there is none yet, if it is asked to.
ApiResponse get_events(const Call& call) {
  constexpr std::chrono::milliseconds max_wait{60'000};
  const auto since = read_since(call);
  if (!since) return no_since(call);
  const auto text = call.argument("wait");
  const auto wait = text.empty() ? std::chrono::milliseconds(0)
                                 : parse_duration(text).value_or(std::chrono::milliseconds(-1));
  if (wait.count() < 0 || wait > max_wait)
    return invalid(fmt::format("wait is no time to wait: \"{}\"", text), "1ms to 60s, as in 30s");
  const auto events = call.service.events(*since);
  auto response = object(events);
  if (events && events->events.empty() && wait.count() > 0 && !call.request.has_waited)
    response.wait = wait;
  return response;
}

ApiResponse no_generation(const std::string& text) {
  return invalid(fmt::format("not the number of a generation: \"{}\"", text),
                 "moat history lists them");
}

ApiResponse get_history(const Call& call) { return list("generations", call.service.history()); }

ApiResponse get_generation(const Call& call) {
  const auto generation = read_number(call.id);
  if (!generation) return no_generation(call.id);
  return object(call.service.generation(*generation));
}

ApiResponse get_metrics(const Call& call) {
  if (call.request.accept.contains("application/openmetrics-text"))
    return {.body = open_metrics_text(call.service), .type = std::string(open_metrics_type)};
  return {.body = metrics_text(call.service), .type = "text/plain; version=0.0.4; charset=utf-8"};
}

ApiResponse post_rule(const Call& call) {
  const auto rule = read_request<NewRule>(call.request.body);
  if (!rule) return refuse(rule.error());
  return with_version(call, rule->database, changed(call.service.add_rule(*rule, call.peer())));
}

// How `call` names a rule, if it does.
std::optional<RuleName> rule_name(const Call& call) {
  RuleName name{call.argument("database"), call.argument("id"), call.argument("cidr"),
                call.argument("managed_range"), call.argument("net_peering")};
  if (name.id.empty() && name.cidr.empty() && name.managed_range.empty() &&
      name.net_peering.empty()) {
    return std::nullopt;
  }
  return name;
}

ApiResponse no_rule_named(const Call& call) {
  return invalid("no rule is named",
                 fmt::format("send {} /v1/rules?database=DATABASE&id=RULE", call.request.method));
}

ApiResponse patch_rule(const Call& call) {
  const auto rule = rule_name(call);
  if (!rule) return no_rule_named(call);
  const auto change = read_request<RuleChange>(call.request.body);
  if (!change) return refuse(change.error());
  return with_version(call, rule->database,
                      changed(call.service.set_rule(*rule, *change, call.peer())));
}

ApiResponse delete_rule(const Call& call) {
  const auto rule = rule_name(call);
  if (!rule) return no_rule_named(call);
  return with_version(call, rule->database, changed(call.service.remove_rule(*rule, call.peer())));
}

ApiResponse post_net_peering(const Call& call) {
  const auto peering = read_request<NewNetPeering>(call.request.body);
  if (!peering) return refuse(peering.error());
  return changed(call.service.add_net_peering(*peering, call.peer()));
}

ApiResponse delete_net_peering(const Call& call) {
  const NetPeeringName name{call.argument("database"), call.argument("id")};
  if (name.id.empty())
    return invalid("no net peering is named",
                   "send DELETE /v1/net-peerings?database=DATABASE&id=PEERING");
  return changed(call.service.remove_net_peering(name, call.peer()));
}

ApiResponse patch_database(const Call& call) {
  const auto change = read_request<ModeChange>(call.request.body);
  if (!change) return refuse(change.error());
  const auto mode = parse_mode(change->mode);
  if (!mode) {
    return invalid(fmt::format("{}: \"{}\"", mode.error().message, change->mode),
                   mode.error().remedy);
  }
  return with_version(call, call.id, changed(call.service.set_mode(call.id, *mode, call.peer())));
}

ApiResponse patch_managed_range(const Call& call) {
  const auto version = read_request<AcceptedVersion>(call.request.body);
  if (!version) return refuse(version.error());
  return changed(call.service.accept_range(call.id, *version, call.peer()));
}

ApiResponse post_refresh(const Call& call) {
  return object(call.service.refresh_range(call.id, call.peer()));
}

ApiResponse delete_database(const Call& call) {
  return changed(call.service.forget(call.id, call.peer()));
}

ApiResponse post_rollback(const Call& call) {
  const auto generation = read_number(call.id);
  if (!generation) return no_generation(call.id);
  return changed(call.service.roll_back(*generation, call.peer()));
}

ApiResponse post_apply(const Call& call) {
  const auto files = read_new_files(call.request.body);
  if (!files) return refuse(files.error());
  return changed(call.service.apply(*files, call.peer()));
}

ApiResponse post_trial(const Call& call) {
  const auto within = parse_duration(call.argument("within"));
  if (!within) {
    return invalid(fmt::format("{}: \"{}\"", within.error().message, call.argument("within")),
                   within.error().remedy);
  }
  const auto whose = call.argument("edits");
  if (!whose.empty() && whose != "own" && whose != "all")
    return invalid(fmt::format("edits is \"{}\"", whose), "own or all");
  return object(call.service.begin_trial(*within, whose == "all", call.peer()));
}

ApiResponse post_confirm(const Call& call) { return object(call.service.confirm(call.peer())); }

ApiResponse delete_trial(const Call& call) { return changed(call.service.undo(call.peer())); }

ApiResponse post_reload(const Call& call) { return changed(call.service.reload(call.peer())); }

ApiResponse post_clock_reset(const Call& call) {
  return changed(call.service.reset_clock(call.peer()));
}

ApiResponse post_detach(const Call& call) { return changed(call.service.detach(call.peer())); }

struct Route {
  std::string_view method;
  std::string_view path;  // with a slash at its end: an id follows
  ApiResponse (*handle)(const Call&);
  std::vector<std::string_view> arguments = {};
  bool has_body = false;
  bool takes_version = false;  // If-Match

  // The id in `wanted`, "" for a route without one, nothing if the path is not this route's.
  [[nodiscard]] std::optional<std::string> match(std::string_view wanted) const {
    if (!path.ends_with('/')) return wanted == path ? std::optional<std::string>("") : std::nullopt;
    if (!wanted.starts_with(path) || wanted.size() == path.size()) return std::nullopt;
    return std::string(wanted.substr(path.size()));
  }
};

const auto& routes() {
  // Of whatever is an edit.
  static const std::vector<std::string_view> edit{"trial", "dry-run", "basis"};
  static const std::vector<std::string_view> edit_of_rule{
      "database", "id", "cidr", "managed_range", "net_peering", "trial", "dry-run", "basis"};
  static const std::vector<std::string_view> edit_of_peering{"database", "id", "trial", "dry-run",
                                                             "basis"};
  static const std::array all{
      Route{"GET", "/v1/status", get_status},
      Route{"GET", "/v1/databases", get_databases},
      Route{"GET", "/v1/rules", get_rules, {"database"}},
      Route{"GET", "/v1/managed-ranges", get_managed_ranges},
      Route{"GET", "/v1/managed-ranges/", get_managed_range},
      Route{"GET", "/v1/net-peerings", get_net_peerings, {"database"}},
      Route{"GET", "/v1/network-configuration", get_network, {"database"}},
      Route{"GET", "/v1/endpoints", get_endpoints, {"database"}},
      Route{"GET", "/v1/why", get_why, {"source", "database"}},
      Route{"GET", "/v1/counters", get_counters, {"database"}},
      Route{"GET", "/v1/drops", get_drops, {"database", "since"}},
      Route{"GET", "/v1/sessions", get_sessions, {"database"}},
      Route{"GET", "/v1/events", get_events, {"since", "wait"}},
      Route{"GET", "/metrics", get_metrics},
      Route{"GET", "/healthz", get_health},
      Route{"GET", "/v1/history", get_history},
      Route{"GET", "/v1/history/", get_generation},
      Route{"POST", "/v1/rules", post_rule, edit, true, true},
      Route{"POST", "/v1/net-peerings", post_net_peering, edit, true, true},
      Route{"POST", "/v1/reload", post_reload},
      Route{"POST", "/v1/refresh/", post_refresh},
      Route{"POST", "/v1/rollback/", post_rollback, edit, false, true},
      Route{"POST", "/v1/apply", post_apply, edit, true, true},
      Route{"POST", "/v1/trial", post_trial, {"within", "edits"}},
      Route{"POST", "/v1/confirm", post_confirm, {"trial"}},
      Route{"POST", "/v1/clock/reset", post_clock_reset},
      Route{"POST", "/v1/detach", post_detach},
      Route{"PATCH", "/v1/rules", patch_rule, edit_of_rule, true, true},
      Route{"PATCH", "/v1/managed-ranges/", patch_managed_range, edit, true},
      Route{"PATCH", "/v1/databases/", patch_database, edit, true, true},
      Route{"DELETE", "/v1/rules", delete_rule, edit_of_rule, false, true},
      Route{"DELETE", "/v1/net-peerings", delete_net_peering, edit_of_peering, false, true},
      Route{"DELETE", "/v1/databases/", delete_database, edit, false, true},
      Route{"DELETE", "/v1/trial", delete_trial},
  };
  return all;
}

// What is wrong with the request on this route, if anything.
std::optional<ApiResponse> find_misfit(const Route& route, const ApiRequest& request) {
  if (!request.twice.empty()) {
    return invalid(fmt::format("the argument \"{}\" is there twice", request.twice),
                   "give it once");
  }
  for (const auto& [name, value] : request.arguments) {
    if (std::ranges::find(route.arguments, name) != route.arguments.end()) continue;
    const auto hint = nearest(name, route.arguments);
    return invalid(fmt::format("unknown argument \"{}\"", name),
                   !hint.empty() ? fmt::format("did you mean \"{}\"?", hint)
                   : route.arguments.empty()
                       ? "leave it out: this path takes none"
                       : fmt::format("known are {}", fmt::join(route.arguments, ", ")));
  }
  for (const auto& [name, value] : request.arguments) {
    if (value.empty())
      return invalid(fmt::format("the argument \"{}\" is empty", name),
                     "leave it out, or name one");
    if (name == "dry-run" && value != "1")
      return invalid(fmt::format("dry-run is \"{}\"", value), "dry-run=1, or leave it out");
  }
  if (!route.has_body && !request.body.empty()) {
    return invalid("the request has a body, and this path takes none", "leave it out");
  }
  // A condition must not be passed over where something would change.
  if (!request.if_match.empty() && !route.takes_version && route.method != "GET") {
    return invalid(fmt::format("{} {} takes no If-Match", route.method, route.path),
                   "leave it out: it edits no rules");
  }
  return std::nullopt;
}

// What stands between the quotes of If-Match; "*": whatever the rules are. Nothing: it is none.
std::optional<std::vector<std::string>> read_versions(std::string_view text) {
  std::vector<std::string> versions;
  if (text.empty() || text == "*") return versions;
  for (;;) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t,"), text.size()));
    if (text.empty()) return versions.empty() ? std::nullopt : std::optional(std::move(versions));
    const auto end = text.starts_with('"') ? text.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return std::nullopt;
    versions.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
  }
}

ApiResponse handle(Service& service, const Route& route, const ApiRequest& request,
                   std::string id) {
  if (auto misfit = find_misfit(route, request)) return std::move(*misfit);
  Call call{service, request, std::move(id)};
  if (route.takes_version) {
    auto versions = read_versions(request.if_match);
    if (!versions) {
      return invalid(fmt::format("If-Match is no ETag: {}", request.if_match),
                     "send the ETag of an earlier answer, with its quotes");
    }
    call.versions = std::move(*versions);
  }
  return route.handle(call);
}

}  // namespace

std::vector<RouteView> list_routes() {
  std::vector<RouteView> views;
  for (const auto& route : routes())
    views.push_back(
        {route.method, route.path, route.arguments, route.has_body, route.takes_version});
  return views;
}

ApiResponse refuse(unsigned code, const Refusal& refusal) {
  return {code, dump(document({{"error", encode(refusal)}}))};
}

ApiResponse respond(Service& service, const ApiRequest& request) {
  // HEAD is GET without its body, which the transport leaves out.
  std::string_view method = request.method;
  if (method == "HEAD") method = "GET";
  std::vector<std::string_view> allowed;
  for (const auto& route : routes()) {
    auto id = route.match(request.path);
    if (!id) continue;
    if (route.method == method) return handle(service, route, request, std::move(*id));
    allowed.push_back(route.method);
    if (route.method == "GET") allowed.emplace_back("HEAD");
  }
  if (allowed.empty()) {
    return refuse(404, {Refusal::Kind::not_found,
                        fmt::format("no such path: {}", request.path),
                        "moatd(8) lists the paths",
                        {}});
  }
  const auto methods = fmt::format("{}", fmt::join(allowed, ", "));
  auto response = refuse(405, {Refusal::Kind::invalid,
                               fmt::format("{} does not take {}", request.path, request.method),
                               fmt::format("it takes {}", methods),
                               {}});
  response.allow = methods;
  return response;
}

}  // namespace moat
