// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/state.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "control/policy/cidrs_digest.h"
#include "control/state/cidrs_lists.h"
#include "control/state/state_json.h"
#include "tests/support/stranger.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const Prefixes> cidrs(std::size_t count) {
  Prefixes result;
  for (std::size_t i = 0; i < count; ++i) {
    result.push_back({Address(static_cast<std::uint32_t>(0x01000000 + 256 * i)), 24});
  }
  return std::make_shared<const Prefixes>(std::move(result));
}

// Something in each member.
State full_state() {
  State state;
  state.generation = 18;
  state.latest_time = {parse_time("2027-01-31T18:00:00Z").value(),
                       "3b388fcd-9c61-4ebd-b00f-cdf4f69ca7d8", std::chrono::nanoseconds(12345)};
  state.retired["orders"] = {7, 900};
  state.last_hits[{"orders", "r-1"}] = {parse_time("2027-01-30T08:00:00Z").value(), 7};
  state.counted_since[{"orders", "r-2"}] = parse_time("2027-01-29T08:00:00Z").value();
  state.forgotten = {"old"};
  state.settings = "interfaces: [eth0]   # caf\u00e9\n";
  state.accepted = {{"mr-a", "0123456789abcdef"}};
  state.exposed = {{"orders", Address(0x0a000005), 6432}, {"old", std::nullopt, 5432}};
  auto& enforced = state.enforced.emplace();
  enforced.policy.mode = Mode::monitor;
  Database orders{"orders",
                  {Address(0x0a000005), {5432, 6432}, false},
                  {},
                  {},
                  Mode::enforce,
                  {"databases.d/a.yaml", 1, 1}};
  orders.rules.push_back({"r-1",
                          Prefix{Address(0xc0000201), 32},
                          "",
                          "",
                          "Caf\u00e9 \"x\"",
                          parse_time("2028-01-01T00:00:00Z").value(),
                          {"a.yaml", 4, 5}});
  orders.rules.push_back({"r-2", std::nullopt, "mr-a", "", "", std::nullopt, {"a.yaml", 6, 5}});
  orders.rules.push_back({"r-3", std::nullopt, "", "pcx-1", "", std::nullopt, {"a.yaml", 7, 5}});
  orders.peerings.push_back(
      {"pcx-1", {Address(0x0a2a0000), 16}, "123456789012", "Staging", {"a.yaml", 9, 5}});
  orders.expectations = {{true, Address(0x0a000307), "standby", {"a.yaml", 12, 5}},
                         {false, Address(0xcb007109), "", {"a.yaml", 13, 5}}};
  Database wholly{"private",    {Address(0x0a000006), {}, true, Ipv6::closed},
                  {},           {},
                  std::nullopt, {"p.yaml", 1, 1}};
  Database sealed{"sealed",     {std::nullopt, {1}, false}, {},  {},
                  std::nullopt, {"s.yaml", 0, 0},           true};
  enforced.policy.databases = {orders, wholly, sealed};
  enforced.policy.ranges["mr-a"] = {"mr-a", "A", cidrs(3), {"r.yaml", 1, 3}};
  enforced.policy.ranges["mr-a"].held_down = {
      {parse_time("2027-01-31T17:00:00Z").value(), parse_time("2027-01-31T18:00:00Z").value(),
       cidrs(2)},
      {parse_time("2027-01-31T17:30:00Z").value(), parse_time("2027-01-31T18:30:00Z").value(),
       cidrs(1)}};
  enforced.range_histories["mr-a"] = {parse_time("2027-01-31T17:30:00Z").value(), 1, 2, 3, 170,
                                      parse_time("2027-01-01T00:00:00Z").value()};
  enforced.policy.ranges["mr-none"] = {"mr-none", "", cidrs(0), {"r.yaml", 2, 3}};
  enforced.placeholders = {{"sealed", "s.yaml", sealed.endpoint, Mode::monitor}};
  enforced.database_of_file = {{"a.yaml", "orders"}, {"s.yaml", "sealed"}};
  enforced.rivals = {{"b.yaml", {"orders"}}, {"r2.yaml", {"mr-a", "mr-b"}}};
  (void)state.slots.assign(enforced.policy);
  (void)state.slots.assign({Mode::enforce, {orders}, {}});
  return state;
}

