// SPDX-License-Identifier: BSD-2-Clause
// A service that answers from its members and keeps what it was asked, behind a real socket.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "control/api/server.h"
#include "control/service/service.h"
#include "control/service/status_text.h"

namespace moat {

class FakeService : public Service {
 public:
  StatusView status_view;
  std::vector<DatabaseView> database_views;
  std::vector<RuleView> rule_views;
  std::vector<ManagedRangeView> range_views;
  std::vector<NetPeeringView> peering_views;
  std::vector<NetworkView> network_views;
  EndpointsView endpoints_view;
  std::vector<WhyView> why_views;
  CountersView counters_view;
  DropsView drops_view;
  std::vector<SessionView> session_views;
  ChangeView change;
  PreviewView preview;  // of every change
  std::vector<HistoryView> history_views;
  TrialView trial_view;
  std::string rules_version = "v1";
  std::mutex events_mutex;  // of what a test adds while it is served
  std::vector<Event> events_known;
  std::optional<Refusal> refusal;             // the answer to whatever can be refused
  bool refuse_changes = false;                // of rules and files, and nothing else
  std::optional<std::uint64_t> refuse_since;  // the question for drops that is refused
  bool throws = false;

  // "status", "rules(orders)", ...; only to be read when no request is under way.
  std::vector<std::string> calls;
  std::vector<std::string> dry_runs;  // of changes, which are no calls
  Peer peer;
  NewRule new_rule;
  NewNetPeering new_peering;
  NewFiles new_files;

  StatusView status() override {
    if (throws) throw std::runtime_error("out of luck");
    calls.emplace_back("status");
    auto view = status_view;
    add_problems(view);
    return view;
  }
  ServiceResult<std::vector<DatabaseView>> databases() override {
    return answer("databases", database_views);
  }
  ServiceResult<std::vector<RuleView>> rules(const std::string& database) override {
    return answer("rules(" + database + ")", rule_views);
  }
  ServiceResult<std::vector<ManagedRangeView>> managed_ranges() override {
    return answer("managed_ranges", range_views);
  }
  ServiceResult<ManagedRangeView> managed_range(const std::string& id) override {
    return answer("managed_range(" + id + ")",
                  range_views.empty() ? ManagedRangeView{} : range_views.front());
  }
  ServiceResult<std::vector<NetPeeringView>> net_peerings(const std::string& database) override {
    return answer("net_peerings(" + database + ")", peering_views);
  }
  ServiceResult<std::vector<NetworkView>> network(const std::string& database) override {
    return answer("network(" + database + ")", network_views);
  }
  ServiceResult<EndpointsView> endpoints(const std::string& database) override {
    return answer("endpoints(" + database + ")", endpoints_view);
  }
  ServiceResult<std::vector<WhyView>> why(const std::string& source,
                                          const std::string& database) override {
    return answer("why(" + source + "," + database + ")", why_views);
  }
  ServiceResult<CountersView> counters(const std::string& database) override {
    return answer("counters(" + database + ")", counters_view);
  }
  ServiceResult<DropsView> drops(const std::string& database, std::uint64_t since) override {
    if (since == refuse_since) return std::unexpected(Refusal{});
    return answer("drops(" + database + "," + std::to_string(since) + ")", drops_view);
  }
  ServiceResult<std::vector<SessionView>> sessions(const std::string& database) override {
    return answer("sessions(" + database + ")", session_views);
  }
  ServiceResult<ChangeView> add_rule(const NewRule& rule, const Peer& who) override {
    new_rule = rule;
    return change_by(who, "add_rule");
  }
  ServiceResult<ChangeView> set_rule(const RuleName& rule, const RuleChange& wanted,
                                     const Peer& who) override {
    return change_by(who, "set_rule(" + words(rule) + ": " +
                              (wanted.label ? *wanted.label : "stays") + "," + wanted.expires +
                              ")");
  }
  ServiceResult<ChangeView> remove_rule(const RuleName& rule, const Peer& who) override {
    return change_by(who, "remove_rule(" + words(rule) + ")");
  }
  ServiceResult<ChangeView> add_net_peering(const NewNetPeering& peering,
                                            const Peer& who) override {
    new_peering = peering;
    return change_by(who, "add_net_peering");
  }
  ServiceResult<ChangeView> remove_net_peering(const NetPeeringName& peering,
                                               const Peer& who) override {
    return change_by(who, "remove_net_peering(" + peering.database + "," + peering.id + ")");
  }
  ServiceResult<ChangeView> set_mode(const std::string& database, Mode mode,
                                     const Peer& who) override {
    return change_by(who, "set_mode(" + database + "," + std::string(to_string(mode)) + ")");
  }
  ServiceResult<ChangeView> accept_range(const std::string& id, const AcceptedVersion& version,
                                         const Peer& who) override {
    return change_by(who, "accept_range(" + id + "," + version.digest + ")");
  }
  ServiceResult<RefreshView> refresh_range(const std::string& id, const Peer&) override {
    return answer("refresh_range(" + id + ")", RefreshView{id, {}});
  }
  ServiceResult<ChangeView> forget(const std::string& database, const Peer& who) override {
    return change_by(who, "forget(" + database + ")");
  }
  ServiceResult<ChangeView> reload(const Peer& who) override { return change_by(who, "reload"); }
  ServiceResult<ChangeView> reset_clock(const Peer& who) override {
    return change_by(who, "reset_clock");
  }
  ServiceResult<ChangeView> detach(const Peer& who) override { return change_by(who, "detach"); }
  ServiceResult<std::string> version(const std::string& database) override {
    if (refusal) return std::unexpected(*refusal);
    return rules_version + database;
  }
  ServiceResult<EventsView> events(std::uint64_t since) override {
    const std::lock_guard lock(events_mutex);
    calls.push_back("events(" + std::to_string(since) + ")");
    EventsView view{{}, 1};
    for (const auto& event : events_known) {
      if (event.number >= since) view.events.push_back(event);
      view.next = event.number + 1;
    }
    return view;
  }
  ServiceResult<std::vector<HistoryView>> history() override {
    return answer("history", history_views);
  }
  ServiceResult<HistoryView> generation(std::uint64_t generation) override {
    const auto found = std::ranges::find(history_views, generation, &HistoryView::generation);
    return answer("generation(" + std::to_string(generation) + ")",
                  found == history_views.end() ? HistoryView{} : *found);
  }
  ServiceResult<ChangeView> roll_back(std::uint64_t generation, const Peer& who) override {
    return change_by(who, "roll_back(" + std::to_string(generation) + ")");
  }
  ServiceResult<ChangeView> apply(const NewFiles& files, const Peer& who) override {
    if (!who.is_dry_run) new_files = files;
    return change_by(who, "apply");
  }
  ServiceResult<TrialView> begin_trial(std::chrono::milliseconds within, bool is_everybodys,
                                       const Peer& who) override {
    peer = who;
    return answer(
        "begin_trial(" + std::to_string(within.count()) + (is_everybodys ? ",all)" : ",own)"),
        trial_view);
  }
  ServiceResult<TrialView> confirm(const Peer& who) override {
    peer = who;
    return answer("confirm", trial_view);
  }
  ServiceResult<ChangeView> undo(const Peer& who) override { return change_by(who, "undo"); }

