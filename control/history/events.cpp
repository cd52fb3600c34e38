// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/events.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <utility>

#include "control/history/event_members.h"
#include "control/history/json_file.h"
#include "control/os/file_io.h"
#include "dataplane/fd.h"
#include "dataplane/own_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

constexpr mode_t file_mode = 0640;

std::string line_of(const Event& event) { return view::text_of(event) + "\n"; }

// Nothing: the line is damaged.
std::optional<Event> read_line(std::string_view line) {
  auto event = view::read_text<Event>(line);
  if (!event || event->number == 0) return std::nullopt;
  return std::move(*event);
}

struct Lines {
  std::vector<Event> events;  // numbers ascend
  std::size_t damaged = 0;
  bool is_cut_off = false;
};

Lines read_lines(std::string_view bytes) {
  Lines lines;
  lines.is_cut_off = !bytes.empty() && !bytes.ends_with('\n');
  while (!bytes.empty()) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    const auto line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.empty()) continue;
    auto event = read_line(line);
    const bool ascends =
        event && (lines.events.empty() || lines.events.back().number < event->number);
    if (ascends) {
      lines.events.push_back(std::move(*event));
    } else {
      ++lines.damaged;
    }
  }
  return lines;
}

Result<Lines> read_journal(const std::string& path) {
  const auto bytes = read_whole_file(path);
  if (!bytes) return std::unexpected(bytes.error());
  return *bytes ? read_lines(**bytes) : Lines();
}

}  // namespace

EventJournal::EventJournal(std::string folder, EventLimits limits)
    : folder_(std::move(folder)), limits_(limits) {
  load();
}

void EventJournal::load() {
  std::error_code error;
  if (!fs::exists(folder_, error)) return;
  if (!check_own_folder(folder_)) return;  // told by History, which has the same folder
  for (const auto& file : {older_path(), path()}) {
    auto lines = read_journal(file);
    if (!lines) {
      problems_.push_back("events cannot be read: " + lines.error().message);
      continue;
    }
    if (lines->damaged > 0) {
      problems_.push_back(fmt::format("{}: {} damaged {} passed over", file, lines->damaged,
                                      lines->damaged == 1 ? "line is" : "lines are"));
    }
    is_cut_off_ = lines->is_cut_off;
    for (auto& event : lines->events) {
      if (event.number < next_) continue;  // as in the older file
      next_ = event.number + 1;
      recent_.push_back(std::move(event));
      if (recent_.size() > limits_.in_memory) recent_.pop_front();
    }
  }
  written_ = next_ - 1;
}

Result<> EventJournal::add(Event event) {
  event.number = next_++;
  recent_.push_back(std::move(event));
  auto kept = keep();
  if (recent_.size() > limits_.in_memory) recent_.pop_front();
  return kept;
}

Result<> EventJournal::keep() {
  auto event = std::ranges::upper_bound(recent_, written_, {}, &Event::number);
  for (; event != recent_.end(); ++event)
    if (auto kept = append(*event); !kept) return kept;
  return {};
}

Result<> EventJournal::append(const Event& event) {
  // In a stranger's folder nothing is made.
  if (auto own = check_own_folder(fs::path(folder_).parent_path()); !own) return own;
  if (auto made = make_own_folder(folder_, folder_mode); !made) return made;
  const Fd file(
      ::open(path().c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, file_mode));
  if (!file) return failed("open " + path());
  const auto line = (is_cut_off_ ? "\n" : "") + line_of(event);
  const int error = write_all(file.get(), line);
  is_cut_off_ = error != 0;  // a part of it may be there
  if (error != 0) return failed("write " + path(), error);
  written_ = event.number;
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 ||
      static_cast<std::size_t>(status.st_size) < limits_.bytes / 2)
    return {};
  if (std::rename(path().c_str(), older_path().c_str()) != 0) return failed("rename " + path());
  return {};
}

std::vector<Event> EventJournal::since(std::uint64_t since) const {
  std::vector<Event> events;
  const auto add = [&](const auto& from) {
    for (const auto& event : from) {
      const bool is_next = events.empty() || events.back().number < event.number;
      if (event.number >= since && is_next && events.size() < max_at_once) events.push_back(event);
    }
  };
  if (recent_.empty() || since < recent_.front().number) {
    for (const auto& file : {older_path(), path()})
      if (const auto lines = read_journal(file)) add(lines->events);
  }
  add(recent_);
  return events;
}

}  // namespace moat