// All of a state as one text, lists included.
std::string text_of(const State& state) {
  ListDigests lists;
  if (state.enforced) {
    for (const auto& [id, range] : state.enforced->policy.ranges) {
      const auto words = [](const Prefixes& cidrs) {
        std::string text;
        for (const auto prefix : cidrs) text += format_prefix(prefix) + " ";
        return text + ".";
      };
      lists.lists[id] = words(*range.cidrs);
      for (const auto& held : range.held_down) lists.held_down[id].push_back(words(*held.cidrs));
    }
  }
  return format_state(state, lists);
}

class StateTest : public testing::Test {
 protected:
  StateStore open() {
    auto store = StateStore::open(folder_.path());
    if (!store) throw std::runtime_error(store.error().message);
    return std::move(*store);
  }
  LoadedState load() { return open().load(); }
  // Why nothing is saved there, which is no reason not to start.
  static Error obstacle_at(const std::string& folder) {
    auto store = StateStore::open(folder);
    if (!store) throw std::runtime_error(store.error().message);
    const auto saved = store->save(full_state());
    EXPECT_FALSE(saved);
    return saved ? Error() : saved.error();
  }
  // The only one.
  fs::path lists_file() const {
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(folder_ / "ranges")) {
      if (file.path().extension() == ".cidrs") files.push_back(file.path());
    }
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? fs::path() : files[0];
  }

  TemporaryFolder folder_;
};

TEST_F(StateTest, an_empty_folder_is_a_first_start) {
  const auto loaded = load();
  EXPECT_TRUE(loaded.problems.empty());
  EXPECT_FALSE(loaded.state.enforced);
  EXPECT_EQ(loaded.state.generation, 0u);
}

TEST_F(StateTest, what_is_saved_is_loaded) {
  const auto state = full_state();
  ASSERT_TRUE(open().save(state));
  const auto loaded = load();
  EXPECT_TRUE(loaded.problems.empty());
  EXPECT_EQ(text_of(loaded.state), text_of(state));
  EXPECT_EQ(loaded.state.slots, state.slots);
  EXPECT_EQ(loaded.state.enforced->placeholders, state.enforced->placeholders);
}

TEST_F(StateTest, paths_that_are_no_utf8_do_no_harm) {
  auto state = full_state();
  state.enforced->database_of_file = {{"\xff.yaml", "orders"}, {"\xfe.yaml", "sealed"}};
  state.enforced->policy.databases[0].place.file = "\xff.yaml";
  ASSERT_TRUE(open().save(state));
  EXPECT_TRUE(load().problems.empty());
}

TEST_F(StateTest, the_folder_is_created) {
  const auto store = StateStore::open(folder_ / "var/lib/moat");
  EXPECT_TRUE(store) << store.error().message;
}

TEST_F(StateTest, a_second_daemon_is_told_who_has_the_folder) {
  const auto first = open();
  const auto second = StateStore::open(folder_.path());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(fmt::format("another moatd (pid {})", ::getpid())),
            std::string::npos)
      << second.error().message;
}

