// SPDX-License-Identifier: BSD-2-Clause
// agent.yaml: what the agent keeps, and from where; read as strictly as the rule files.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/agent/list_format.h"
#include "control/files/reading.h"

namespace moat {

struct SignatureSettings {
  std::string allowed_signers;  // file, as of ssh-keygen(1)
  std::string identity;         // one that is in it
  std::string url;              // of the signature; empty: the list's and ".sig"
};

// A list that is published at a URL.
struct WebList {
  std::string url;    // https
  std::string ca;     // file; empty: those of the system
  std::string proxy;  // empty: none, whatever the environment says
  std::optional<SignatureSettings> signature;
};

// A list in a file on this host.
struct LocalList {
  std::string path;
};

// The addresses of a name.
struct DnsName {
  std::string name;
  std::string server;               // "127.0.0.1:5353"; empty: those of resolv.conf
  std::chrono::seconds hold{3600};  // how long an address stays after the last answer with it
};

struct RangeSource {
  std::string id;    // of the managed range
  std::string name;  // the same
  std::variant<WebList, LocalList, DnsName> from;
  ListFormat format = ListFormat::text;
  Selection selection;
  std::chrono::seconds every{3600};
  std::chrono::seconds max_age{7 * 86400};
  std::chrono::seconds timeout{60};               // of one request
  std::size_t max_bytes = std::size_t{32} << 20;  // of the list, unpacked
  Place place;
};

// A fleet that this host belongs to: see fleet_keys.h.
struct FleetSettings {
  std::string name;
  std::string host;                    // what this one is called; empty: its host name
  std::vector<std::string> endpoints;  // of etcd
  std::string url;                     // of a folder with an index, in place of etcd
  std::string ca;
  std::string certificate;
  std::string key;
  std::string user;
  std::string password_file;
  std::vector<std::string> databases;  // ids; empty: those that the labels select
  std::vector<std::string> labels;
  std::optional<SignatureSettings> signature;  // of the index
  std::chrono::seconds reconcile{60};  // the store is asked for all there is, whatever it has told
  std::chrono::seconds max_age{120};
  std::string socket;  // of moatd, for the receipts
};

struct AgentSettings {
  std::string moat_yaml = "moat.yaml";  // relative to agent.yaml
  std::vector<RangeSource> ranges;
  std::optional<FleetSettings> fleet;
};

[[nodiscard]] ReadResult<AgentSettings> read_agent_file(const std::string& file,
                                                        std::string_view bytes);

// "https://...", "file PATH" or "dns NAME", without what may be secret in a URL.
[[nodiscard]] std::string describe_source(const RangeSource& source);

// A hash of what makes the list another one: source, format and selection.
[[nodiscard]] std::string origin_of(const RangeSource& source);

// The URL without user, password and query.
[[nodiscard]] std::string public_url(std::string_view url);

}  // namespace moat
