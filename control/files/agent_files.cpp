// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/agent_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "control/files/rule_files.h"
#include "control/os/atomic_file.h"
#include "control/os/file_io.h"
#include "control/policy/json_codec.h"
#include "control/text/text_lines.h"
#include "dataplane/fd.h"

namespace moat {

template <>
inline constexpr auto view::members_of<AgentSource> = [](auto& v, auto& member) {
  member("range", v.range)("source", v.source)("version", v.version)("digest", v.digest)(
      "etag", v.etag)("modified", v.modified)("origin", v.origin)("fetched", v.fetched)(
      "changed", v.changed)("lost", v.lost)("attempted", v.attempted)("next", v.next)(
      "max_age_s", v.max_age)("failures", v.failures)("ipv6", v.ipv6)("error", v.error)("note",
                                                                                        v.note);
};
template <>
inline constexpr auto view::members_of<AgentTrial> = [](auto& v, auto& member) {
  member("push", v.push)("until", v.until)("undone", v.is_undone)("databases", v.databases)(
      "ranges", v.ranges);
};
template <>
inline constexpr auto view::members_of<AgentFleet> = [](auto& v, auto& member) {
  member("name", v.name)("store", v.store)("cluster", v.cluster)("revision", v.revision)(
      "epoch", v.epoch)("push", v.push)("waiting", v.waiting)("trial", v.trial)("listed", v.listed)(
      "max_age_s", v.max_age)("error", v.error)("held_back", v.held_back);
};
template <>
inline constexpr auto view::members_of<AgentStatus> =
    [](auto& v, auto& member) { member("sources", v.sources)("fleet", v.fleet); };

namespace {

constexpr std::size_t max_bytes = std::size_t{4} << 20;
constexpr std::size_t max_requests = 64;
constexpr mode_t for_all_to_read = 0644;

std::string in(const std::string& folder, std::string_view name) {
  return fmt::format("{}/{}", folder, name);
}

// Nothing: there is no such file. Others may write to neither.
Result<std::optional<std::string>> read_beside(const std::string& folder, std::string_view name) {
  const auto path = in(folder, name);
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::nullopt;
  auto file = read_regular_file(AT_FDCWD, path, path, max_bytes);
  if (!file) return std::unexpected(Error{format_fault(file.error()), file.error().remedy});
  return std::move(file->bytes);
}

}  // namespace

const AgentSource* AgentStatus::find(std::string_view range) const {
  const auto found = std::ranges::find(sources, range, &AgentSource::range);
  return found == sources.end() ? nullptr : &*found;
}

Result<std::optional<AgentStatus>> read_agent_status(const std::string& folder) {
  const auto bytes = read_beside(folder, agent_status_name);
  if (!bytes) return std::unexpected(bytes.error());
  if (!*bytes) return std::nullopt;
  const auto path = in(folder, agent_status_name);
  auto status = view::read_text<AgentStatus>(**bytes);
  if (!status)
    return std::unexpected(
        Error{fmt::format("{}: {}", path, status.error()), "restart moat-agent"});
  return std::move(*status);
}

Result<> write_agent_status(const std::string& folder, const AgentStatus& status) {
  const auto text = view::text_of(status, 1) + "\n";
  // What a power cut takes is fetched again.
  if (auto written = write_among_others(in(folder, agent_status_name), text, for_all_to_read);
      !written)
    return std::unexpected(written.error());
  return {};
}

Result<> ask_agent_to_refresh(const std::string& folder, const std::string& range,
                              std::chrono::system_clock::time_point now) {
  auto requests = read_refresh_requests(folder);
  std::erase_if(requests, [&](const RefreshRequest& request) { return request.range == range; });
  requests.push_back({range, now});
  std::string text;
  const auto first = requests.size() > max_requests ? requests.size() - max_requests : 0;
  for (auto i = first; i < requests.size(); ++i)
    text += fmt::format("{} {}\n", format_time_ms(requests[i].time), requests[i].range);
  if (auto written = write_among_others(in(folder, agent_refresh_name), text, for_all_to_read);
      !written)
    return std::unexpected(written.error());
  return {};
}

std::vector<RefreshRequest> read_refresh_requests(const std::string& folder) {
  const auto bytes = read_beside(folder, agent_refresh_name);
  std::vector<RefreshRequest> requests;
  if (!bytes || !*bytes) return requests;
  const TextLines lines(**bytes);
  for (std::size_t i = 0; i < lines.count(); ++i) {
    const auto line = lines.line(i);
    const auto space = line.find(' ');
    const auto time = view::read_time_ms(line.substr(0, space));
    if (time && space != std::string_view::npos)
      requests.push_back({std::string(line.substr(space + 1)), *time});
  }
  return requests;
}

}  // namespace moat