TEST_F(StateTest, the_lock_ends_with_the_daemon_however_it_ends) {
  const auto child = ::fork();
  if (child == 0) {
    const auto store = StateStore::open(folder_.path());
    ::kill(::getpid(), SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(StateStore::open(folder_.path()));
}

TEST_F(StateTest, a_corrupt_state_is_kept_aside_and_counts_as_none) {
  ASSERT_TRUE(open().save(full_state()));
  auto text = folder_.get("state.json");
  text[text.find("\"generation\":18") + 13] = '9';
  folder_.put("state.json", text);
  const auto loaded = load();
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_NE(loaded.problems[0].find("its checksum does not hold (kept as "), std::string::npos);
  EXPECT_FALSE(loaded.state.enforced);
  EXPECT_EQ(folder_.get("state.json.corrupt"), text);
  EXPECT_FALSE(fs::exists(folder_ / "state.json"));
  EXPECT_TRUE(load().problems.empty());
}

TEST_F(StateTest, tells_of_a_broken_state_in_words_for_operators) {
  folder_.put("state.json", "{\"version\": 1, ");
  const auto loaded = load();
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_EQ(loaded.problems[0], "the last state cannot be used: " + folder_ / "state.json" +
                                    ": it is not what moatd writes (kept as " +
                                    folder_ / "state.json.corrupt" +
                                    "). Rule files in order are enforced all the same; see that "
                                    "none is held back");
}

TEST_F(StateTest, a_file_in_the_place_of_a_folder_is_named) {
  folder_.put("file", "");
  const auto error = obstacle_at(folder_ / "file");
  EXPECT_EQ(error.message, folder_ / "file" + " is no folder");
  EXPECT_EQ(error.remedy, "remove it: rm " + folder_ / "file");
}

TEST_F(StateTest, a_state_of_another_version_counts_as_none) {
  folder_.put("state.json", "{\"version\": 2, \"checksum\": \"\", \"state\": {}}");
  const auto loaded = load();
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_NE(loaded.problems[0].find("it has version 2, and this moatd knows 1"), std::string::npos);
}

TEST_F(StateTest, without_its_cidrs_only_a_range_is_lost) {
  auto state = full_state();
  state.enforced->policy.ranges["mr-a"].held_down.clear();
  ASSERT_TRUE(open().save(state));
  const auto file = lists_file();
  fs::resize_file(file, fs::file_size(file) - 1);
  auto loaded = load();
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_NE(loaded.problems[0].find("managed range mr-a"), std::string::npos);
  EXPECT_NE(loaded.problems[0].find("it is cut off"), std::string::npos);
  ASSERT_TRUE(loaded.state.enforced);
  EXPECT_TRUE(loaded.state.is_incomplete);
  const auto& policy = loaded.state.enforced->policy;
  ASSERT_EQ(policy.databases.size(), state.enforced->policy.databases.size());
  EXPECT_EQ(policy.databases[0].rules.size(), state.enforced->policy.databases[0].rules.size());
  EXPECT_TRUE(policy.ranges.at("mr-a").cidrs->empty());
  EXPECT_EQ(loaded.state.generation, 18u);
  EXPECT_EQ(loaded.state.slots, state.slots);
  ASSERT_TRUE(open().save(loaded.state));
  EXPECT_TRUE(load().state.is_incomplete) << "forgotten before it was mended";
}

TEST_F(StateTest, without_the_file_of_cidrs_every_range_is_lost_and_told) {
  ASSERT_TRUE(open().save(full_state()));
  fs::resize_file(lists_file(), 12);
  const auto damaged = load();
  ASSERT_EQ(damaged.problems.size(), 3u);
  EXPECT_NE(damaged.problems[0].find("mr-a is no longer held down"), std::string::npos);
  EXPECT_NE(damaged.problems[1].find("it is cut off"), std::string::npos);
  EXPECT_TRUE(damaged.state.enforced->policy.ranges.at("mr-a").held_down.empty());
  ASSERT_TRUE(open().save(full_state()));
  fs::remove(lists_file());
  EXPECT_EQ(load().problems.size(), 3u);
}

TEST_F(StateTest, what_was_pinned_is_kept) {
  auto state = full_state();
  state.pins = {"a-boot", "/sys/fs/bpf/moat", {{"xdp", 41}, {"links/eth0", 7}}};
  ASSERT_TRUE(open().save(state));
  EXPECT_EQ(load().state.pins, state.pins);
}

TEST_F(StateTest, another_content_is_noticed) {
  auto state = full_state();
  state.enforced->policy.ranges.at("mr-a").held_down.clear();  // or its list would be the last
  ASSERT_TRUE(open().save(state));
  {
    std::fstream file(lists_file(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-3, std::ios::end);  // within the last address
    file.put('\x7f');
  }
  const auto loaded = load();
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_NE(loaded.problems[0].find("its content is not what was kept"), std::string::npos);
}

TEST_F(StateTest, cidrs_are_written_once_shared_and_removed_when_unused) {
  auto store = open();
  auto state = full_state();
  auto& ranges = state.enforced->policy.ranges;
  ranges["mr-same"] = {"mr-same", "", cidrs(3), {}};
  ASSERT_TRUE(store.save(state));
  fs::last_write_time(lists_file(), fs::file_time_type{});
  ASSERT_TRUE(store.save(state));
  EXPECT_EQ(fs::last_write_time(lists_file()), fs::file_time_type{});
  ranges.erase("mr-same");
  ASSERT_TRUE(store.save(state));
  EXPECT_EQ(fs::last_write_time(lists_file()), fs::file_time_type{});
  ranges["mr-a"].cidrs = cidrs(4);
  ASSERT_TRUE(store.save(state));
  EXPECT_NE(fs::last_write_time(lists_file()), fs::file_time_type{});
  EXPECT_EQ(text_of(StateStore(std::move(store)).load().state), text_of(state));
}

TEST_F(StateTest, thousands_of_ranges_are_one_file) {
  auto state = full_state();
  for (std::size_t i = 0; i < 3'000; ++i) {
    const auto id = "mr-" + std::to_string(i);
    state.enforced->policy.ranges[id] = {id, "", cidrs(i % 7), {}};
  }
  ASSERT_TRUE(open().save(state));
  (void)lists_file();
  EXPECT_EQ(text_of(load().state), text_of(state));
}

TEST_F(StateTest, a_million_cidrs_are_saved_and_loaded) {
  auto state = full_state();
  state.enforced->policy.ranges["mr-a"].cidrs = cidrs(1'000'000);
  ASSERT_TRUE(open().save(state));
  EXPECT_EQ(load().state.enforced->policy.ranges["mr-a"].cidrs->size(), 1'000'000u);
}

TEST_F(StateTest, a_save_that_fails_leaves_the_last_state) {
  auto store = open();
  ASSERT_TRUE(store.save(full_state()));
  fs::remove_all(folder_ / "ranges");
  auto next = full_state();
  next.generation = 19;
  next.enforced->policy.ranges["mr-a"].cidrs = cidrs(5);
  const auto saved = store.save(next);
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find(folder_ / "ranges"), std::string::npos);
  EXPECT_NE(folder_.get("state.json").find("\"generation\":18"), std::string::npos);
}

TEST_F(StateTest, leftovers_of_a_crash_are_removed) {
  (void)open();
  folder_.put(".state.json.moat-a1b2c3", "half");
  folder_.put("ranges/.x.cidrs.moat-a1b2c3", "half");
  (void)open();
  EXPECT_FALSE(fs::exists(folder_ / ".state.json.moat-a1b2c3"));
  EXPECT_FALSE(fs::exists(folder_ / "ranges/.x.cidrs.moat-a1b2c3"));
}

TEST_F(StateTest, a_folder_that_cannot_be_made_is_named) {
  folder_.put("file", "");
  EXPECT_NE(obstacle_at(folder_ / "file/moat").message.find(folder_ / "file/moat"),
            std::string::npos);
}

// ---- Other users ----

TEST_F(StateTest, a_lock_that_is_a_symlink_is_refused_and_what_it_points_to_stays) {
  folder_.put("precious", "bytes");
  fs::create_symlink(folder_ / "precious", folder_ / "lock");
  const auto error = obstacle_at(folder_.path());
  EXPECT_EQ(error.message, folder_ / "lock" + " is not a file that moatd has made");
  EXPECT_EQ(error.remedy, "remove it: rm " + (folder_ / "lock"));
  EXPECT_EQ(folder_.get("precious"), "bytes");
}

TEST_F(StateTest, a_lock_that_is_another_file_as_well_is_refused) {
  folder_.put("precious", "bytes");
  fs::create_hard_link(folder_ / "precious", folder_ / "lock");
  (void)obstacle_at(folder_.path());
  EXPECT_EQ(folder_.get("precious"), "bytes");
}

TEST_F(StateTest, a_lock_of_an_earlier_moatd_is_closed_to_the_group) {
  folder_.put("lock", "1\n", 0640);
  (void)open();
  EXPECT_EQ(fs::status(folder_ / "lock").permissions(), fs::perms(0600));
}

TEST_F(StateTest, a_lock_that_others_may_write_is_refused) {
  folder_.put("lock", "", 0666);
  const auto error = obstacle_at(folder_.path());
  EXPECT_EQ(error.message, folder_ / "lock" + " is writable by others (mode 0666)");
}

TEST_F(StateTest, a_folder_that_others_may_write_is_refused) {
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0770), 0);
  const auto error = obstacle_at(folder_.path());
  EXPECT_EQ(error.message, folder_.path() + " is writable by others (mode 0770)");
  EXPECT_EQ(error.remedy, "chmod go-w " + folder_.path());
}

