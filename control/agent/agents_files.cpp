// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/agents_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/agent/first_error.h"
#include "control/files/agent_files.h"
#include "control/files/cidrs_file.h"
#include "control/files/reading.h"
#include "control/files/rule_files.h"
#include "control/os/atomic_file.h"
#include "control/policy/cidrs_digest.h"
#include "control/policy/json_text.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

constexpr mode_t for_moatd_to_read = 0644;
constexpr std::string_view mark_text = "written by moat-agent; what is edited here is lost\n";

std::string range_text(const std::string& id, const std::string& name) {
  auto text = fmt::format("- id: {}\n", id);
  // JSON's quotes and escapes are YAML's as well.
  if (!name.empty()) text += fmt::format("  name: {}\n", json_text(nlohmann::json(name)));
  return text + fmt::format("  cidrs-file: {}.txt\n", id);
}

std::string list_text(const Prefixes& cidrs) {
  std::string text;
  for (const auto& cidr : cidrs) text += format_prefix(cidr) + "\n";
  return text;
}

Error would_be_refused(const Faults& faults) {
  return {"moatd would refuse it: " + first_error(faults).message, ""};
}

// What is there of the agent's; nothing: no file. The error: it is not the agent's.
Result<std::optional<std::string>> read_own(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 && errno == ENOENT) return std::nullopt;
  auto file = read_regular_file(AT_FDCWD, path, path, limits::cidrs_file_bytes);
  if (!file) return std::unexpected(Error{format_fault(file.error()), ""});
  if (!is_agents(file->bytes)) {
    return std::unexpected(Error{path + " is not the agent's, and is left alone",
                                 "take it away, or choose another id in agent.yaml"});
  }
  return std::move(file->bytes);
}

Prefixes cidrs_of(const std::string& path, std::string_view bytes) {
  FaultLog log(path);
  auto cidrs = read_cidrs_file(bytes, limits::prefixes, log);
  return log.errors() == 0 ? cidrs : Prefixes{};
}

// How many of `a` are not in `b`; both are sorted.
std::size_t count_missing(const Prefixes& a, const Prefixes& b) {
  return static_cast<std::size_t>(std::ranges::count_if(
      a, [&b](const Prefix& prefix) { return !std::ranges::binary_search(b, prefix); }));
}

}  // namespace

std::string marked(std::string_view bytes) {
  return fmt::format("{}{}{}", agent_mark, mark_text, bytes);
}

std::string range_path(const std::string& folder, const std::string& id) {
  return fmt::format("{}/{}.yaml", folder, id);
}

std::string list_path(const std::string& folder, const std::string& id) {
  return fmt::format("{}/{}.txt", folder, id);
}

Prefixes written_cidrs(const std::string& folder, const std::string& id) {
  const auto list = read_own(list_path(folder, id));
  const auto range = read_own(range_path(folder, id));
  if (!list || !*list || !range || !*range) return {};
  return cidrs_of(list_path(folder, id), **list);
}

std::string written_digest(const std::string& folder, const std::string& id) {
  const auto cidrs = written_cidrs(folder, id);
  return cidrs.empty() ? std::string() : cidrs_digest(cidrs);
}

Result<bool> write_marked(const std::string& path, std::string_view bytes, WriteMode mode) {
  const auto before = read_own(path);
  if (!before) return std::unexpected(before.error());
  const auto text = marked(bytes);
  if (*before == text) return false;
  if (mode == WriteMode::try_out) return true;
  if (auto written = write_file(path, text, for_moatd_to_read); !written)
    return std::unexpected(written.error());
  return true;
}

Result<WriteResult> write_range(const std::string& folder, const std::string& id,
                                const std::string& name, const Prefixes& cidrs, WriteMode mode) {
  const auto range = range_text(id, name);
  const auto list = list_text(cidrs);
  const auto path = range_path(folder, id);
  const auto reading = read_managed_ranges(
      path, marked(range),
      [&list](const std::string&, std::size_t) -> std::expected<std::string, std::string> {
        return marked(list);
      });
  if (!reading.value) return std::unexpected(would_be_refused(reading.faults));
  const auto before = read_own(list_path(folder, id));
  if (!before) return std::unexpected(before.error());
  // Looked at first, so that nothing is written where one of the two is somebody else's.
  if (auto own = read_own(path); !own) return std::unexpected(own.error());
  auto old = cidrs_of(list_path(folder, id), before->value_or(""));
  std::ranges::sort(old);
  WriteResult result{false, count_missing(cidrs, old), count_missing(old, cidrs)};
  // The list before what names it.
  const auto list_written = write_marked(list_path(folder, id), list, mode);
  if (!list_written) return std::unexpected(list_written.error());
  const auto range_written = write_marked(path, range, mode);
  if (!range_written) return std::unexpected(range_written.error());
  result.is_changed = *list_written || *range_written;
  return result;
}

}  // namespace moat
