// SPDX-License-Identifier: BSD-2-Clause
#include "tests/verdict/case_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "control/files/reading.h"
#include "tests/support/policies.h"

namespace moat::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::unexpected<Error> refuse(std::string message) {
  return std::unexpected(Error{std::move(message), {}});
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> files_in(const fs::path& folder, const char* extension) {
  std::vector<fs::path> paths;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == extension) paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

// "LAYER 4500 00*12 ...": appends the bytes.
Result<> append_layer(const std::string& line, std::vector<std::uint8_t>& frame) {
  std::istringstream words(line);
  std::string layer, word;
  words >> layer;
  while (words >> word) {
    if (const auto star = word.find('*'); star != std::string::npos) {
      frame.insert(frame.end(), std::stoul(word.substr(star + 1)),
                   static_cast<std::uint8_t>(std::stoul(word.substr(0, star), nullptr, 16)));
      continue;
    }
    if (word.size() % 2 != 0) return refuse("half a byte: " + line);
    for (std::size_t i = 0; i < word.size(); i += 2)
      frame.push_back(static_cast<std::uint8_t>(std::stoul(word.substr(i, 2), nullptr, 16)));
  }
  return {};
}

Result<Wanted> read_wanted(const std::string& text) {
  Wanted wanted;
  std::string action, reason;
  std::istringstream(text) >> action >> reason >> wanted.owner >> wanted.rule;
  wanted.text = text;
  wanted.drop = action == "drop";
  wanted.monitored = action == "monitor";
  if (!wanted.drop && !wanted.monitored && action != "pass") return refuse("no verdict: " + text);
  while (reason_text(wanted.reason) != reason)
    if (++wanted.reason == MOAT_REASONS) return refuse("no reason: " + text);
  return wanted;
}

Result<std::vector<std::uint8_t>> read_frame(const json& lines) {
  std::vector<std::uint8_t> frame;
  for (const std::string line : lines)
    if (auto appended = append_layer(line, frame); !appended)
      return std::unexpected(appended.error());
  return frame;
}

Result<Side> read_side(const json& from) {
  Side side;
  auto wanted = read_wanted(from.at("verdict"));
  if (!wanted) return std::unexpected(wanted.error());
  side.wanted = std::move(*wanted);
  std::vector<json> frames = from.value("earlier", std::vector<json>{});
  frames.push_back(from.at("frame"));
  for (const json& lines : frames) {
    auto frame = read_frame(lines);
    if (!frame) return std::unexpected(frame.error());
    side.frames.push_back(std::move(*frame));
  }
  side.backstop = from.value("backstop", false);
  return side;
}

Result<Case> read_case(const std::string& group, const json& from) {
  Case made{group, from.at("name"), from.at("why"), from.at("policy"), {}, {}, {}};
  if (from.contains("at")) {
    const auto at = parse_time(from.at("at").get<std::string>());
    if (!at) return refuse(at.error().message);
    made.at = *at;
  }
  for (auto [name, side] : {std::pair{"A", &made.a}, std::pair{"B", &made.b}}) {
    auto read = read_side(from.at(name));
    if (!read) return refuse(fmt::format("{}/{}: {}", group, made.name, read.error().message));
    *side = std::move(*read);
  }
  return made;
}

Result<> check_faults(const Faults& faults) {
  for (const Fault& fault : faults)
    if (fault.severity == Severity::error) return refuse(format_fault(fault));
  return {};
}

}  // namespace

void PrintTo(const Case& each, std::ostream* to) { *to << each.group << "/" << each.name; }

Result<std::vector<Case>> load_cases(const fs::path& folder) {
  std::vector<Case> cases;
  for (const fs::path& path : files_in(folder, ".json")) try {
      for (const json& from : json::parse(read_file(path))) {
        auto made = read_case(path.stem(), from);
        if (!made) return std::unexpected(made.error());
        cases.push_back(std::move(*made));
      }
    } catch (const std::exception& error) {
      return refuse(fmt::format("{}: {}", path.string(), error.what()));
    }
  if (cases.empty()) return refuse(fmt::format("no cases in {}", folder.string()));
  return cases;
}

Result<std::unique_ptr<Policy>> load_policy(const fs::path& folder) {
  auto policy = std::make_unique<Policy>();
  if (!fs::is_directory(folder)) return refuse("no such policy: " + folder.string());
  if (const fs::path path = folder / "moat.yaml"; fs::exists(path)) {
    const auto config = read_config(path, read_file(path));
    if (auto sound = check_faults(config.faults); !sound) return std::unexpected(sound.error());
    policy->mode = config.value->mode;
  }
  for (const fs::path& path : files_in(folder / "managed-ranges.d", ".yaml")) {
    const auto read = read_managed_ranges(path, read_file(path), {});
    if (auto sound = check_faults(read.faults); !sound) return std::unexpected(sound.error());
    for (const ManagedRange& range : *read.value) policy->ranges[range.id] = range;
  }
  for (const fs::path& path : files_in(folder / "databases.d", ".yaml")) {
    const auto read = read_database(path, read_file(path), WallTime{});
    if (auto sound = check_faults(read.faults); !sound) return std::unexpected(sound.error());
    policy->databases.push_back(*read.value);
  }
  std::ranges::sort(policy->databases, {}, &Database::id);
  return policy;
}

Result<Scene> make_scene(std::unique_ptr<Policy> policy, std::optional<WallTime> at) {
  constexpr std::chrono::seconds age{10};  // of the table
  timespec now;  // by the clock that verdicts read, which lags behind the exact one
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  const auto monotonic = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
                         static_cast<std::uint64_t>(now.tv_nsec);
  Scene scene{std::move(policy), {}, at.value_or(kNow), {}};
  scene.slots = plain_slots(*scene.policy);
  const ClockPair clock{scene.wall - age, monotonic - static_cast<std::uint64_t>(
                                                          std::chrono::nanoseconds(age).count())};
  auto table = compile(*scene.policy, scene.slots, clock, 1);
  if (!table) return std::unexpected(table.error());
  scene.table = std::move(*table);
  return scene;
}

Result<std::uint32_t> wanted_slot(const Scene& scene, const Wanted& wanted) {
  const Database* database = scene.policy->find(wanted.owner);
  if (!database && wanted.owner != "host") return refuse("no database: " + wanted.text);
  if (wanted.reason != MOAT_ALLOWED)
    return MOAT_OUTCOME_SLOT(database ? scene.slots.owner(database->id) : 0u, wanted.monitored,
                             wanted.reason);
  if (!database) return refuse("allowed by nobody: " + wanted.text);
  for (const Rule& rule : database->rules)
    if (rule.source() == wanted.rule) return scene.slots.rule(database->id, rule.id);
  return refuse("no such rule: " + wanted.text);
}

}  // namespace moat::testing