TEST_F(StateTest, a_state_in_a_folder_that_others_may_write_is_not_believed) {
  ASSERT_TRUE(open().save(full_state()));
  for (const auto& folder : {folder_.path(), folder_ / "ranges"}) {
    ASSERT_EQ(::chmod(folder.c_str(), 0777), 0);
    const auto loaded = load();
    EXPECT_FALSE(loaded.state.enforced);
    ASSERT_EQ(loaded.problems.size(), 1u);
    EXPECT_NE(loaded.problems[0].find("chmod go-w " + folder), std::string::npos);
    ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  }
  EXPECT_TRUE(load().state.enforced) << "it was left where it is";
}

TEST_F(StateTest, what_was_in_the_way_of_saving_is_looked_at_again) {
  const auto path = folder_ / "moat";
  folder_.put("moat", "");
  auto store = StateStore::open(path);
  ASSERT_TRUE(store);
  ASSERT_FALSE(store->save(full_state()));
  fs::remove(path);
  ASSERT_TRUE(store->save(full_state()));
  EXPECT_FALSE(StateStore::open(path)) << "it has the lock by now";
}

TEST_F(StateTest, a_second_daemon_that_comes_first_keeps_the_folder) {
  const auto path = folder_ / "moat";
  folder_.put("moat", "");
  auto store = StateStore::open(path);
  fs::remove(path);
  const auto second = StateStore::open(path);
  ASSERT_TRUE(second);
  const auto saved = store->save(full_state());
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("another moatd"), std::string::npos);
}

