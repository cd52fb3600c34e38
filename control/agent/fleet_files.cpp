// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include "control/agent/agents_files.h"
#include "control/agent/first_error.h"
#include "control/agent/fleet_keys.h"
#include "control/files/agent_files.h"
#include "control/files/cidrs_file.h"
#include "control/files/reading.h"
#include "control/text/input_limits.h"
#include "control/text/text_lines.h"
#include "control/text/utf8.h"
#include "dataplane/error.h"

namespace moat {
namespace {

Result<Prefixes> read_range(const std::string& id, const std::string& text) {
  FaultLog log("ranges/" + id);
  auto cidrs = read_cidrs_file(text, limits::prefixes, log);
  if (log.errors() > 0) return std::unexpected(first_error(log.take()));
  if (cidrs.empty()) return std::unexpected(Error{fmt::format("ranges/{} has no CIDR", id), ""});
  return cidrs;
}

// "# name: NAME" of a list's first lines.
std::string name_of(const std::string& text) {
  constexpr std::string_view key = "# name: ";
  const auto line = std::string_view(text).substr(0, text.find('\n'));
  return line.starts_with(key) ? std::string(line.substr(key.size())) : std::string();
}

// Takes away a file of the agent's. True if it was there.
Result<bool> remove_own(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return false;
  const auto file = read_regular_file(AT_FDCWD, path, path, limits::cidrs_file_bytes);
  if (!file) return std::unexpected(Error{format_fault(file.error()), ""});
  if (!is_agents(file->bytes))
    return std::unexpected(Error{path + " is not the agent's, and is left alone", ""});
  if (::unlink(path.c_str()) != 0) return failed("remove " + path);
  return true;
}

std::set<std::string> named_ranges(const FleetContent& content,
                                   const std::vector<std::string>& databases) {
  std::set<std::string> ids;
  for (const auto& id : databases) {
    for (const auto& named : read_database(id, content.databases.at(id), WallTime{}).named_ranges)
      ids.insert(named.id);
  }
  return ids;
}

class Writer {
 public:
  explicit Writer(const RuleFolders& folders) : folders_(folders) {}

  void database(const std::string& id, const std::string& text) {
    const auto path = database_path(id);
    if (text == tombstone) return note(remove_own(path));
    ++result_.databases;
    if (auto good = check_fleet_database(id, text); !good) return hold_back(good.error());
    note(write_marked(path, text, WriteMode::write));
  }

  void range(const std::string& id, const std::string& text) {
    if (text == tombstone) {
      note(remove_own(range_path(folders_.ranges, id)));
      return note(remove_own(list_path(folders_.ranges, id)));
    }
    const auto cidrs = read_range(id, text);
    if (!cidrs) return hold_back(cidrs.error());
    const auto written = write_range(folders_.ranges, id, name_of(text), *cidrs, WriteMode::write);
    if (!written) return hold_back(written.error());
    result_.is_changed |= written->is_changed;
  }

  // Files of databases that are this host's no more, or that no key tells of.
  void note_others(const FleetContent& content, const std::vector<std::string>& selected) {
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator(folders_.databases, error)) {
      const auto path = file.path().string();
      const auto id = file.path().stem().string();
      if (!is_rule_file_name(file.path().filename().string())) continue;
      if (std::ranges::binary_search(selected, id)) continue;
      const auto bytes = read_regular_file(AT_FDCWD, path, path, limits::file_bytes);
      if (!bytes || !is_agents(bytes->bytes)) continue;
      result_.held_back.push_back(
          content.databases.contains(id)
              ? fmt::format("database {} is not one of this host's any more; {} stays", id, path)
              : fmt::format("the fleet has no database {}; {} stays", id, path));
    }
  }

  FleetResult take() { return std::move(result_); }

 private:
  [[nodiscard]] std::string database_path(const std::string& id) const {
    return fmt::format("{}/{}.yaml", folders_.databases, id);
  }
  void hold_back(const Error& error) { result_.held_back.push_back(format_error(error)); }
  void note(const Result<bool>& changed) {
    if (!changed) return hold_back(changed.error());
    result_.is_changed |= *changed;
  }

