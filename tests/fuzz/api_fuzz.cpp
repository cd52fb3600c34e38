// SPDX-License-Identifier: BSD-2-Clause
// respond() on any request: a known code, one JSON document with its schema, and no change but by
// the methods for it. Input: lines of method, path, then NAME=VALUE arguments; a blank line; body.
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "control/api/routes.h"
#include "control/service/json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

namespace moat::testing {
namespace {

// Says back what it is asked, so that any text reaches the answer.
class Echo final : public Service {
 public:
  StatusView status() override {
    StatusView view;
    view.problems = {{said_, said_, said_, said_, {}}};
    return view;
  }
  ServiceResult<std::vector<DatabaseView>> databases() override {
    DatabaseView view;
    view.id = view.path = said_;
    return std::vector{view};
  }
  ServiceResult<std::vector<RuleView>> rules(const std::string& database) override {
    RuleView view;
    view.database = view.label = database;
    return std::vector{view};
  }
  ServiceResult<std::vector<ManagedRangeView>> managed_ranges() override {
    return std::vector{ManagedRangeView{.id = said_}};
  }
  ServiceResult<ManagedRangeView> managed_range(const std::string& id) override {
    if (id.size() % 2 == 1) return refuse(Refusal::Kind::not_found, id);
    return ManagedRangeView{.id = id};
  }
  ServiceResult<std::vector<NetPeeringView>> net_peerings(const std::string& database) override {
    NetPeeringView view;
    view.database = view.label = database;
    return std::vector{view};
  }
  ServiceResult<std::vector<NetworkView>> network(const std::string& database) override {
    NetworkView view;
    view.database = database;
    view.peers.push_back({database, database, said_, said_});
    return std::vector{view};
  }
  ServiceResult<EndpointsView> endpoints(const std::string& database) override {
    EndpointsView view;
    view.endpoints.push_back({.id = database, .database = database});
    return view;
  }
  ServiceResult<std::vector<WhyView>> why(const std::string& source,
                                          const std::string& database) override {
    if (source.size() % 2 == 1) return refuse(Refusal::Kind::invalid, source);
    WhyView view;
    view.source = source;
    view.detail = database;
    return std::vector{view};
  }
  ServiceResult<CountersView> counters(const std::string& database) override {
    CountersView view;
    view.totals.push_back({database, {}, {}});
    return view;
  }
  ServiceResult<DropsView> drops(const std::string& database, std::uint64_t since) override {
    DropsView view;
    view.drops.push_back({.source = database, .interface = database});
    view.next = since;
    return view;
  }
  ServiceResult<std::vector<SessionView>> sessions(const std::string& database) override {
    SessionView view;
    view.peer = database;
    return std::vector{view};
  }
  ServiceResult<ChangeView> add_rule(const NewRule& rule, const Peer& peer) override {
    return change(rule.label + rule.cidr + rule.net_peering + peer.user);
  }
  ServiceResult<ChangeView> set_rule(const RuleName& rule, const RuleChange& wanted,
                                     const Peer&) override {
    return change(rule.id + wanted.label.value_or("stays") + wanted.expires);
  }
  ServiceResult<ChangeView> remove_rule(const RuleName& rule, const Peer&) override {
    return change(rule.database + rule.id + rule.cidr + rule.net_peering);
  }
  ServiceResult<ChangeView> add_net_peering(const NewNetPeering& peering, const Peer&) override {
    return change(peering.database + peering.id + peering.cidr + peering.account + peering.label);
  }
  ServiceResult<ChangeView> remove_net_peering(const NetPeeringName& peering,
                                               const Peer&) override {
    return change(peering.database + peering.id);
  }
  ServiceResult<ChangeView> set_mode(const std::string& database, Mode mode, const Peer&) override {
    return change(database + std::string(to_string(mode)));
  }
  ServiceResult<RefreshView> refresh_range(const std::string& id, const Peer&) override {
    return RefreshView{id, {}};
  }
  ServiceResult<ChangeView> forget(const std::string& database, const Peer&) override {
    return change(database);
  }
  ServiceResult<ChangeView> accept_range(const std::string& id, const AcceptedVersion& version,
                                         const Peer&) override {
    return change(id + version.digest);
  }
  ServiceResult<ChangeView> reload(const Peer&) override { return change("reload"); }
  ServiceResult<ChangeView> reset_clock(const Peer&) override { return change("reset_clock"); }
  ServiceResult<ChangeView> detach(const Peer&) override { return change("detach"); }
  ServiceResult<std::string> version(const std::string& database) override {
    if (database.size() % 2 == 1) return refuse(Refusal::Kind::not_found, database);
    return database;
  }
  ServiceResult<EventsView> events(std::uint64_t since) override {
    Event event;
    event.message = said_;
    return EventsView{{event}, since};
  }
  ServiceResult<std::vector<HistoryView>> history() override {
    HistoryView view;
    view.change = said_;
    return std::vector{view};
  }
  ServiceResult<HistoryView> generation(std::uint64_t generation) override {
    HistoryView view;
    view.generation = generation;
    view.files.push_back({said_, said_});
    return view;
  }
  ServiceResult<ChangeView> roll_back(std::uint64_t generation, const Peer& peer) override {
    return change(std::to_string(generation) + peer.trial);
  }
  ServiceResult<ChangeView> apply(const NewFiles& files, const Peer&) override {
    std::string all = files.settings.value_or("");
    for (const auto& [name, text] : files.databases) all += name + text;
    return change(all);
  }
  ServiceResult<TrialView> begin_trial(std::chrono::milliseconds within, bool,
                                       const Peer& peer) override {
    return TrialView{said_, 1, peer.user, within};
  }
  ServiceResult<TrialView> confirm(const Peer& peer) override {
    return TrialView{said_, 1, peer.user, {}};
  }
  ServiceResult<ChangeView> undo(const Peer&) override { return change("undo"); }