using StateAsRootTest = StateTest;

// Mounted over the folder for as long as this lives, in a mount namespace of the test's own.
class Mounted {
 public:
  Mounted(const std::string& path, unsigned long flags, const std::string& options) : path_(path) {
    static const bool is_apart =
        ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    EXPECT_TRUE(is_apart) << "needs root";
    EXPECT_EQ(::mount("state", path.c_str(), "tmpfs", flags, options.c_str()), 0);
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  ~Mounted() { ::umount2(path_.c_str(), MNT_DETACH); }

  void remount(unsigned long flags) const {
    EXPECT_EQ(::mount("state", path_.c_str(), "tmpfs", MS_REMOUNT | flags, "mode=700"), 0);
  }

 private:
  std::string path_;
};

TEST_F(StateAsRootTest, a_read_only_folder_is_read_and_still_locked) {
  const Mounted mounted(folder_.path(), 0, "mode=700");
  ASSERT_TRUE(open().save(full_state()));
  mounted.remount(MS_RDONLY);
  auto store = open();
  EXPECT_TRUE(store.load().state.enforced);
  EXPECT_FALSE(StateStore::open(folder_.path())) << "two daemons on one state";
  const auto saved = store.save(full_state());
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("Read-only file system"), std::string::npos);
  mounted.remount(0);
  EXPECT_TRUE(store.save(full_state()));
}