  const RuleFolders& folders_;
  FleetResult result_;
};

}  // namespace

Result<> check_fleet_database(const std::string& id, const std::string& text) {
  const auto reading = read_database("databases/" + id, text, WallTime{});
  if (!reading.value) return std::unexpected(first_error(reading.faults));
  if (reading.value->id != id) {
    return std::unexpected(
        Error{fmt::format("databases/{} is about database {}", id, reading.value->id), ""});
  }
  return {};
}

Result<> check_fleet_range(const std::string& id, const std::string& text) {
  const auto cidrs = read_range(id, text);
  if (!cidrs) return std::unexpected(cidrs.error());
  return {};
}

std::vector<std::string> selected_databases(const FleetContent& content,
                                            const FleetSettings& settings) {
  const bool takes_all = settings.databases.empty() && settings.labels.empty();
  std::vector<std::string> selected;  // ascending
  for (const auto& [id, text] : content.databases) {
    bool is_selected =
        takes_all || std::ranges::find(settings.databases, id) != settings.databases.end();
    if (const auto labels = content.labels.find(id); labels != content.labels.end()) {
      const TextLines lines(labels->second);
      for (std::size_t i = 0; i < lines.count(); ++i) {
        is_selected |= std::ranges::find(settings.labels, lines.line(i)) != settings.labels.end();
      }
    }
    if (is_selected) selected.push_back(id);
  }
  return selected;
}

std::vector<std::string> first_of(std::vector<std::string> sentences) {
  constexpr std::size_t max_sentences = 50;
  constexpr std::size_t max_bytes = 1000;
  const auto left_out = sentences.size() - std::min(sentences.size(), max_sentences);
  sentences.resize(sentences.size() - left_out);
  for (auto& sentence : sentences) sentence = shorten(sentence, max_bytes);
  if (left_out > 0) sentences.push_back(fmt::format("and {} more", left_out));
  return sentences;
}

void put_back(const FleetValues& before, FleetContent& content) {
  for (const auto& [path, value] : before) {
    const auto key = parse_fleet_key(path);
    if (!key) continue;
    if (key->kind == FleetKind::labels) content.labels[key->id] = value.value_or("");
    auto* values = key->kind == FleetKind::database ? &content.databases
                   : key->kind == FleetKind::range  ? &content.ranges
                                                    : nullptr;
    if (values != nullptr) (*values)[key->id] = value.value_or(std::string(tombstone));
  }
}

FleetResult write_all(const FleetContent& content, const RuleFolders& folders) {
  Writer writer(folders);
  for (const auto& [id, text] : content.ranges) writer.range(id, text);
  for (const auto& [id, text] : content.databases) writer.database(id, text);
  return writer.take();
}

FleetContent own_part(FleetContent content, const std::vector<std::string>& databases,
                      const RuleFolders& folders) {
  std::erase_if(content.databases, [&](const auto& one) {
    return std::ranges::find(databases, one.first) == databases.end();
  });
  std::erase_if(content.ranges, [&](const auto& one) {
    return ::access(range_path(folders.ranges, one.first).c_str(), F_OK) != 0;
  });
  return content;
}

FleetResult write_fleet(const FleetContent& content, const FleetSettings& settings,
                        const RuleFolders& folders) {
  Writer writer(folders);
  const auto selected = selected_databases(content, settings);
  // What rules name, before the rules.
  for (const auto& id : named_ranges(content, selected)) {
    const auto range = content.ranges.find(id);
    if (range != content.ranges.end() && range->second != tombstone)
      writer.range(id, range->second);
  }
  for (const auto& id : selected) writer.database(id, content.databases.at(id));
  for (const auto& [id, text] : content.ranges) {
    if (text == tombstone) writer.range(id, text);
  }
  writer.note_others(content, selected);
  return writer.take();
}

}  // namespace moat
