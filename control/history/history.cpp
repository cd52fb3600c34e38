// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/history.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <limits>
#include <ranges>
#include <set>

#include "control/history/event_members.h"
#include "control/history/json_file.h"
#include "control/os/atomic_file.h"
#include "control/text/fnv1a.h"
#include "dataplane/own_folder.h"

namespace moat {

template <>
inline constexpr auto view::members_of<History::Text> =
    [](auto& v, auto& member) { member("path", v.path)("text", v.name); };
template <>
inline constexpr auto view::members_of<History::Record> =
    [](auto& v, auto& member) { note_members(v, member)("files", v.texts); };

namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".json";

std::string name_of(const std::string& bytes) {
  Fnv1a hash;
  hash.add(bytes);
  return fmt::format("{:016x}-{}", hash.value(), bytes.size());
}

std::size_t size_of(const std::string& name) {
  std::size_t size = 0;
  const auto dash = name.find('-');
  if (dash != std::string::npos)
    std::from_chars(name.data() + dash + 1, name.data() + name.size(), size);
  return size;
}

HistoryEntry without_bytes(const History::Record& record) {
  HistoryEntry entry{record, {}};
  for (const auto& text : record.texts) entry.files.push_back({text.path, nullptr});
  return entry;
}

}  // namespace

History::History(std::string folder, HistoryLimits limits)
    : folder_(std::move(folder)), limits_(limits) {
  load();
}

void History::load() {
  std::error_code error;
  if (!fs::exists(folder_, error)) return;
  if (const auto own = check_own_folder(folder_); !own) {
    problems_.push_back("the history cannot be used: " + format_error(own.error()));
    return;
  }
  for (const auto& file : fs::directory_iterator(folder_, error)) {
    if (file.path().extension() != suffix) continue;
    auto record = read_json_file<Record>(file.path());
    if (record && *record && path_of((*record)->generation) == file.path()) {
      records_.emplace((*record)->generation, std::move(**record));
    } else {
      problems_.push_back(fmt::format("a generation of the history cannot be used: {}",
                                      record
                                          ? file.path().string() + " is not named as it should be"
                                          : record.error().message));
    }
  }
}

std::string History::path_of(std::uint64_t generation) const {
  return fmt::format("{}/{:020}{}", folder_, generation, suffix);
}

Result<> History::add(const HistoryEntry& entry) {
  // In a stranger's folder nothing is made.
  if (auto own = check_own_folder(fs::path(folder_).parent_path()); !own) return own;
  if (auto made = make_own_folder(texts(), folder_mode); !made) return made;
  Record record{entry, {}};
  for (const auto& file : entry.files) {
    auto name = keep(*file.bytes);
    if (!name) return std::unexpected(name.error());
    record.texts.push_back({file.path, std::move(*name)});
  }
  if (auto written = write_json_file(path_of(entry.generation), record, Durability::later);
      !written)
    return written;
  records_.insert_or_assign(entry.generation, std::move(record));
  prune();
  return {};
}

// Written unless it is there already, and says that.
Result<std::string> History::keep(const std::string& bytes) const {
  auto name = name_of(bytes);
  const auto path = fmt::format("{}/{}", texts(), name);
  std::error_code error;
  if (fs::exists(path, error)) {
    const auto there = read_whole_file(path);
    if (there && *there && **there == bytes) return name;
  }
  if (auto written = write_file(path, bytes, 0640, Durability::later); !written)
    return std::unexpected(written.error());
  return name;
}

void History::prune() {
  const auto bytes = [this] {
    std::set<std::string> names;
    for (const auto& [generation, record] : records_)
      for (const auto& text : record.texts) names.insert(text.name);
    std::size_t sum = 0;
    for (const auto& name : names) sum += size_of(name);
    return sum;
  };
  bool has_removed = false;
  while (records_.size() > 1 && (records_.size() > limits_.entries || bytes() > limits_.bytes)) {
    ::unlink(path_of(records_.begin()->first).c_str());
    records_.erase(records_.begin());
    has_removed = true;
  }
  if (has_removed) remove_unused_texts();
}

void History::remove_unused_texts() const {
  std::set<std::string> used;
  for (const auto& [generation, record] : records_)
    for (const auto& text : record.texts) used.insert(text.name);
  std::error_code error;
  for (const auto& file : fs::directory_iterator(texts(), error))
    if (!used.contains(file.path().filename())) fs::remove(file.path(), error);
}

std::vector<HistoryEntry> History::list() const {
  std::vector<HistoryEntry> entries;
  for (const auto& [generation, record] : std::views::reverse(records_))
    entries.push_back(without_bytes(record));
  return entries;
}

Result<HistoryEntry> History::complete(const Record& record) const {
  auto entry = without_bytes(record);
  for (std::size_t i = 0; i < record.texts.size(); ++i) {
    const auto& [path, name] = record.texts[i];
    auto bytes = read_whole_file(fmt::format("{}/{}", texts(), name));
    if (!bytes) return std::unexpected(bytes.error());
    if (!*bytes || name_of(**bytes) != name) {
      return std::unexpected(
          Error{fmt::format("what {} said in generation {} is {}", path, record.generation,
                            *bytes ? "damaged" : "gone from the history"),
                ""});
    }
    entry.files[i].bytes = std::make_shared<const std::string>(std::move(**bytes));
  }
  return entry;
}

Result<std::optional<HistoryEntry>> History::find(std::uint64_t generation) const {
  const auto found = records_.find(generation);
  if (found == records_.end()) return std::nullopt;
  return complete(found->second);
}

Result<std::optional<HistoryEntry>> History::latest() const {
  if (records_.empty()) return std::nullopt;
  return complete(records_.rbegin()->second);
}

}  // namespace moat
