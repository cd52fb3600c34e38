// SPDX-License-Identifier: BSD-2-Clause
// Over a real unix socket: with libcurl, as clients do it, and with raw bytes, as attackers do.
#include "control/api/server.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "control/api/routes.h"
#include "control/service/json.h"
#include "tests/support/fake_service.h"
#include "tests/support/patience.h"
#include "tests/support/stranger.h"

namespace moat {
namespace {

struct Response {
  long code = 0;
  std::string body;
  std::string headers;

  [[nodiscard]] Json json() const { return parse_json(body).value_or(Json()); }
  [[nodiscard]] std::string error() const { return json()["error"]["message"]; }
  [[nodiscard]] std::string remedy() const { return json()["error"]["remedy"]; }
};

std::size_t append(const char* data, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(data, size * count);
  return size * count;
}

struct Request {
  std::string path;
  std::string method = "GET";
  std::string body = {};
  bool chunked = false;
  std::string header = {};
};

Response send(const std::string& socket, const Request& request) {
  Response response;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                 curl_easy_cleanup);
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, request.chunked ? "Transfer-Encoding: chunked" : "X-Test: 1"),
      curl_slist_free_all);
  curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_URL, ("http://moatd" + request.path).c_str());
  curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
  if (!request.header.empty())
    headers.reset(curl_slist_append(headers.release(), request.header.c_str()));
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, 20L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &response.body);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERFUNCTION, append);
  curl_easy_setopt(curl.get(), CURLOPT_HEADERDATA, &response.headers);
  if (request.method == "POST" || !request.body.empty()) {
    if (!request.chunked) {
      curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
    }
    curl_easy_setopt(curl.get(), CURLOPT_COPYPOSTFIELDS, request.body.c_str());
  }
  EXPECT_EQ(curl_easy_perform(curl.get()), CURLE_OK);
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &response.code);
  return response;
}

