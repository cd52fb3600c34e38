// SPDX-License-Identifier: BSD-2-Clause
// resolve() with more files than fit, without a folder, and on random stories.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/policy/endpoint.h"
#include "control/resolve/resolve.h"
#include "control/text/input_limits.h"
#include "tests/support/resolve_stories.h"

namespace moat {
namespace {

RuleFiles many_databases(std::size_t first, std::size_t count) {
  Files files;
  for (std::size_t i = first; i < first + count; ++i) {
    const auto id = fmt::format("db{:02}", i);
    files.databases[id + ".yaml"] = database(id, fmt::format("port: {}", 1000 + i));
  }
  return read(files);
}

std::size_t count(const Resolution& resolution, FileState state) {
  return static_cast<std::size_t>(std::ranges::count(resolution.files, state, &FileStatus::state));
}

TEST(ResolveLimits, takes_as_many_databases_as_fit) {
  const auto resolution = resolve(many_databases(0, limits::databases), Mode::enforce, nullptr);
  EXPECT_EQ(count(resolution, FileState::active), limits::databases);
  EXPECT_FALSE(resolution.not_guarded);
}

TEST(ResolveLimits, one_database_too_many_is_not_guarded) {
  const auto resolution = resolve(many_databases(0, limits::databases + 1), Mode::enforce, nullptr);
  EXPECT_EQ(resolution.state.policy.databases.size(), limits::databases);
  EXPECT_EQ(resolution.files.back().state, FileState::not_guarded);
  EXPECT_NE(fault_text(resolution).find("db64.yaml:1:1: error: a host has at most 64 databases"),
            std::string::npos);
  EXPECT_TRUE(resolution.not_guarded);
}

TEST(ResolveLimits, enforced_databases_stay_when_newcomers_are_too_many) {
  const auto before = resolve(many_databases(10, limits::databases), Mode::enforce, nullptr);
  const auto after =
      resolve(many_databases(0, limits::databases + 10), Mode::enforce, &before.state);
  EXPECT_EQ(policy_lines(after), policy_lines(before));
  EXPECT_EQ(count(after, FileState::not_guarded), 10u);
}

TEST(ResolveLimits, one_database_too_many_that_goes_away_leaves_nothing_behind) {
  const auto before = resolve(many_databases(0, limits::databases + 1), Mode::enforce, nullptr);
  const auto after = resolve(many_databases(0, limits::databases), Mode::enforce, &before.state);
  EXPECT_EQ(count(after, FileState::active), limits::databases);
  EXPECT_EQ(after.files.size(), limits::databases) << "told of what was never guarded";
  EXPECT_FALSE(after.not_guarded);
}

TEST(ResolveLimits, a_newcomer_takes_no_room_from_a_placeholder) {
  auto files = many_databases(0, limits::databases - 1);
  const auto broken =
      read({{{"zz.yaml", database("zz", "port: 5432", "[{cidr: 1.2.3.4/33}]")}}, {}});
  files.databases.push_back(broken.databases[0]);
  const auto before = resolve(files, Mode::enforce, nullptr);
  ASSERT_EQ(policy_lines(before).back(), "zz port 5432: placeholder");
  auto more = many_databases(0, limits::databases);
  more.databases.push_back(broken.databases[0]);
  const auto after = resolve(more, Mode::enforce, &before.state);
  EXPECT_EQ(policy_lines(after), policy_lines(before));
  EXPECT_EQ(after.files[limits::databases - 1].state, FileState::not_guarded) << "the newcomer";
}

// A file of managed ranges with this many CIDRs each, without the cost of writing them down.
RangeFile big_ranges(const std::string& path, const std::map<std::string, std::size_t>& sizes) {
  RangeFile file{path, {}, std::nullopt, {}};
  file.reading.value.emplace();
  for (const auto& [id, size] : sizes) {
    file.reading.value->push_back(
        {id,
         "",
         std::make_shared<const Prefixes>(size, Prefix{Address(0x01000000), 8}),
         {path, 1, 1}});
  }
  return file;
}

RuleFiles two_databases(const std::string& of_a, const std::string& of_b) {
  const auto rules = [](const std::string& id) { return "[{managed-range: " + id + "}]"; };
  return read({{{"a.yaml", database("a", "port: 1", rules(of_a))},
                {"b.yaml", database("b", "port: 2", rules(of_b))}},
               {}});
}

TEST(ResolveLimits, a_shared_managed_range_counts_once_and_an_unnamed_one_not_at_all) {
  auto files = two_databases("mr", "mr");
  files.ranges = {big_ranges("r.yaml", {{"mr", limits::prefixes}, {"other", limits::prefixes}})};
  const auto resolution = resolve(files, Mode::enforce, nullptr);
  EXPECT_EQ(count(resolution, FileState::active), 3u) << fault_text(resolution);
}

TEST(ResolveLimits, the_database_that_brings_too_many_prefixes_is_held_back) {
  auto files = two_databases("big", "small");
  files.ranges = {big_ranges("r.yaml", {{"big", limits::prefixes}, {"small", 1}})};
  const auto resolution = resolve(files, Mode::enforce, nullptr);
  EXPECT_EQ(policy_lines(resolution),
            (std::vector<std::string>{"a port 1: placeholder", "b port 2: small"}));
  EXPECT_NE(fault_text(resolution)
                .find("a.yaml: error: with this file there are 1000001 prefixes "
                      "in all, and 1000000 are the most: \"1000000 of them by it and the "
                      "managed ranges that it names\" (merge CIDRs into shorter prefixes, or "
                      "name fewer managed ranges; the largest is big of r.yaml"),
            std::string::npos)
      << fault_text(resolution);
}

TEST(ResolveLimits, the_managed_ranges_that_grow_too_much_are_held_back) {
  auto files = two_databases("big", "small");
  files.ranges = {big_ranges("r.yaml", {{"big", 10}}), big_ranges("s.yaml", {{"small", 1}})};
  const auto before = resolve(files, Mode::enforce, nullptr);
  files.ranges = {big_ranges("r.yaml", {{"big", limits::prefixes}}),
                  big_ranges("s.yaml", {{"small", 2}})};
  const auto after = resolve(files, Mode::enforce, &before.state);
  EXPECT_EQ(status_lines(after), (std::vector<std::string>{"a.yaml a active", "b.yaml b active",
                                                           "r.yaml  held-back", "s.yaml  active"}));
  EXPECT_EQ(after.state.policy.ranges.at("big").cidrs->size(), 10u);
  EXPECT_EQ(after.state.policy.ranges.at("small").cidrs->size(), 2u);
}

TEST(ResolveFolders, a_folder_that_cannot_be_seen_is_not_an_empty_one) {
  const Files both{{{"a.yaml", R"(database: orders
endpoint: {port: 5432}
rules: [{managed-range: mr-a}]
)"}},
                   {{"r.yaml", range("mr-a") + range("mr-unnamed")}}};
  const auto before = resolve(read(both), Mode::enforce, nullptr);
  RuleFiles hidden;
  hidden.databases_folder = unreadable("databases.d");
  hidden.ranges_folder = unreadable("managed-ranges.d");
  const auto after = resolve(hidden, Mode::enforce, &before.state);
  EXPECT_EQ(policy_lines(after), policy_lines(before));
  EXPECT_EQ(range_lines(after), range_lines(before));
  EXPECT_EQ(status_lines(after),
            (std::vector<std::string>{"a.yaml orders held-back", "databases.d  held-back",
                                      "managed-ranges.d  held-back"}));
  EXPECT_FALSE(after.not_guarded);
}

TEST(ResolveFolders, at_a_first_start_nothing_is_guarded_without_the_folder_of_databases) {
  RuleFiles hidden;
  hidden.databases_folder = unreadable("databases.d");
  const auto resolution = resolve(hidden, Mode::enforce, nullptr);
  EXPECT_TRUE(resolution.not_guarded);
  EXPECT_EQ(status_lines(resolution), (std::vector<std::string>{"databases.d  not-guarded"}));
}

TEST(ResolveFolders, another_folder_in_moat_yaml_is_told_as_the_cause) {
  const auto named = database("orders", "port: 5432", "[{managed-range: mr-a}]");
  const auto before = run({{{{"old.d/a.yaml", named}}, {{"old-ranges.d/r.yaml", range("mr-a")}}}});
  RuleFiles files;
  files.folders = {"new.d", "new-ranges.d"};
  auto after = resolve(files, Mode::enforce, &before.state);
  EXPECT_EQ(policy_lines(after), policy_lines(before));
  const auto said = fault_text(after);
  for (const auto* text :
       {"`databases` of moat.yaml names another folder now, new.d, where no file names this "
        "database; it stays as last enforced: \"orders\" (move the file there, name its folder in "
        "moat.yaml again, or end the guard with moat databases forget orders)",
        "`managed-ranges` of moat.yaml names another folder now, new-ranges.d, where no file has "
        "what rules name; it is kept as last enforced: \"mr-a\" (move the file there"}) {
    EXPECT_NE(said.find(text), std::string::npos) << said;
  }
  files.folders = {"old.d/", "old-ranges.d"};
  EXPECT_EQ(fault_text(resolve(files, Mode::enforce, &before.state)).find("another folder"),
            std::string::npos);
}

TEST(ResolveFolders, the_mode_of_the_host_is_taken_over) {
  EXPECT_EQ(resolve({}, Mode::monitor, nullptr).state.policy.mode, Mode::monitor);
}

// Random stories over so few ids, paths and ports that most steps bring a conflict.

Endpoint random_endpoint() {
  Endpoint endpoint;
  if (*rc::gen::inRange(0, 3) == 0) endpoint.address = Address(0x0a000005);
  if (endpoint.address && *rc::gen::inRange(0, 3) == 0) {
    endpoint.all = true;
    return endpoint;
  }
  const auto ports = *rc::gen::inRange(1, 8);
  for (const int bit : {0, 1, 2}) {
    if (ports >> bit & 1) endpoint.ports.push_back(static_cast<std::uint16_t>(1 + bit));
  }
  return endpoint;
}

DatabaseFile random_database_file(const std::string& path) {
  DatabaseFile file{path, {}, std::nullopt, {}};
  const auto kind = *rc::gen::inRange(0, 8);
  const auto id = std::string(1, *rc::gen::elementOf(std::string("abcd")));
  const auto endpoint = random_endpoint();
  if (kind < 4) {
    Database database{id, endpoint, {}, {}, std::nullopt, {path, 1, 1}};
    for (const auto* range : {"r", "s"}) {
      if (!*rc::gen::arbitrary<bool>()) continue;
      database.rules.push_back({range, std::nullopt, range, "", "", std::nullopt, {path, 2, 1}});
      file.reading.named_ranges.push_back({range, {path, 2, 1}});
    }
    file.reading.value = database;
  } else {
    file.reading.faults.push_back({Severity::error, {path, 3, 1}, "bad", "x", "mend it"});
  }
  if (kind < 4 || kind == 4 || kind == 5) file.reading.id = id;
  if (kind < 4 || kind == 4 || kind == 6) file.reading.endpoint = endpoint;
  return file;
}

RangeFile random_range_file(const std::string& path) {
  RangeFile file{path, {}, std::nullopt, {}};
  if (*rc::gen::inRange(0, 4) == 0) {
    file.reading.faults.push_back({Severity::error, {path, 1, 1}, "bad", "x", "mend it"});
    return file;
  }
  file.reading.value.emplace();
  for (const auto* id : {"r", "s"}) {
    if (!*rc::gen::arbitrary<bool>()) continue;
    const auto octet = *rc::gen::inRange(1, 200);
    file.reading.value->push_back(
        {id,
         "",
         std::make_shared<const Prefixes>(
             1, Prefix{Address(static_cast<std::uint32_t>(octet) << 24), 8}),
         {path, 1, 3}});
  }
  return file;
}

RuleFiles random_files() {
  RuleFiles files;
  for (const auto* path : {"p0", "p1", "p2", "p3"}) {
    if (*rc::gen::inRange(0, 4) != 0) files.databases.push_back(random_database_file(path));
  }
  for (const auto* path : {"q0", "q1"}) {
    if (*rc::gen::inRange(0, 4) != 0) files.ranges.push_back(random_range_file(path));
  }
  return files;
}

void check_consistent(const Resolution& now) {
  const auto& databases = now.state.policy.databases;
  for (std::size_t i = 0; i < databases.size(); ++i) {
    for (std::size_t j = i + 1; j < databases.size(); ++j) {
      RC_ASSERT(databases[i].id < databases[j].id);
      RC_ASSERT(!intersect(databases[i].endpoint, databases[j].endpoint));
    }
    for (const auto& rule : databases[i].rules) {
      RC_ASSERT(now.state.policy.ranges.contains(rule.managed_range));
    }
    RC_ASSERT(!databases[i].is_placeholder || databases[i].rules.empty());
  }
}

// What a file says that is active is what is enforced; what is enforced otherwise is as it was.
void check_origin(const RuleFiles& files, const Resolution& now, const EnforcedState& last) {
  std::set<std::string> active;
  for (const auto& status : now.files) {
    if (status.state != FileState::active || status.id.empty()) continue;
    active.insert(status.id);
    const auto file = std::ranges::find(files.databases, status.path, &DatabaseFile::path);
    const auto* database = now.state.policy.find(status.id);
    RC_ASSERT(database != nullptr);
    RC_ASSERT(database->endpoint == file->reading.value->endpoint);
    RC_ASSERT(database->rules.size() == file->reading.value->rules.size());
  }
  for (const auto& database : last.policy.databases) {
    if (active.contains(database.id) || database.is_placeholder) continue;
    const auto* carried = now.state.policy.find(database.id);
    RC_ASSERT(carried != nullptr);
    RC_ASSERT(carried->endpoint == database.endpoint);
    RC_ASSERT(carried->rules.size() == database.rules.size());
  }
}

// No file whose endpoint is known leaves it open while it is held back, unless status says so.
void check_guarded(const RuleFiles& files, const Resolution& now, const EnforcedState& last) {
  for (const auto& status : now.files) {
    if (status.state != FileState::held_back) continue;
    const auto file = std::ranges::find(files.databases, status.path, &DatabaseFile::path);
    if (file == files.databases.end() || !file->reading.endpoint) continue;
    const auto* before = last.policy.find(status.id);
    if (before != nullptr && !before->is_placeholder) continue;
    std::optional<Endpoint> open = file->reading.endpoint;
    for (const auto& database : now.state.policy.databases) {
      if (!open) break;
      auto guarded = database.endpoint;
      if (!guarded.address) guarded.address = open->address;  // it guards that one, too
      open = subtract(*open, guarded);
    }
    RC_ASSERT(!open);
  }
}

std::string describe(const RuleFiles& files) {
  std::string text;
  for (const auto& file : files.databases) {
    const auto& reading = file.reading;
    text += fmt::format("{}: {} {} {}; ", file.path, reading.value ? "valid" : "bad",
                        reading.id.value_or("?"),
                        reading.endpoint ? format_endpoint(*reading.endpoint) : "?");
  }
  return text;
}

void check_stable(const RuleFiles& files, const Resolution& now) {
  const auto again = resolve(files, Mode::enforce, &now.state);
  RC_ASSERT(policy_lines(again) == policy_lines(now));
  RC_ASSERT(status_lines(again) == status_lines(now));
  RC_ASSERT(range_lines(again) == range_lines(now));
}

// Managed ranges that are withdrawn while other files change may take a second round: the first may
// let a rule name what only a rule that goes in that same round has kept.
void check_stories(bool ranges_change) {
  EnforcedState last;
  const RuleFiles ranges = random_files();
  for (int step = 0; step < 4; ++step) {
    auto files = random_files();
    if (!ranges_change) files.ranges = ranges.ranges;
    const auto now = resolve(files, Mode::enforce, step == 0 ? nullptr : &last);
    RC_LOG() << describe(files) << "-> " << fmt::format("{}", fmt::join(policy_lines(now), "; "))
             << "\n"
             << fault_text(now);
    check_consistent(now);
    check_origin(files, now, last);
    check_guarded(files, now, last);
    check_stable(files, ranges_change ? resolve(files, Mode::enforce, &now.state) : now);
    last = now.state;
  }
}

TEST(ResolveProperty, holds_on_random_stories_of_databases) {
  EXPECT_TRUE(rc::check("what resolve() promises", [] { check_stories(false); }));
}

TEST(ResolveProperty, holds_on_random_stories_of_managed_ranges) {
  EXPECT_TRUE(rc::check("what resolve() promises", [] { check_stories(true); }));
}

}  // namespace
}  // namespace moat
