// SPDX-License-Identifier: BSD-2-Clause
// What moat-agent leaves in the rule folders beside rules: the line by which its files are known,
// what it tells of its sources, and where it is asked to look now.
//
//   managed-ranges.d/mr-aws.yaml          begins with the mark, as does each file of the agent's
//   managed-ranges.d/mr-aws.txt           the CIDRs
//   managed-ranges.d/.moat-agent.json     AgentStatus: written by the agent, read by moatd
//   managed-ranges.d/.moat-agent.refresh  time and id a line: written by moatd, read by the agent
//
// The mark keeps people's edits off files that would lose them; it gives nobody a right. The status
// is shown and decides nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy/policy.h"
#include "dataplane/error.h"

namespace moat {

inline constexpr std::string_view agent_mark = "# moat-agent: ";
inline constexpr std::string_view agent_status_name = ".moat-agent.json";
inline constexpr std::string_view agent_refresh_name = ".moat-agent.refresh";

[[nodiscard]] inline bool is_agents(std::string_view bytes) {
  return bytes.starts_with(agent_mark);
}

// What keeps one managed range, and how it fares.
struct AgentSource {
  using Time = std::chrono::system_clock::time_point;

  std::string range;     // the managed range's id
  std::string source;    // "https://...", "dns NAME", "file PATH", "fleet NAME"
  std::string version;   // as the provider tells it; empty: it tells none
  std::string digest;    // of the CIDRs as fetched: see cidrs_digest()
  std::string etag;      // for the next request
  std::string modified;  // Last-Modified, for the next request
  std::string origin;    // hash of what in agent.yaml makes the list another one
  std::optional<Time>
      fetched;  // the provider last said what the list is, or that it has not changed
  std::optional<Time> changed;  // the list last became another
  std::optional<Time> lost;     // networks, for the last time
  std::optional<Time> attempted;
  std::optional<Time> next;    // try
  std::uint64_t max_age = 0;   // s after `fetched`; older is stale
  std::uint64_t failures = 0;  // since `fetched`
  std::uint64_t ipv6 = 0;      // entries passed over
  std::string error;           // of the last try; empty: it went well
  std::string note;            // what else there is to know: "answers were validated by DNSSEC"

  [[nodiscard]] bool is_stale(Time now) const {
    return !fetched || now - *fetched > std::chrono::seconds(max_age);
  }
};

// A push that is to be confirmed, for an agent that does not reach the store when its time is over.
struct AgentTrial {
  std::uint64_t push = 0;
  std::chrono::system_clock::time_point until;
  bool is_undone = false;
  // What it has changed on this host, as it was before, by id.
  std::map<std::string, std::string> databases;
  std::map<std::string, std::string> ranges;
};

// A fleet that the agent follows.
struct AgentFleet {
  using Time = std::chrono::system_clock::time_point;

  std::string name;
  std::string store;                   // "etcd https://..."
  std::string cluster;                 // etcd's cluster id
  std::int64_t revision = 0;           // of the last change that was taken
  std::uint64_t epoch = 0;             // of the store: see fleet_mirror.h
  std::uint64_t push = 0;              // whose files are written
  std::string waiting;                 // why a later one is not; empty: there is none
  std::optional<AgentTrial> trial;     // of that push
  std::optional<Time> listed;          // the store last said all that there is
  std::uint64_t max_age = 0;           // s after `listed`; older is stale
  std::string error;                   // of the last try; empty: it went well
  std::vector<std::string> held_back;  // a sentence for each key that was not taken

  [[nodiscard]] bool is_stale(Time now) const {
    return !listed || now - *listed > std::chrono::seconds(max_age);
  }
};

struct AgentStatus {
  std::vector<AgentSource> sources;
  std::optional<AgentFleet> fleet;

  [[nodiscard]] const AgentSource* find(std::string_view range) const;
};

// In `folder`, that of the managed ranges. Nothing: no agent has written there.
[[nodiscard]] Result<std::optional<AgentStatus>> read_agent_status(const std::string& folder);
[[nodiscard]] Result<> write_agent_status(const std::string& folder, const AgentStatus& status);

// Somebody wants this managed range to be looked at anew.
struct RefreshRequest {
  std::string range;
  std::chrono::system_clock::time_point time;
};

// Has the agent look at this managed range's source now, unless it has done so since `now`.
[[nodiscard]] Result<> ask_agent_to_refresh(const std::string& folder, const std::string& range,
                                            std::chrono::system_clock::time_point now);
// The latest for each managed range; what has been answered is among them. They are moatd's file,
// and stay.
[[nodiscard]] std::vector<RefreshRequest> read_refresh_requests(const std::string& folder);

}  // namespace moat