// A client that writes what it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    const auto address = socket_address(path);
    is_connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  [[nodiscard]] bool is_connected() const { return is_connected_; }
  [[nodiscard]] int fd() const { return fd_; }
  void write(std::string_view bytes) const {
    ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void finish() const { shutdown(fd_, SHUT_WR); }

  // All until the other side ends it; nothing if it has not within 10 s.
  [[nodiscard]] std::optional<std::string> read_all() const {
    std::string bytes;
    for (;;) {
      pollfd waiting{fd_, POLLIN, 0};
      if (poll(&waiting, 1, 10'000 * patience()) != 1) return std::nullopt;
      std::array<char, 4096> buffer;
      const auto size = recv(fd_, buffer.data(), buffer.size(), 0);
      if (size <= 0) return bytes;
      bytes.append(buffer.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  int fd_;
  bool is_connected_ = false;
};

// "GET /v1/history/": an id may stand behind a slash.
using RouteNames = std::set<std::string>;

RouteNames known_routes() {
  RouteNames names;
  for (const auto& route : list_routes())
    names.insert(fmt::format("{} {}", route.method, route.path));
  return names;
}

// Without the name that stands for an id: {id}, ID, GENERATION.
std::string without_id(std::string path) {
  const auto slash = path.rfind('/') + 1;
  if (slash < path.size() && (path[slash] == '{' || std::isupper(path[slash]) != 0))
    path.resize(slash);
  return path;
}

TEST(Routes, AreInTheManual) {
  std::ifstream file("control/daemon/moatd.8.scd");
  RouteNames documented;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string bar, method, path;
    words >> bar >> method >> path;
    if (bar == "|" && path.starts_with('/'))
      documented.insert(method + " " + without_id(path.substr(0, path.find('?'))));
  }
  EXPECT_EQ(documented, known_routes());
}

// By its indentation: a path two blanks in, its methods four.
TEST(Routes, AreInTheOpenApiFile) {
  std::ifstream file("control/api/openapi.yaml");
  RouteNames documented;
  std::string path;
  for (std::string line; std::getline(file, line) && line != "components:";) {
    const auto key = line.substr(0, line.find(':'));
    if (key.starts_with("  /")) path = without_id(key.substr(2));
    for (const auto* method : {"get", "post", "patch", "delete"}) {
      if (key != std::string("    ") + method) continue;
      auto name = std::string(method) + " " + path;
      std::ranges::transform(name.begin(), name.begin() + name.find(' '), name.begin(), ::toupper);
      documented.insert(std::move(name));
    }
  }
  EXPECT_EQ(documented, known_routes());
}

class ApiTest : public testing::Test {
 protected:
  Response get(const std::string& path) { return send(host_.path(), {path}); }
  Response send_rule(const std::string& body) {
    return send(host_.path(), {"/v1/rules", "POST", body});
  }

  FakeService service_;
  ApiHost host_{service_};
};

TEST_F(ApiTest, AnswersEachPathFromTheService) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"/v1/status", "status", "generation"},
      {"/v1/databases", "databases", "databases"},
      {"/v1/rules", "rules()", "rules"},
      {"/v1/rules?database=orders", "rules(orders)", "rules"},
      {"/v1/managed-ranges", "managed_ranges", "managed_ranges"},
      {"/v1/managed-ranges/mr-a", "managed_range(mr-a)", "digest"},
      {"/v1/net-peerings?database=orders", "net_peerings(orders)", "net_peerings"},
      {"/v1/network-configuration", "network()", "databases"},
      {"/v1/endpoints?database=orders", "endpoints(orders)", "unguarded_ports"},
      {"/v1/why?source=192.0.2.1&database=orders", "why(192.0.2.1,orders)", "answers"},
      {"/v1/counters?database=orders", "counters(orders)", "totals"},
      {"/v1/sessions?database=orders", "sessions(orders)", "sessions"},
      {"/v1/events", "events(0)", "events"},
      {"/v1/events?since=7", "events(7)", "next"},
      {"/healthz", "status", "problems"},
      {"/v1/drops", "drops(,0)", "drops"},
      {"/v1/drops?database=orders&since=18446744073709551615", "drops(orders,18446744073709551615)",
       "next"}};
  for (const auto& [path, call, key] : cases) {
    service_.calls.clear();
    const auto response = get(path);
    EXPECT_EQ(response.code, path == "/healthz" ? 503 : 200) << path;
    EXPECT_EQ(service_.calls, std::vector{call});
    EXPECT_EQ(response.json()["schema"], "moat/1") << path;
    EXPECT_TRUE(response.json().contains(key)) << path;
  }
}

TEST_F(ApiTest, RefusesASinceThatIsNoNumber) {
  for (const auto* since : {"-1", "1x", "18446744073709551616", "0x1", "1.5"}) {
    const auto response = get(std::string("/v1/drops?since=") + since);
    EXPECT_EQ(response.code, 400) << since;
    EXPECT_TRUE(service_.calls.empty());
  }
}

TEST_F(ApiTest, AddsARuleForItsPeer) {
  service_.change.enforced = true;
  service_.change.generation = 18;
  const auto response = send_rule(
      R"({"database": "orders", "cidr": "192.0.2.1/32", "label": "Büro", "expires": "12h"})");
  EXPECT_EQ(response.code, 200);
  EXPECT_EQ(response.json()["generation"], 18);
  EXPECT_EQ(service_.new_rule.database, "orders");
  EXPECT_EQ(service_.new_rule.cidr, "192.0.2.1/32");
  EXPECT_EQ(service_.new_rule.label, "Büro");
  EXPECT_EQ(service_.new_rule.expires, "12h");
  EXPECT_EQ(service_.peer.uid, getuid());
  EXPECT_EQ(service_.peer.gid, getgid());
  EXPECT_EQ(service_.peer.pid, getpid());
  EXPECT_FALSE(service_.peer.user.empty());
}

TEST_F(ApiTest, ChangesWhatItIsToldTo) {
  service_.change.enforced = true;
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"DELETE", "/v1/rules?database=orders&id=r-1", "remove_rule(orders,r-1)"},
      {"DELETE", "/v1/rules?id=r-1", "remove_rule(,r-1)"},
      {"DELETE", "/v1/rules?cidr=192.0.2.1%2F32", "remove_rule(,,192.0.2.1/32)"},
      {"DELETE", "/v1/rules?managed_range=mr-a", "remove_rule(,,mr-a)"},
      {"DELETE", "/v1/rules?net_peering=pcx-1", "remove_rule(,,pcx-1)"},
      {"DELETE", "/v1/net-peerings?database=orders&id=pcx-1", "remove_net_peering(orders,pcx-1)"},
      {"DELETE", "/v1/databases/orders", "forget(orders)"},
      {"POST", "/v1/reload", "reload"},
      {"POST", "/v1/clock/reset", "reset_clock"},
      {"POST", "/v1/detach", "detach"}};
  for (const auto& [method, path, call] : cases) {
    service_.calls.clear();
    EXPECT_EQ(send(host_.path(), {path, method}).code, 200) << path;
    EXPECT_EQ(service_.calls, std::vector{call});
  }
}