 private:
  static std::string words(const RuleName& rule) {
    auto text = rule.database + "," + rule.id;
    if (!rule.cidr.empty()) text += "," + rule.cidr;
    if (!rule.managed_range.empty()) text += "," + rule.managed_range;
    if (!rule.net_peering.empty()) text += "," + rule.net_peering;
    return text;
  }
  template <typename T>
  ServiceResult<T> answer(const std::string& call, const T& view) {
    calls.push_back(call);
    if (refusal) return std::unexpected(*refusal);
    return view;
  }
  ServiceResult<ChangeView> change_by(const Peer& who, const std::string& call) {
    if (who.is_dry_run) {
      dry_runs.push_back(call);
      if (refusal) return std::unexpected(*refusal);
      auto told = change;
      told.preview = preview;
      return told;
    }
    peer = who;
    if (refuse_changes) {
      calls.push_back(call);
      return std::unexpected(Refusal{});
    }
    return answer(call, change);
  }
};

// A folder of this test's own, gone with it.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "moat-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no test folder");
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline sockaddr_un socket_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

// The API of `service` on a socket, served by a thread of its own.
class ApiHost {
 public:
  explicit ApiHost(Service& service, ApiLimits limits = {}) {
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = socket_address(path());
    if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        listen(listener, SOMAXCONN) != 0) {
      throw std::runtime_error("no listener");
    }
    api_ = std::move(Api::start(service, listener, limits).value());
    thread_ = std::thread([this] { serve(); });
  }
  ~ApiHost() {
    const std::uint64_t one = 1;
    if (write(stop_, &one, sizeof(one)) == sizeof(one)) thread_.join();
    api_.reset();
    close(stop_);
    close(news_);
  }
  ApiHost(const ApiHost&) = delete;
  ApiHost& operator=(const ApiHost&) = delete;

  [[nodiscard]] std::string path() const { return (folder_.path() / "socket").string(); }

  // Before the first request.
  void admit(const ApiAccess& access) { api_->admit(access); }
  // From the test's thread: the server's own tells those that wait.
  void notify() const {
    const std::uint64_t one = 1;
    (void)!write(news_, &one, sizeof(one));
  }

 private:
  void serve() {
    for (;;) {
      std::array<pollfd, 3> fds{{{api_->fd(), POLLIN, 0}, {stop_, POLLIN, 0}, {news_, POLLIN, 0}}};
      const auto timeout = api_->timeout();
      poll(fds.data(), fds.size(), timeout ? static_cast<int>(timeout->count()) : -1);
      if (fds[1].revents != 0) return;
      std::uint64_t times = 0;
      if (fds[2].revents != 0 && read(news_, &times, sizeof(times)) > 0) api_->notify();
      api_->run();
    }
  }

  TestFolder folder_;
  int stop_ = eventfd(0, EFD_CLOEXEC);
  int news_ = eventfd(0, EFD_CLOEXEC);
  std::unique_ptr<Api> api_;
  std::thread thread_;
};

}  // namespace moat
