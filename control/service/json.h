// SPDX-License-Identifier: BSD-2-Clause
// The model of service.h as JSON, and back: what the API says and the command reads.
//
// Keys are the names of the members in snake_case. Times are RFC 3339 in UTC, with milliseconds
// unless people write them in files; durations are numbers of milliseconds whose key ends in _ms.
// What is not known is null, never left out. Every document is an object that begins with "schema".
//
// Who takes JSON apart, or makes some, includes <nlohmann/json.hpp> as well: it is too large for
// all.
#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/service/service.h"

namespace moat {

using Json = nlohmann::ordered_json;

inline constexpr std::string_view schema = "moat/1";

// For StatusView, DatabaseView, RuleView, ManagedRangeView, NetPeeringView, NetworkView,
// EndpointsView, WhyView, CountersView, DropView, DropsView, SessionView, ChangeView, TrialView,
// HistoryView, Event, EventsView, Problem, Refusal, FileStatus, Fault, NewRule, NewNetPeering,
// NewFiles, RuleChange and ModeChange, and nothing else.
template <typename T>
[[nodiscard]] Json encode(const T& view);

// Members that are absent keep their defaults and unknown ones are passed over, as the other side
// may be of another version; the error names the member whose type is wrong.
template <typename T>
[[nodiscard]] std::expected<T, std::string> decode(const Json& json);

// {"schema": ..., MEMBERS OF `body`}
[[nodiscard]] Json document(const Json& body);

// {"schema": ..., KEY: [...]}
template <typename T>
[[nodiscard]] Json list_document(std::string_view key, const std::vector<T>& views);

template <typename T>
[[nodiscard]] std::expected<std::vector<T>, std::string> decode_list(const Json& json,
                                                                     const std::string& key);

// As text, indented for people who ask with curl. Bytes that are no UTF-8 (of a path, say) become
// U+FFFD.
[[nodiscard]] std::string dump(const Json& json);

// One whole JSON text; the error says where it stops being one. Refuses an object that has one key
// twice.
[[nodiscard]] std::expected<Json, std::string> parse_json(std::string_view text);

// A NewRule, NewNetPeering, RuleChange or ModeChange that somebody asks for, read strictly: unknown
// keys, wrong types, empty texts and anything but an object are refused by name. What the values
// mean is for the service to judge.
template <typename T>
[[nodiscard]] std::expected<T, Refusal> read_request(std::string_view text);

// Likewise for a host's files.
[[nodiscard]] std::expected<NewFiles, Refusal> read_new_files(std::string_view text);

// The words of the JSON, for people too.
[[nodiscard]] std::string_view word(RuleState state);
[[nodiscard]] std::string_view word(NetPeeringState state);
[[nodiscard]] std::string_view word(EndpointType type);
[[nodiscard]] std::string_view word(AttachMode mode);
[[nodiscard]] std::string_view word(WantedAttach attach);
[[nodiscard]] std::string_view word(Hugepages hugepages);

}  // namespace moat