TEST_F(StateAsRootTest, a_read_only_folder_that_is_empty_is_a_first_start) {
  const Mounted mounted(folder_.path(), MS_RDONLY, "mode=700");
  const auto loaded = load();
  EXPECT_FALSE(loaded.state.enforced);
  EXPECT_TRUE(loaded.problems.empty());
  EXPECT_NE(obstacle_at(folder_.path()).message.find("Read-only file system"), std::string::npos);
  mounted.remount(0);
  EXPECT_TRUE(open().save(full_state()));
}

TEST_F(StateAsRootTest, a_full_disk_is_no_reason_not_to_start) {
  const Mounted mounted(folder_.path(), 0, "mode=700,size=16k");
  std::ofstream(folder_ / "fill") << std::string(16384, 'x');
  EXPECT_NE(obstacle_at(folder_.path()).message.find("No space left on device"), std::string::npos);
  auto store = open();
  EXPECT_FALSE(StateStore::open(folder_.path())) << "locked, though its pid is not written";
  fs::remove(folder_ / "fill");
  EXPECT_TRUE(store.save(full_state()));
}

TEST_F(StateAsRootTest, a_strangers_folder_is_refused) {
  ASSERT_EQ(::chown(folder_.path().c_str(), stranger_uid, stranger_uid), 0) << "needs root";
  const auto error = obstacle_at(folder_.path());
  EXPECT_EQ(error.message, folder_.path() + " belongs to another user, uid 65534");
  EXPECT_FALSE(fs::exists(folder_ / "lock"));
}

TEST_F(StateAsRootTest, a_strangers_state_is_not_believed) {
  ASSERT_TRUE(open().save(full_state()));
  ASSERT_EQ(::chown((folder_ / "state.json").c_str(), stranger_uid, stranger_uid), 0);
  const auto loaded = load();
  EXPECT_FALSE(loaded.state.enforced);
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_NE(loaded.problems[0].find("belongs to another user, uid 65534"), std::string::npos);
}