TEST_F(ApiTest, RegistersANetPeering) {
  service_.change.enforced = true;
  const auto post = [this](const std::string& body) {
    return send(host_.path(), {"/v1/net-peerings", "POST", body});
  };
  EXPECT_EQ(post(R"({"database": "orders", "id": "pcx-1", "cidr": "10.42.0.0/16",
                     "account": "42", "label": "Staging"})")
                .code,
            200);
  EXPECT_EQ(service_.calls, std::vector<std::string>{"add_net_peering"});
  const auto& peering = service_.new_peering;
  EXPECT_EQ(
      (std::vector{peering.database, peering.id, peering.cidr, peering.account, peering.label}),
      (std::vector<std::string>{"orders", "pcx-1", "10.42.0.0/16", "42", "Staging"}));
  service_.calls.clear();
  EXPECT_EQ(post(R"({"cdir": "10.42.0.0/16"})").remedy(), "did you mean \"cidr\"?");
  EXPECT_EQ(send(host_.path(), {"/v1/net-peerings", "DELETE"}).error(), "no net peering is named");
  EXPECT_TRUE(service_.calls.empty());
  EXPECT_EQ(send_rule(R"({"net_peering": "pcx-1"})").code, 200);
  EXPECT_EQ(service_.new_rule.net_peering, "pcx-1");
}

TEST_F(ApiTest, TellsWhatAChangeWouldDoAndTakesTheBasisOfThatAnswer) {
  service_.preview.basis = "b1";
  service_.preview.opens = {"all"};
  const auto told = send(host_.path(), {"/v1/rules?id=r-1&dry-run=1", "DELETE"});
  EXPECT_EQ(told.code, 200);
  EXPECT_EQ(told.json()["preview"]["basis"], "b1");
  EXPECT_EQ(told.json()["preview"]["opens"][0], "all");
  EXPECT_EQ(service_.dry_runs, std::vector<std::string>{"remove_rule(,r-1)"});
  EXPECT_TRUE(service_.calls.empty());
  service_.change.enforced = true;
  EXPECT_EQ(send(host_.path(), {"/v1/rules?id=r-1&basis=b1", "DELETE"}).code, 200);
  EXPECT_EQ(service_.peer.basis, "b1");
  EXPECT_EQ(send(host_.path(), {"/v1/rules?id=r-1&dry-run=0", "DELETE"}).code, 400);
  EXPECT_EQ(send(host_.path(), {"/v1/reload?dry-run=1", "POST"}).code, 400) << "no edit";
}