  std::string said_;
  bool has_changed_ = false;

 private:
  static std::unexpected<Refusal> refuse(Refusal::Kind kind, const std::string& text) {
    return std::unexpected(Refusal{kind, text, text, {}});
  }
  ServiceResult<ChangeView> change(const std::string& text) {
    has_changed_ = true;
    if (text.size() % 3 == 1) return refuse(Refusal::Kind::conflict, text);
    ChangeView view;
    view.enforced = text.size() % 2 == 0;
    view.path = view.why_not = text;
    return view;
  }
};

ApiRequest read_request(const std::string& text) {
  ApiRequest request;
  std::istringstream lines(text);
  std::getline(lines, request.method);
  std::getline(lines, request.path);
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    const auto equals = line.find('=');
    const std::string name = line.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : line.substr(equals + 1);
    if (!request.arguments.emplace(name, value).second) request.twice = name;
  }
  request.body.assign(std::istreambuf_iterator<char>(lines), {});
  request.peer = [] { return Peer{1000, 1000, 1, "somebody"}; };
  return request;
}

void run(const std::string& text) {
  const ApiRequest request = read_request(text);
  Echo service;
  service.said_ = request.path;
  const ApiResponse response = respond(service, request);

  static const std::set<unsigned> codes = {200, 202, 400, 403, 404, 405, 409, 412, 413, 503};
  require(codes.contains(response.code), "a known code", std::to_string(response.code));
  require(!service.has_changed_ || request.method == "POST" || request.method == "DELETE" ||
              request.method == "PATCH",
          "only POST, PATCH and DELETE change something", request.method);
  require(!service.has_changed_ || request.twice.empty(), "no change by a doubtful request");
  if (!response.type.starts_with("application/json")) return;
  const auto document = parse_json(response.body);
  require(document.has_value(), "an answer is one JSON text", response.body);
  require(document->is_object() && document->contains("schema"), "with its schema", response.body);
  // /healthz answers with 503, too.
  require(document->contains("error") || document->contains("healthy") || response.code < 400,
          "an error says so", response.body);
  require(!document->contains("error") || response.code >= 400, "no error without its code",
          response.body);
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view bytes) { run(std::string(bytes)); }