std::string recorded(const std::string& name) {
  std::ifstream file("tests/unit/state/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// As versions wrote it that did not keep these, and let a net peering in without a rule.
State earlier_state() {
  auto state = full_state();
  state.exposed.clear();
  state.counted_since.clear();
  state.enforced->rivals.clear();
  state.enforced->range_histories.clear();
  state.enforced->policy.ranges["mr-a"].held_down.clear();
  state.enforced->policy.databases[0].expectations.clear();
  state.accepted.clear();
  auto& orders = state.enforced->policy.databases[0];
  auto& peering = orders.peerings[0];
  peering.account = peering.label = "";
  orders.rules.back() = {"pcx-1", std::nullopt, "", "pcx-1", "", std::nullopt, peering.place};
  state.slots = {};
  (void)state.slots.assign(state.enforced->policy);
  (void)state.slots.assign({Mode::enforce, {orders}, {}});
  return state;
}

TEST(StateJson, reads_what_earlier_versions_wrote) {
  const auto parsed = parse_state(recorded("recorded_state.json"));
  ASSERT_TRUE(parsed) << parsed.error();
  EXPECT_EQ(parsed->state.enforced->policy.databases[0].rules[0].cidr,
            (Prefix{Address(0xc0000201), 32}));
  EXPECT_EQ(format_state(parsed->state, parsed->digests),
            format_state(earlier_state(), parsed->digests));
}

TEST(StateJson, reads_a_state_from_before_it_kept_settings_pins_and_boots) {
  const auto parsed = parse_state(recorded("recorded_first_state.json"));
  ASSERT_TRUE(parsed) << parsed.error();
  auto state = earlier_state();
  state.settings.clear();
  state.latest_time.boot.clear();
  state.latest_time.monotonic = {};
  EXPECT_EQ(format_state(parsed->state, parsed->digests), format_state(state, parsed->digests));
}

TEST(StateJson, goes_on_admitting_the_net_peerings_that_a_state_admitted_without_a_rule) {
  const auto parsed = parse_state(recorded("recorded_state.json"));
  ASSERT_TRUE(parsed) << parsed.error();
  auto policy = parsed->state.enforced->policy;
  policy.ranges.clear();
  const auto admits = [&policy] {
    const auto match = find_match(policy, policy.databases[0], Address(0x0a2a0001),
                                  WallTime{std::chrono::days(0)});
    return match && match->rule->id == "pcx-1";
  };
  EXPECT_TRUE(admits());
  EXPECT_EQ(parsed->state.slots.rule("orders", "pcx-1"), 1) << "its hits go on";
  const auto again = parse_state(format_state(parsed->state, parsed->digests));
  ASSERT_TRUE(again) << again.error();
  policy = again->state.enforced->policy;
  policy.ranges.clear();
  EXPECT_TRUE(admits()) << "once it is saved anew, too";
}

TEST(StateJson, reads_as_many_rules_as_an_earlier_version_had_with_its_net_peerings) {
  auto state = full_state();
  auto& orders = state.enforced->policy.databases[0];
  const auto grow_to = [&](std::size_t rules) {
    while (orders.rules.size() < rules) orders.rules.push_back(orders.rules.front());
    return parse_state(
               format_state(state, {{{"mr-a", "1"}, {"mr-none", "2"}}, {{"mr-a", {"3", "4"}}}}))
        .has_value();
  };
  EXPECT_TRUE(grow_to(MOAT_MAX_RULES + MOAT_MAX_PEERINGS));
  EXPECT_FALSE(grow_to(MOAT_MAX_RULES + MOAT_MAX_PEERINGS + 1));
}

TEST(StateJson, refuses_a_state_truncated_at_any_byte) {
  const auto text =
      format_state(full_state(), {{{"mr-a", "1"}, {"mr-none", "2"}}, {{"mr-a", {"3", "4"}}}});
  ASSERT_TRUE(parse_state(text));
  for (std::size_t size = 0; size < text.size() - 1; ++size) {
    ASSERT_FALSE(parse_state(text.substr(0, size))) << size;
  }
}

TEST(StateJson, refuses_numbers_and_names_out_of_bounds) {
  const auto refused = [](const auto& spoil) {
    auto state = full_state();
    spoil(state);
    return !parse_state(
        format_state(state, {{{"mr-a", "1"}, {"mr-none", "2"}}, {{"mr-a", {"3", "4"}}}}));
  };
  EXPECT_FALSE(refused([](State&) {}));
  EXPECT_TRUE(refused(
      [](State& state) { state.slots = Slots({{{{"a", "b"}, MOAT_RULE_SLOTS}}, {}}, {}); }));
  EXPECT_TRUE(refused([](State& state) { state.slots = Slots({{{{"a", "b"}, 0}}, {}}, {}); }));
  EXPECT_TRUE(refused([](State& state) { state.slots = Slots({}, {{{"a", 1}, {"b", 1}}, {}}); }));
  EXPECT_TRUE(refused([](State& state) {
    state.enforced->policy.databases[0].rules[1].managed_range = "mr-unknown";
  }));
  EXPECT_TRUE(refused([](State& state) {
    state.enforced->policy.databases[0].rules[2].net_peering = "pcx-unknown";
  }));
  EXPECT_TRUE(
      refused([](State& state) { state.enforced->policy.databases[0].endpoint.ports = {}; }));
  EXPECT_TRUE(refused([](State& state) { state.enforced->policy.databases[0].id = "z"; }));
}

TEST(CidrsLists, refuses_what_is_none) {
  const auto list = cidrs(2);
  const auto digest = cidrs_digest(*list);
  const auto bytes = format_cidrs_lists({{digest, list}});
  EXPECT_EQ(parse_cidrs_lists(bytes).value().at(digest).value(), *list);
  EXPECT_FALSE(parse_cidrs_lists(""));
  EXPECT_FALSE(parse_cidrs_lists("MOATCIDR"));
  // Any byte of it, and any end of it.
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    const auto read = parse_cidrs_lists(damaged);
    EXPECT_TRUE(!read || !read->at(digest)) << i;
    const auto cut = parse_cidrs_lists(bytes.substr(0, i));
    EXPECT_TRUE(!cut || !cut->at(digest)) << i;
  }
}

}  // namespace
}  // namespace moat