TEST_F(ApiTest, ChangesWhatABodySays) {
  service_.change.enforced = true;
  const auto patch = [this](const std::string& path, const std::string& body) {
    service_.calls.clear();
    return send(host_.path(), {path, "PATCH", body});
  };
  EXPECT_EQ(patch("/v1/rules?database=orders&id=r-1", R"({"expires": "7d", "label": "a"})").code,
            200);
  EXPECT_EQ(service_.calls, std::vector<std::string>{"set_rule(orders,r-1: a,7d)"});
  EXPECT_EQ(patch("/v1/rules?id=r-1", R"({"label": ""})").code, 200);
  EXPECT_EQ(service_.calls, std::vector<std::string>{"set_rule(,r-1: ,)"});
  EXPECT_EQ(patch("/v1/databases/orders", R"({"mode": "monitor"})").code, 200);
  EXPECT_EQ(service_.calls, std::vector<std::string>{"set_mode(orders,monitor)"});
  EXPECT_EQ(patch("/v1/rules", R"({"label": "a"})").error(), "no rule is named");
  EXPECT_EQ(patch("/v1/databases/orders", R"({"mode": "observe"})").error(),
            "no such mode: \"observe\"");
  EXPECT_EQ(patch("/v1/databases/orders", R"({"rules": "none"})").error(), "unknown key \"rules\"");
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(ApiTest, SaysAcceptedForWhatIsNotEnforcedYet) {
  service_.change.why_not = "no memory for a table";
  const auto response = send(host_.path(), {"/v1/reload", "POST"});
  EXPECT_EQ(response.code, 202);
  EXPECT_EQ(response.json()["enforced"], false);
  EXPECT_EQ(response.json()["why_not"], "no memory for a table");
}

TEST_F(ApiTest, GivesEachKindOfRefusalItsCode) {
  using Kind = Refusal::Kind;
  for (const auto& [kind, code, word] : {std::tuple{Kind::invalid, 400, "invalid"},
                                         {Kind::not_found, 404, "not-found"},
                                         {Kind::conflict, 409, "conflict"},
                                         {Kind::forbidden, 403, "forbidden"},
                                         {Kind::changed, 412, "changed"},
                                         {Kind::unavailable, 503, "unavailable"}}) {
    service_.refusal = Refusal{kind, "no", "do", {{Severity::error, {"f", 1, 2}, "m", "v", "r"}}};
    const auto response = send_rule("{}");
    EXPECT_EQ(response.code, code);
    EXPECT_EQ(response.json()["schema"], "moat/1");
    const auto error = response.json()["error"];
    EXPECT_EQ(error["kind"], word);
    EXPECT_EQ(error["message"], "no");
    EXPECT_EQ(error["remedy"], "do");
    EXPECT_EQ(error["faults"][0]["place"]["line"], 1);
  }
}

TEST_F(ApiTest, NamesWhatIsWrongWithARequestAndDoesNotAskTheService) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"cidr": )", "the request is no JSON: parse error at line 1, column 10"},
      {"", "the request is no JSON"},
      {R"(["cidr"])", "the request is array, not an object"},
      {R"({"cidr": 5})", "\"cidr\" is number, not a string"},
      {R"({"cidr": null})", "\"cidr\" is null, not a string"},
      {R"({"lable": "x"})", "unknown key \"lable\""},
      {R"({"cidr": "a", "cidr": "b"})", "the key \"cidr\" is there twice"},
      {"{\"label\": \"\xff\"}", "the request is no JSON"},
      {std::string(30'000, '['), "the request is no JSON"}};
  for (const auto& [body, message] : cases) {
    const auto response = send_rule(body);
    EXPECT_EQ(response.code, 400) << body.substr(0, 40);
    EXPECT_NE(response.error().find(message), std::string::npos) << response.error();
  }
  EXPECT_EQ(send_rule(R"({"lable": "x"})").remedy(), "did you mean \"label\"?");
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(ApiTest, NamesWhatIsWrongWithArguments) {
  EXPECT_EQ(get("/v1/rules?databse=a").error(), "unknown argument \"databse\"");
  EXPECT_EQ(get("/v1/rules?databse=a").remedy(), "did you mean \"database\"?");
  EXPECT_EQ(get("/v1/rules?database=a&database=b").error(),
            "the argument \"database\" is there twice");
  EXPECT_EQ(get("/v1/status?x=1").code, 400);
  EXPECT_EQ(get("/v1/why").error(), "no source is given");
  EXPECT_EQ(send(host_.path(), {"/v1/rules?database=a", "DELETE"}).error(), "no rule is named");
  EXPECT_EQ(send(host_.path(), {"/v1/status", "GET", "{}"}).code, 400);
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(ApiTest, KnowsNoOtherPathsAndMethods) {
  for (const auto* path :
       {"/", "/v1", "/v1/statu", "/v1/status/", "/v1/managed-ranges/", "/v2/x"}) {
    EXPECT_EQ(get(path).code, 404) << path;
  }
  const auto response = send(host_.path(), {"/v1/rules", "PUT"});
  EXPECT_EQ(response.code, 405);
  EXPECT_NE(response.headers.find("Allow: GET, HEAD, POST, PATCH, DELETE"), std::string::npos);
}

TEST_F(ApiTest, DecodesIdsButEndsNoneAtAZeroByte) {
  get("/v1/managed-ranges/a%2Fb%20c");
  get("/v1/managed-ranges/orders%00x");
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"managed_range(a/b c)", "managed_range(orders%00x)"}));
}

TEST_F(ApiTest, RefusesWhatIsTooLargeHoweverItComes) {
  // More than the socket holds: whoever closes before it is read breaks off the sending.
  const auto body = R"({"label": ")" + std::string(4 << 20, 'x') + R"("})";
  for (const bool chunked : {false, true}) {
    const auto response = send(host_.path(), {"/v1/rules", "POST", body, chunked});
    EXPECT_EQ(response.code, 413) << chunked;
    EXPECT_EQ(response.error(),
              fmt::format("the request is larger than {} bytes", ApiLimits{}.body));
  }
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(ApiTest, TakesABodyOfTheFullSize) {
  const auto label = std::string(ApiLimits{}.body - 13, 'x');
  EXPECT_EQ(send_rule(R"({"label": ")" + label + R"("})").code, 202);
  EXPECT_EQ(service_.new_rule.label.size(), label.size());
}

TEST_F(ApiTest, SendsALargeAnswerWhole) {
  ManagedRangeView range;
  range.name = R"("cidrs": [])";
  for (const std::size_t count : {0u, 1u, 2'000u, 2'001u, 200'000u}) {
    range.list = std::make_shared<const Prefixes>(count, parse_prefix("192.0.2.0/24").value());
    service_.range_views = {range};
    const auto json = get("/v1/managed-ranges/mr-a").json();
    EXPECT_EQ(json["name"], range.name);
    ASSERT_EQ(json["cidrs"].size(), count);
    if (count > 0) {
      EXPECT_EQ(json["cidrs"].back(), "192.0.2.0/24");
    }
  }
}

TEST_F(ApiTest, HealthIsWellOrSaysWhyNot) {
  auto& status = service_.status_view;
  status.generation = 18;
  status.databases = 1;
  status.interfaces = {{"eth0", true, AttachMode::native, 7, false, "", ""}};
  auto response = get("/healthz");
  EXPECT_EQ(response.code, 200);
  EXPECT_EQ(response.json()["healthy"], true);
  status.files = {{"o.yaml", "orders", FileState::held_back, {}}};
  response = get("/healthz");
  EXPECT_EQ(response.code, 503);
  EXPECT_EQ(response.json()["healthy"], false);
  EXPECT_EQ(response.json()["problems"][0]["code"], "held-back");
  EXPECT_EQ(response.json()["problems"][0]["remedy"], "moat check o.yaml");
}

TEST_F(ApiTest, HeadIsGetWithoutABody) {
  for (const auto* path : {"/v1/status", "/metrics", "/v1/rules"}) {
    const auto head = send(host_.path(), {path, "HEAD"});
    EXPECT_EQ(head.code, 200) << path;
    EXPECT_EQ(head.body, "") << path;
    EXPECT_NE(head.headers.find("Content-Length: "), std::string::npos) << head.headers;
  }
  EXPECT_EQ(send(host_.path(), {"/v1/reload", "HEAD"}).code, 405);
  EXPECT_EQ(send(host_.path(), {"/healthz", "HEAD"}).code, 503);
}

TEST_F(ApiTest, RulesHaveAVersionThatEditsMayAskFor) {
  service_.change.enforced = true;
  EXPECT_NE(get("/v1/rules?database=orders").headers.find("ETag: \"v1orders\"\r\n"),
            std::string::npos);
  EXPECT_NE(get("/v1/databases").headers.find("ETag: \"v1\"\r\n"), std::string::npos);
  EXPECT_EQ(get("/v1/status").headers.find("ETag"), std::string::npos);
  const auto remove = [this](const std::string& header) {
    service_.peer = {};
    return send(host_.path(), {"/v1/rules?id=r-1", "DELETE", "", false, header});
  };
  const auto response = remove("If-Match: \"v1orders\"");
  EXPECT_EQ(response.code, 200);
  EXPECT_NE(response.headers.find("ETag: \"v1\"\r\n"), std::string::npos);
  EXPECT_EQ(service_.peer.versions, std::vector<std::string>{"v1orders"});
  EXPECT_EQ(remove("If-Match: \"a\", \"b\"").code, 200);
  EXPECT_EQ(service_.peer.versions, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(remove("If-Match: *").code, 200);
  EXPECT_TRUE(service_.peer.versions.empty());
  for (const auto* bad : {"If-Match: v1", "If-Match: \"v1", "If-Match: W/\"v1\"", "If-Match: ,"})
    EXPECT_EQ(remove(bad).code, 400) << bad;
  EXPECT_EQ(send(host_.path(), {"/v1/reload", "POST", "", false, "If-Match: \"v1\""}).error(),
            "POST /v1/reload takes no If-Match");
}

TEST_F(ApiTest, EventsAreWaitedFor) {
  service_.events_known = {{1, {}, "start", "", "", 0, "", "moatd has started"}};
  EXPECT_EQ(get("/v1/events?since=1&wait=20s").json()["events"].size(), 1) << "they are there";
  EXPECT_TRUE(get("/v1/events?since=2&wait=50ms").json()["events"].empty());
  for (const auto* bad : {"wait=61s", "wait=1", "wait=-1s"})
    EXPECT_EQ(get(std::string("/v1/events?") + bad).code, 400) << bad;
  const RawClient waiting(host_.path());
  waiting.write("GET /v1/events?since=2&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto asked = [this] {
    const std::lock_guard lock(service_.events_mutex);
    return std::ranges::count(service_.calls, "events(2)");
  };
  const auto before = asked();
  host_.notify();
  while (asked() == before) std::this_thread::yield();
  {
    const std::lock_guard lock(service_.events_mutex);
    service_.events_known.push_back({2, {}, "mend", "", "", 18, "", "put right"});
  }
  host_.notify();
  const auto answer = waiting.read_all();
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->find("put right"), std::string::npos) << *answer;
  EXPECT_NE(answer->find("\"next\": 3"), std::string::npos) << *answer;
}

TEST(ApiLimitsTest, OfThoseThatWaitTheOldestIsAnswered) {
  FakeService service;
  const ApiHost host(service, {.waiting = 1});
  const RawClient first(host.path());
  const RawClient second(host.path());
  for (const auto* client : {&first, &second})
    client->write("GET /v1/events?since=1&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n");
  std::array<pollfd, 2> fds{{{first.fd(), POLLIN, 0}, {second.fd(), POLLIN, 0}}};
  EXPECT_EQ(poll(fds.data(), fds.size(), 10'000 * patience()), 1) << "one is answered, one waits";
}

TEST_F(ApiTest, MetricsAreOpenMetricsForWhoAcceptsThem) {
  const auto response = send(host_.path(), {"/metrics", "GET", "", false,
                                            "Accept: application/openmetrics-text; version=1.0.0"});
  EXPECT_NE(response.headers.find("Content-Type: application/openmetrics-text; version=1.0.0"),
            std::string::npos)
      << response.headers;
  EXPECT_TRUE(response.body.ends_with("# EOF\n"));
  EXPECT_NE(response.body.find("# TYPE moat_drop_events_lost counter\n"), std::string::npos);
  EXPECT_NE(response.body.find("\nmoat_drop_events_lost_total 0\n"), std::string::npos);
}

TEST_F(ApiTest, TimesToBeEnforcedAreAHistogram) {
  service_.status_view.propagation.add(0.07);
  service_.status_view.propagation.add(500);
  const auto body = get("/metrics").body;
  for (const auto* line : {"moat_propagation_duration_seconds_bucket{le=\"0.05\"} 0\n",
                           "moat_propagation_duration_seconds_bucket{le=\"0.1\"} 1\n",
                           "moat_propagation_duration_seconds_bucket{le=\"+Inf\"} 2\n",
                           "moat_propagation_duration_seconds_count 2\n"}) {
    EXPECT_NE(body.find(line), std::string::npos) << line << body;
  }
}

// The tests' own user is root, or the one that serves: who may do less is tested end to end.
TEST_F(ApiTest, OutlivesAnException) {
  service_.throws = true;
  EXPECT_EQ(get("/v1/status").code, 500);
  EXPECT_EQ(get("/v1/databases").code, 200);
}

TEST_F(ApiTest, HasMetrics) {
  service_.status_view.generation = 18;
  service_.status_view.interfaces = {{"eth0", true, AttachMode::native, 7, false, "", ""}};
  RuleView rule;
  rule.database = "orders";
  rule.id = "r-1";
  rule.type = "cidr";
  rule.hits = {12, 3400};
  service_.counters_view.rules = {rule};
  service_.counters_view.reasons = {{"orders", "no-rule", false, {5, 300}}};
  service_.counters_view.lost_events = 9;
  const auto response = get("/metrics");
  EXPECT_EQ(response.code, 200);
  for (const auto* line :
       {"moat_generation 18\n", "moat_interface_attached{interface=\"eth0\",mode=\"native\"} 1\n",
        "moat_rule_packets_total{database=\"orders\",rule=\"r-1\",type=\"cidr\"} 12\n",
        "moat_rule_bytes_total{database=\"orders\",rule=\"r-1\",type=\"cidr\"} 3400\n",
        "moat_drop_events_lost_total 9\n",
        "moat_verdict_packets_total{owner=\"orders\",reason=\"no-rule\",monitored="}) {
    EXPECT_NE(response.body.find(line), std::string::npos) << line << response.body;
  }
}

TEST_F(ApiTest, MetricsTellWhatStatusANetPeeringHas) {
  service_.peering_views = {
      {.database = "orders", .id = "pcx-1"},
      {.database = "orders", .id = "pcx-2", .state = NetPeeringState::no_rule}};
  const auto body = get("/metrics").body;
  const auto line = [](const char* id, const char* status, int value) {
    return fmt::format(
        "moat_net_peering_status{{database=\"orders\",net_peering=\"{}\",status=\"{}\"}} {}\n", id,
        status, value);
  };
  for (const auto& wanted :
       {line("pcx-1", "active", 1), line("pcx-1", "no-rule", 0), line("pcx-1", "no-route", 0),
        line("pcx-2", "active", 0), line("pcx-2", "no-rule", 1), line("pcx-2", "no-route", 0)})
    EXPECT_NE(body.find(wanted), std::string::npos) << wanted << body;
}

TEST_F(ApiTest, MetricsTellOfAFastPathWhereThereIsOne) {
  EXPECT_EQ(get("/metrics").body.find("fast_path"), std::string::npos);
  service_.status_view.fast_path = {.is_wanted = true,
                                    .is_connected = true,
                                    .generation = 18,
                                    .closed = 4,
                                    .ports = {{.name = "net_af_xdp0",
                                               .has_link = true,
                                               .rx_packets = 70,
                                               .rx_missed = 3,
                                               .tx_full = 2}}};
  const auto body = get("/metrics").body;
  for (const auto* line :
       {"moat_fast_path_connected 1\n", "moat_fast_path_generation 18\n",
        "moat_fast_path_behind 0\n", "moat_fast_path_closed_packets_total 4\n",
        "moat_fast_path_link{port=\"net_af_xdp0\"} 1\n",
        "moat_fast_path_packets_total{port=\"net_af_xdp0\",direction=\"received\"} 70\n",
        "moat_fast_path_lost_packets_total{port=\"net_af_xdp0\",cause=\"rx-missed\"} 3\n",
        "moat_fast_path_lost_packets_total{port=\"net_af_xdp0\",cause=\"tx-full\"} 2\n"}) {
    EXPECT_NE(body.find(line), std::string::npos) << line << body;
  }
}

TEST_F(ApiTest, MetricsCountWhatStatusCounts) {
  auto& status = service_.status_view;
  status.generation = 18;
  status.databases = 1;
  status.ready = true;
  status.interfaces = {{"eth0", true, AttachMode::native, 7, false, "", ""}};
  const auto says = [&](const char* ready, const char* problems) {
    const auto body = get("/metrics").body;
    EXPECT_NE(body.find(std::string("moat_ready ") + ready + "\n"), std::string::npos) << body;
    EXPECT_NE(body.find(std::string("moat_problems ") + problems + "\n"), std::string::npos)
        << body;
    EXPECT_NE(body.find("# HELP moat_ready Whether status says ready and names no problem (see "
                        "moat_problems)."),
              std::string::npos)
        << "also what is no matter of rules counts, as a port that is no longer guarded";
  };
  says("1", "0");
  status.files = {{"a.yaml", "a", FileState::held_back, {}},
                  {"b.yaml", "b", FileState::vanished, {}},
                  {"c.yaml", "", FileState::not_guarded, {}}};
  says("0", "3");
  status.interfaces.push_back({"eth9", false, AttachMode::none, 0, false, "", ""});
  status.backstop.wanted = true;
  status.problems = {make_problem(code::unpinned, "", "no bpf filesystem"),
                     make_problem(code::state_not_saved, "", "disk full")};
  status.outside_backstop = {{5432, "/a"}};
  says("0", "8");
  status = {};
  says("0", "2");
}

TEST(ApiLimitsTest, OutlivesMalformedHttp) {
  FakeService service;
  const ApiHost host(service, {.lifetime = std::chrono::milliseconds(500)});
  using namespace std::string_literals;
  const std::string post = "POST /v1/rules HTTP/1.1\r\nHost: x\r\n";
  for (const auto& bytes :
       {"\0\0\0\0\n\n"s, "GET\r\n\r\n"s, "GET / HTTP/9.9\r\n\r\n"s, "\r\n\r\n\r\n"s,
        post + "Content-Length: -1\r\n\r\n", post + "Content-Length: 99999999999999999999\r\n\r\n",
        post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n" + std::string(100'000, 'b') + ": c\r\n\r\n"}) {
    const RawClient client(host.path());
    client.write(bytes);
    client.finish();
    EXPECT_TRUE(client.read_all()) << bytes.substr(0, 40);
  }
  EXPECT_EQ(send(host.path(), {"/v1/status"}).code, 200);
  EXPECT_EQ(service.calls, std::vector<std::string>{"status"});
}

TEST(ApiLimitsTest, EndsConnectionsThatTakeTooLong) {
  FakeService service;
  const ApiHost host(service, {.lifetime = std::chrono::milliseconds(300)});
  const RawClient silent(host.path());
  const RawClient slow(host.path());
  slow.write("POST /v1/rules HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{");
  EXPECT_TRUE(silent.read_all());
  EXPECT_TRUE(slow.read_all());
  EXPECT_EQ(send(host.path(), {"/v1/status"}).code, 200);
  EXPECT_EQ(service.calls, std::vector<std::string>{"status"});
}

// As many descriptors as this process may have, up to `wanted`.
std::size_t raise_descriptors(std::size_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

TEST(ApiLimitsTest, ServesBesideTenThousandIdleConnections) {
  constexpr std::size_t clients = 10'000;
  const auto room = raise_descriptors(clients + 1000);
  const auto count = std::min<std::size_t>(clients, room - 700);
  FakeService service;
  const ApiHost host(service);
  std::vector<std::unique_ptr<RawClient>> idle;
  for (std::size_t i = 0; i < count; ++i) {
    idle.push_back(std::make_unique<RawClient>(host.path()));
    ASSERT_TRUE(idle.back()->is_connected()) << i;
  }
  const auto start = std::chrono::steady_clock::now();
  const RawClient late(host.path());
  late.write("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto answer = late.read_all();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->starts_with("HTTP/1.1 200 OK\r\n")) << *answer;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5 * patience()));
  const auto turned_away = idle.front()->read_all();
  ASSERT_TRUE(turned_away);
  EXPECT_TRUE(turned_away->starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << *turned_away;
  EXPECT_NE(turned_away->find("too many connections"), std::string::npos);
}

// With socket-readers everybody may connect, to be refused.
TEST(ApiAsRoot, ConnectionsOfStrangersEndThoseOfStrangersAlone) {
  FakeService service;
  const ApiHost host(service, {.connections = 4});
  ASSERT_EQ(chmod(host.path().c_str(), 0666), 0);
  ASSERT_EQ(chmod(std::filesystem::path(host.path()).parent_path().c_str(), 0755), 0);
  const RawClient early(host.path());
  early.write("GET /v1/status HTTP/1.1\r\n");
  ASSERT_TRUE(as_stranger([&] {
    std::vector<std::unique_ptr<RawClient>> many;
    for (int i = 0; i < 20; ++i) many.push_back(std::make_unique<RawClient>(host.path()));
    return many.front()->read_all().value_or("").starts_with("HTTP/1.1 503 ");
  }));
  early.write("Host: x\r\n\r\n");
  const auto answer = early.read_all();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->starts_with("HTTP/1.1 200 OK\r\n")) << *answer;
}

}  // namespace
}  // namespace moat
