// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/rule_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "control/os/file_io.h"
#include "control/text/input_limits.h"
#include "tests/support/patience.h"
#include "tests/support/shared_mapping.h"
#include "tests/support/stopped_at.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

const std::string orders = "database: orders\nendpoint: {port: 5432}\nrules: []\n";
const std::string billing = "database: billing\nendpoint: {port: 6432}\nrules: []\n";

class RuleFilesTest : public testing::Test {
 protected:
  RuleFiles read(WallTime now = {}) {
    return reader_.read({databases_.path(), ranges_.path()}, now);
  }

  // Reads as if the stamps of all files were old enough to be trusted.
  RuleFiles read_settled(WallTime now = {}) {
    later_ = std::chrono::seconds(1);
    (void)read(now);
    auto files = read(now);
    later_ = {};
    EXPECT_EQ(reader_.files_read(), 0u);
    return files;
  }

  // The message for the only database file, which must be refused.
  std::string refusal() {
    const auto files = read();
    if (files.databases.size() != 1 || !files.databases[0].unreadable) return "not refused";
    EXPECT_FALSE(files.databases[0].reading.value);
    return format_fault(*files.databases[0].unreadable);
  }

  TemporaryFolder databases_;
  TemporaryFolder ranges_;
  std::chrono::seconds later_{0};
  RuleFileReader reader_{{}, [this] { return std::chrono::system_clock::now() + later_; }};
};

std::vector<std::string> names(const RuleFiles& files) {
  std::vector<std::string> result;
  for (const auto& file : files.databases) result.push_back(fs::path(file.path).filename());
  return result;
}

TEST_F(RuleFilesTest, lists_rule_files_by_name_and_passes_over_the_rest) {
  for (const auto* name :
       {"b.yaml", "a.yml", "c.yaml", ".hidden.yaml", ".#b.yaml", ".b.yaml.swp", "b.yaml~",
        "b.yaml.bak", "#b.yaml#", "b.swp", "README", ".b.yaml.moat-a1b2c3"}) {
    databases_.put(name, orders);
  }
  EXPECT_EQ(names(read()), (std::vector<std::string>{"a.yml", "b.yaml", "c.yaml"}));
}

std::vector<std::string> passed_over(const RuleFiles& files) {
  std::vector<std::string> values;
  for (const auto& fault : files.passed_over) {
    EXPECT_EQ(fault.severity, Severity::warning);
    values.push_back(fault.value);
  }
  return values;
}

TEST_F(RuleFilesTest, names_what_is_not_read) {
  for (const auto* name : {"sales.YAML", "sales.yml.txt", "sales.yaml~", "#sales.yaml#", ".a.yaml"})
    databases_.put(name, orders);
  EXPECT_EQ(passed_over(read()), std::vector<std::string>{"sales.YAML, sales.yml.txt"});
  fs::create_directory(databases_ / "more");
  databases_.put("more/sales.yaml", orders);
  databases_.put("Sales.Yaml", orders);
  EXPECT_EQ(passed_over(read()),
            std::vector<std::string>{"Sales.Yaml, more, sales.YAML and 1 more"});
}

TEST_F(RuleFilesTest, takes_a_cidrs_file_for_one_that_is_read_only_where_a_range_names_it) {
  fs::create_directory(ranges_ / "lists");
  ranges_.put("lists/a.txt", "192.0.2.0/24\n");
  ranges_.put("b.txt", "192.0.2.0/24\n");
  EXPECT_EQ(passed_over(read()), std::vector<std::string>{"b.txt, lists"});
  ranges_.put("r.yaml",
              "- {id: mr-a, cidrs-file: lists/a.txt}\n- {id: mr-b, cidrs-file: ./b.txt}\n");
  EXPECT_EQ(passed_over(read()), std::vector<std::string>{});
}

TEST_F(RuleFilesTest, hands_over_what_the_files_say) {
  databases_.put("a.yaml", orders);
  databases_.put("b.yaml", "database: [\n");
  ranges_.put("r.yaml", "- {id: mr-a, cidrs: [192.0.2.0/24]}\n");
  const auto files = read();
  ASSERT_EQ(files.databases.size(), 2u);
  ASSERT_TRUE(files.databases[0].reading.value);
  EXPECT_EQ(files.databases[0].reading.value->id, "orders");
  EXPECT_EQ(files.databases[0].path, databases_ / "a.yaml");
  EXPECT_FALSE(files.databases[1].reading.value);
  EXPECT_TRUE(has_error(files.databases[1].reading.faults));
  ASSERT_EQ(files.ranges.size(), 1u);
  EXPECT_EQ(files.ranges[0].reading.value->at(0).cidrs->size(), 1u);
}

TEST_F(RuleFilesTest, gives_the_ctime_as_the_time_of_the_change) {
  const auto path = databases_.put("a.yaml", orders);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  const auto stamp = read().databases.at(0).stamp;
  EXPECT_EQ(stamp.changed, status.st_ctim.tv_sec * 1'000'000'000 + status.st_ctim.tv_nsec);
  EXPECT_EQ(stamp.id.inode, status.st_ino);
  EXPECT_EQ(stamp.size, orders.size());
}

TEST_F(RuleFilesTest, follows_symlinks_of_files) {
  const TemporaryFolder elsewhere;
  const auto real = elsewhere.put("x", orders);
  ASSERT_EQ(::symlink(real.c_str(), (databases_ / "a.yaml").c_str()), 0);
  EXPECT_TRUE(read_settled().databases.at(0).reading.value);
  elsewhere.put("x", billing + " ");
  EXPECT_EQ(read().databases.at(0).reading.value->id, "billing");
}

TEST_F(RuleFilesTest, sees_a_folder_swapped_by_symlink) {
  const TemporaryFolder base;
  for (const auto& [name, text] : {std::pair("one", orders), std::pair("two", billing)}) {
    fs::create_directory(base / name);
    base.put(std::string(name) + "/a.yaml", text);
  }
  ASSERT_EQ(::symlink("one", (base / "current").c_str()), 0);
  const auto id = [&] {
    return reader_.read({base / "current", ranges_.path()}, {}).databases.at(0).reading.value->id;
  };
  EXPECT_EQ(id(), "orders");
  ASSERT_EQ(::symlink("two", (base / "next").c_str()), 0);
  ASSERT_EQ(::rename((base / "next").c_str(), (base / "current").c_str()), 0);
  EXPECT_EQ(id(), "billing");
}

TEST_F(RuleFilesTest, refuses_a_fifo_without_waiting_for_it) {
  ASSERT_EQ(::mkfifo((databases_ / "a.yaml").c_str(), 0600), 0);
  EXPECT_EQ(refusal(), databases_ / "a.yaml" +
                           ": error: is no regular file: \"a FIFO\" (put a file there, or take it "
                           "away)");
}

TEST_F(RuleFilesTest, refuses_a_folder_and_a_device) {
  fs::create_directory(databases_ / "a.yaml");
  EXPECT_NE(refusal().find("\"a folder\""), std::string::npos);
  fs::remove(databases_ / "a.yaml");
  ASSERT_EQ(::symlink("/dev/null", (databases_ / "a.yaml").c_str()), 0);
  EXPECT_NE(refusal().find("\"a device\""), std::string::npos);
}

TEST_F(RuleFilesTest, refuses_a_file_writable_by_others) {
  databases_.put("a.yaml", orders, 0666);
  EXPECT_EQ(refusal(), databases_ / "a.yaml" +
                           ": error: is writable by others: \"mode 0666\" (chmod o-w " +
                           databases_ / "a.yaml" + ")");
  ASSERT_EQ(::chmod((databases_ / "a.yaml").c_str(), 0664), 0);
  EXPECT_TRUE(read().databases.at(0).reading.value);
}

TEST_F(RuleFilesTest, refuses_a_link_into_a_folder_writable_by_others) {
  const TemporaryFolder elsewhere;
  const auto real = elsewhere.put("x", orders);
  ASSERT_EQ(::symlink(real.c_str(), (databases_ / "a.yaml").c_str()), 0);
  ASSERT_EQ(::chmod(elsewhere.path().c_str(), 0777), 0);
  EXPECT_NE(refusal().find("lies in a folder that is writable by others"), std::string::npos);
}

TEST_F(RuleFilesTest, refuses_a_file_that_is_too_large) {
  const auto path = databases_.put("a.yaml", "");
  ASSERT_EQ(::truncate(path.c_str(), limits::file_bytes + 1), 0);
  EXPECT_NE(refusal().find("has more than 16 MiB: \"16777217 bytes\""), std::string::npos);
}

TEST_F(RuleFilesTest, names_a_symlink_that_leads_nowhere_or_in_circles) {
  ASSERT_EQ(::symlink("nowhere", (databases_ / "a.yaml").c_str()), 0);
  EXPECT_NE(refusal().find("is a symlink that leads nowhere"), std::string::npos);
  fs::remove(databases_ / "a.yaml");
  ASSERT_EQ(::symlink("a.yaml", (databases_ / "a.yaml").c_str()), 0);
  EXPECT_NE(refusal().find("leads back to itself"), std::string::npos);
}

TEST_F(RuleFilesTest, names_a_file_without_permission) {
  databases_.put("a.yaml", orders, 0);
  const bool was_root = ::geteuid() == 0;  // who may read everything
  if (was_root) {
    ASSERT_EQ(::chmod(databases_.path().c_str(), 0755), 0);
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const auto told = refusal();
  if (was_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(told, databases_ / "a.yaml" +
                      ": error: cannot be read: \"Permission denied\" (let moatd's user read it)");
}

TEST_F(RuleFilesTest, refuses_a_folder_writable_by_others) {
  databases_.put("a.yaml", orders);
  ASSERT_EQ(::chmod(databases_.path().c_str(), 01777), 0);
  const auto files = read();
  ASSERT_TRUE(files.databases_folder);
  EXPECT_EQ(format_fault(*files.databases_folder),
            databases_.path() +
                ": error: the folder is writable by others: \"mode 1777\" (chmod o-w " +
                databases_.path() + ")");
  EXPECT_TRUE(files.databases.empty());
  EXPECT_FALSE(files.ranges_folder);
}

// A stranger could move the folder away and put his own there.
TEST_F(RuleFilesTest, refuses_a_folder_below_one_that_is_writable_by_others) {
  const TemporaryFolder above;
  fs::create_directory(above / "dbs");
  above.put("dbs/a.yaml", orders);
  ASSERT_EQ(::chmod(above.path().c_str(), 0777), 0);
  const RuleFolders folders{above / "dbs", ranges_.path()};
  const auto files = reader_.read(folders, {});
  ASSERT_TRUE(files.databases_folder);
  EXPECT_EQ(format_fault(*files.databases_folder),
            above / "dbs" + ": error: somebody else could replace it: " + above.path() +
                " is writable by others (mode 0777) (chmod o-w " + above.path() + ")");
  EXPECT_TRUE(files.databases.empty());

  RuleFileReader for_oneself({}, std::chrono::system_clock::now,
                             RuleFileReader::UnsafeWays::warned_of);
  const auto read = for_oneself.read(folders, {});
  EXPECT_FALSE(read.databases_folder);
  EXPECT_EQ(read.databases.size(), 1u);
  ASSERT_EQ(read.passed_over.size(), 1u);
  EXPECT_EQ(read.passed_over[0].severity, Severity::warning);
  ASSERT_EQ(::chmod(above.path().c_str(), 01777), 0);
  EXPECT_FALSE(reader_.read(folders, {}).databases_folder);
}

TEST_F(RuleFilesTest, refuses_files_and_lists_on_whose_way_a_folder_is_writable_by_others) {
  const TemporaryFolder elsewhere;
  fs::create_directory(elsewhere / "loose");
  fs::create_directory(elsewhere / "loose/safe");
  const auto real = elsewhere.put("loose/safe/x", orders);
  ASSERT_EQ(::symlink(real.c_str(), (databases_ / "a.yaml").c_str()), 0);
  fs::create_directories(ranges_ / "loose/safe");
  ranges_.put("loose/safe/list.txt", "192.0.2.0/24\n");
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: loose/safe/list.txt}\n");
  EXPECT_TRUE(read().databases.at(0).reading.value);
  EXPECT_TRUE(read().ranges.at(0).reading.value);
  ASSERT_EQ(::chmod((elsewhere / "loose").c_str(), 0777), 0);
  ASSERT_EQ(::chmod((ranges_ / "loose").c_str(), 0777), 0);
  reader_.unsettle_all();
  const auto said = elsewhere / "loose" + " is writable by others (mode 0777)";
  EXPECT_THAT(refusal(), testing::HasSubstr(said));
  const auto range = read().ranges.at(0);
  EXPECT_FALSE(range.reading.value);
  EXPECT_THAT(format_fault(range.reading.faults.at(0)),
              testing::HasSubstr("loose is writable by others"));
}

TEST_F(RuleFilesTest, names_a_folder_that_is_missing_or_none) {
  const auto missing = reader_.read({databases_ / "none", ranges_.path()}, {});
  ASSERT_TRUE(missing.databases_folder);
  EXPECT_EQ(missing.databases_folder->place.file, databases_ / "none");
  databases_.put("file", "");
  EXPECT_TRUE(reader_.read({databases_ / "file", ranges_.path()}, {}).databases_folder);
}

TEST_F(RuleFilesTest, does_not_read_an_unchanged_file_again) {
  databases_.put("a.yaml", orders);
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: a.txt}\n");
  ranges_.put("a.txt", "192.0.2.0/24\n");
  const auto first = read_settled();
  const auto second = read();
  EXPECT_EQ(reader_.files_read(), 0u);
  EXPECT_EQ(second.ranges.at(0).reading.value->at(0).cidrs,
            first.ranges.at(0).reading.value->at(0).cidrs);
  EXPECT_EQ(second.databases.at(0).reading.value->id, "orders");
}

TEST_F(RuleFilesTest, reads_only_what_has_changed) {
  databases_.put("a.yaml", orders);
  databases_.put("b.yaml", billing);
  read_settled();
  databases_.put("a.yaml", orders + "# edited\n");
  read();
  EXPECT_EQ(reader_.files_read(), 1u);
}

// The first stroke moves the stamps, further ones on the same page none.
TEST_F(RuleFilesTest, does_not_settle_a_file_that_has_a_writer) {
  databases_.put("a.yaml", orders);
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: a.txt}\n");
  ranges_.put("a.txt", "192.0.2.0/24\n");
  later_ = std::chrono::seconds(1);
  const SharedMapping database(databases_ / "a.yaml");
  const SharedMapping list(ranges_ / "a.txt");
  database.replace("5432", "5433");
  list.replace("192.0.2.0", "192.0.3.0");
  (void)read();
  database.replace("5433", "5434");
  list.replace("192.0.3.0", "192.0.4.0");
  const auto files = read();
  EXPECT_EQ(files.databases.at(0).reading.value->endpoint.ports.at(0), 5434);
  EXPECT_EQ(format_prefix(files.ranges.at(0).reading.value->at(0).cidrs->at(0)), "192.0.4.0/24");
}

TEST_F(RuleFilesTest, reads_again_what_is_not_to_be_trusted) {
  struct stat status{};
  ASSERT_EQ(::stat(databases_.put("a.yaml", orders).c_str(), &status), 0);
  databases_.put("b.yaml", billing);
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: a.txt}\n");
  const auto list = ranges_.put("a.txt", "192.0.2.0/24\n");
  read_settled();
  later_ = std::chrono::seconds(1);
  reader_.unsettle({status.st_dev, status.st_ino});
  (void)read();
  EXPECT_EQ(reader_.files_read(), 1u);
  ASSERT_EQ(::stat(list.c_str(), &status), 0);
  reader_.unsettle({status.st_dev, status.st_ino});
  (void)read();
  EXPECT_EQ(reader_.files_read(), 2u) << "the list, and the file that names it";
  reader_.unsettle_all();
  (void)read();
  EXPECT_EQ(reader_.files_read(), 4u);
}

TEST_F(RuleFilesTest, sees_two_changes_of_one_size_within_a_tick) {
  ranges_.put("r.yaml", "[]\n");
  for (int i = 0; i < 300; ++i) {
    const auto text = fmt::format("database: db-{:03}\nendpoint: {{port: 1}}\nrules: []\n", i);
    databases_.put("a.yaml", text);
    ASSERT_EQ(read().databases.at(0).reading.value->id, fmt::format("db-{:03}", i));
  }
}

TEST_F(RuleFilesTest, sees_a_change_of_a_cidrs_file_and_gives_its_time) {
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: a.txt}\n");
  ranges_.put("a.txt", "192.0.2.0/24\n");
  read_settled();
  const auto list = ranges_.put("a.txt", "192.0.2.0/24\n198.51.100.0/24\n");
  const auto after = read().ranges.at(0);
  EXPECT_EQ(after.reading.value->at(0).cidrs->size(), 2u);
  struct stat status{};
  ASSERT_EQ(::stat(list.c_str(), &status), 0);
  EXPECT_EQ(after.stamp.changed, stamp_of(status).changed);
}

TEST_F(RuleFilesTest, says_what_to_do_about_a_file_that_is_not_there) {
  const auto path = databases_ / "none.yaml";
  const auto file = read_regular_file(AT_FDCWD, path, path, 100);
  ASSERT_FALSE(file);
  EXPECT_EQ(format_fault(file.error()),
            path + ": error: there is no such file (check the path, or restore it)");
}

TEST_F(RuleFilesTest, says_what_to_do_about_a_folder_that_is_not_there) {
  const auto path = databases_ / "none";
  const auto files = RuleFileReader().read({path, ranges_.path()}, {});
  ASSERT_TRUE(files.databases_folder);
  EXPECT_EQ(format_fault(*files.databases_folder),
            path + ": error: there is no such folder (check the path, or make it)");
}

// Whoever writes the folder may not be one who may read every file; faults show what is in it.
TEST_F(RuleFilesTest, takes_no_cidrs_file_from_outside_the_folder) {
  const TemporaryFolder elsewhere;
  const auto secret = elsewhere.put("secret", "root:$6$hash\n", 0600);
  fs::create_directory_symlink(elsewhere.path(), ranges_ / "lists");
  fs::create_symlink(secret, ranges_ / "list.txt");
  for (const auto* list : {"list.txt", "lists/secret"}) {
    ranges_.put("r.yaml", fmt::format("- {{id: mr-a, cidrs-file: {}}}\n", list));
    const auto file = read().ranges.at(0);
    ASSERT_EQ(file.reading.faults.size(), 1u) << list;
    const auto said = format_fault(file.reading.faults[0]);
    EXPECT_THAT(said, testing::HasSubstr("leads out of the folder"));
    EXPECT_THAT(said, testing::Not(testing::HasSubstr("hash")));
  }
}

TEST_F(RuleFilesTest, takes_a_cidrs_file_by_a_symlink_within_the_folder) {
  fs::create_directory(ranges_ / "..data");
  ranges_.put("..data/list.txt", "192.0.2.0/24\n");
  fs::create_symlink("..data/list.txt", ranges_ / "list.txt");
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: list.txt}\n");
  EXPECT_TRUE(read_settled().ranges.at(0).reading.value);
}

TEST_F(RuleFilesTest, follows_no_symlink_of_a_user_to_a_file_of_another) {
  if (::geteuid() != 0) {
    std::cout << "NOT TESTED: needs root\n";
    return;
  }
  const TemporaryFolder elsewhere;
  const auto secret = elsewhere.put("secret", "hash: 6\n", 0600);
  const auto link = databases_ / "a.yaml";
  ASSERT_EQ(::symlink(secret.c_str(), link.c_str()), 0);
  EXPECT_THAT(format_fault(read().databases.at(0).reading.faults.at(0)),
              testing::HasSubstr("hash"));
  reader_.unsettle_all();
  ASSERT_EQ(::lchown(link.c_str(), 65534, 65534), 0);
  EXPECT_THAT(refusal(), testing::HasSubstr("is a symlink to a file of another user"));
}

// Nor further on than the name itself, nor by way of a folder.
TEST_F(RuleFilesTest, follows_no_symlink_of_a_user_on_the_way_of_roots) {
  if (::geteuid() != 0) {
    std::cout << "NOT TESTED: needs root\n";
    return;
  }
  const TemporaryFolder elsewhere;
  elsewhere.put("secret", "hash: 6\n", 0600);
  const auto own = [&](const std::string& path) {
    ASSERT_EQ(::lchown(path.c_str(), 65534, 65534), 0);
  };
  fs::create_symlink("secret", elsewhere / "file");
  own(elsewhere / "file");
  fs::create_symlink(".", elsewhere / "folder");
  own(elsewhere / "folder");
  ASSERT_EQ(::chown(databases_.path().c_str(), 65534, 65534), 0);
  for (const auto* way : {"file", "folder/secret"}) {
    fs::create_symlink(elsewhere / way, databases_ / "a.yaml");
    EXPECT_THAT(refusal(), testing::HasSubstr("is a symlink to a file of another user")) << way;
    fs::remove(databases_ / "a.yaml");
  }
}

bool is_of_files(const SystemCall& call) {
  const auto number = call.entry.nr;
#ifdef SYS_readlink
  if (number == SYS_readlink) return true;
#endif
  return number == SYS_openat || number == SYS_openat2 || number == SYS_newfstatat ||
         number == SYS_readlinkat;
}

// A user swaps a file of his with a symlink, and back, between any two of the reader's calls.
TEST_F(RuleFilesTest, shows_no_file_of_another_however_quickly_a_symlink_is_swapped) {
  if (::geteuid() != 0) {
    std::cout << "NOT TESTED: needs root\n";
    return;
  }
  const TemporaryFolder elsewhere;
  const auto secret = elsewhere.put("secret", "database: x\nendpoint: {port: hash}\n", 0600);
  const auto file = databases_.put("a.yaml", orders), link = databases_ / ".link";
  fs::create_symlink(secret, link);
  for (const auto& path : {file, link}) ASSERT_EQ(::lchown(path.c_str(), 65534, 65534), 0);
  const auto shows_nothing = [&] {
    const auto faults = read().databases.at(0).reading.faults;
    return std::ranges::none_of(
        faults, [](const Fault& fault) { return format_fault(fault).contains("hash"); });
  };
  const auto swap = [&] {
    ASSERT_EQ(::renameat2(AT_FDCWD, file.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE), 0);
  };
  int calls = 0;
  ASSERT_TRUE(stopped_at(is_of_files, shows_nothing, [&](int number) { calls = number; }));
  for (int there = 1; there <= calls; there++) {
    for (int back = there + 1; back <= calls + 1; back++) {
      EXPECT_TRUE(stopped_at(is_of_files, shows_nothing,
                             [&](int number) {
                               if (number == there || number == back) swap();
                             }))
          << "swapped before calls " << there << " and " << back;
      if (fs::is_symlink(file)) swap();
    }
  }
}

TEST_F(RuleFilesTest, sees_a_missing_cidrs_file_appear) {
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: a.txt}\n");
  const auto missing = read().ranges.at(0);
  EXPECT_FALSE(missing.reading.value);
  EXPECT_NE(format_fault(missing.reading.faults.at(0)).find("there is no such file"),
            std::string::npos);
  ranges_.put("a.txt", "192.0.2.0/24\n");
  EXPECT_TRUE(read().ranges.at(0).reading.value);
}

TEST_F(RuleFilesTest, refuses_a_cidrs_file_writable_by_others) {
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: a.txt}\n");
  ranges_.put("a.txt", "192.0.2.0/24\n", 0666);
  const auto file = read().ranges.at(0);
  ASSERT_FALSE(file.reading.value);
  EXPECT_NE(format_fault(file.reading.faults.at(0)).find("is writable by others"),
            std::string::npos);
}

TEST_F(RuleFilesTest, warns_of_a_rule_once_it_has_expired) {
  const auto noon = parse_time("2027-01-31T12:00:00Z").value();
  databases_.put("a.yaml",
                 "database: orders\nendpoint: {port: 5432}\nrules:\n"
                 "  - cidr: 192.0.2.1/32\n    expires: 2027-01-31T12:00:00Z\n");
  using std::chrono::seconds;
  EXPECT_TRUE(read_settled(noon - seconds(1)).databases.at(0).reading.faults.empty());
  EXPECT_EQ(read(noon).databases.at(0).reading.faults.size(), 1u);
  EXPECT_EQ(read(noon + seconds(9)).databases.at(0).reading.faults.size(), 1u);
  EXPECT_EQ(read(noon - seconds(9)).databases.at(0).reading.faults.size(), 0u);
}

TEST_F(RuleFilesTest, forgets_a_file_that_is_gone) {
  databases_.put("a.yaml", orders);
  read_settled();
  fs::remove(databases_ / "a.yaml");
  EXPECT_TRUE(read().databases.empty());
  databases_.put("a.yaml", billing);
  EXPECT_EQ(read().databases.at(0).reading.value->id, "billing");
}

// Its two halves must agree, whichever version it is.
TEST_F(RuleFilesTest, never_mixes_two_versions_of_a_file_replaced_by_rename) {
  std::atomic<bool> stop = false;
  databases_.put("a.yaml", orders);
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      databases_.put(".next", i % 2 == 0 ? orders : billing);
      ::rename((databases_ / ".next").c_str(), (databases_ / "a.yaml").c_str());
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const auto files = read();
    if (files.databases.size() != 1 || files.databases[0].unreadable) continue;
    const auto& value = files.databases[0].reading.value;
    ASSERT_TRUE(value);
    ASSERT_EQ(value->endpoint.ports.at(0), value->id == "orders" ? 5432 : 6432);
  }
  stop = true;
  writer.join();
}

class FileInPieces : public RuleFilesTest {
 protected:
  void SetUp() override {
    databases_.put("a.yaml", orders);
    ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: list.txt}\n");
    ranges_.put("list.txt", "192.0.2.0/24\n");
    (void)take();
  }
  RuleFiles take() { return reader_.read({databases_.path(), ranges_.path()}, {}); }
  void write(const std::string& path) {
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    being_written_ = {status.st_dev, status.st_ino};
  }

  FileId being_written_;
  BeingWritten how_ = BeingWritten::open;
  RuleFileReader reader_{
      [this](const FileStamp& file, std::optional<bool> has_writer, const FileStamp&) {
        const bool is_open = file.id == being_written_ || has_writer.value_or(false);
        return is_open ? how_ : BeingWritten::no;
      }};
};

TEST_F(FileInPieces, stands_as_it_was_and_others_do_not_wait) {
  write(databases_.put("a.yaml", billing));
  databases_.put("b.yaml", billing);
  const auto files = take();
  EXPECT_EQ(files.databases.at(0).reading.value->id, "orders");
  EXPECT_TRUE(files.databases[0].is_being_written());
  EXPECT_EQ(files.databases[0].reading.faults.at(0).severity, Severity::warning);
  EXPECT_EQ(files.databases.at(1).reading.value->id, "billing");
  being_written_ = {};
  EXPECT_EQ(take().databases.at(0).reading.value->id, "billing");
  EXPECT_TRUE(take().databases.at(0).reading.faults.empty());
}

TEST_F(FileInPieces, is_known_by_whoever_has_it_open) {
  const std::ofstream writer(databases_ / "a.yaml", std::ios::app);
  databases_.put("b.yaml", billing);
  std::ofstream(databases_ / "a.yaml", std::ios::app) << "# more\n";
  EXPECT_TRUE(take().databases.at(0).is_being_written()) << "though somebody else has closed it";
  EXPECT_FALSE(take().databases.at(1).is_being_written());
}

TEST_F(FileInPieces, is_held_back_where_nothing_was_read_before) {
  write(databases_.put("new.yaml", billing));
  const auto file = take().databases.at(1);
  EXPECT_TRUE(file.is_being_written());
  EXPECT_FALSE(file.reading.value);
  EXPECT_EQ(file.reading.id, "billing") << "what it guards is guarded";
  EXPECT_TRUE(file.reading.endpoint);
  EXPECT_THAT(format_fault(file.unreadable.value()), testing::HasSubstr("is being written"));
}

// A shell's `>`, which has closed it again.
TEST_F(FileInPieces, may_be_one_that_nobody_has_open) {
  how_ = BeingWritten::shrunk;
  write(databases_.put("new.yaml", billing));
  const auto files = take();
  EXPECT_THAT(format_fault(files.databases.at(1).unreadable.value()),
              testing::AllOf(testing::HasSubstr("has become shorter a moment ago"),
                             testing::HasSubstr("read when it has not changed for 1 s"),
                             testing::Not(testing::HasSubstr("written"))));
}

TEST_F(FileInPieces, holds_for_a_list_that_a_range_names) {
  write(ranges_.put("list.txt", "192.0.2.0/25\n198.51.100.0/24\n"));
  const auto file = take().ranges.at(0);
  EXPECT_TRUE(file.is_being_written);
  EXPECT_EQ(file.reading.value->at(0).cidrs->size(), 1u);
  EXPECT_EQ(file.lists.size(), 1u) << "so that it goes on being watched";
  being_written_ = {};
  EXPECT_EQ(take().ranges.at(0).reading.value->at(0).cidrs->size(), 2u);
}

TEST_F(RuleFilesTest, refuses_a_list_that_is_empty) {
  ranges_.put("r.yaml", "- {id: mr-a, cidrs-file: list.txt}\n");
  for (const auto* text : {"", "# none\n\n"}) {
    ranges_.put("list.txt", text);
    const auto file = read().ranges.at(0);
    EXPECT_FALSE(file.reading.value);
    ASSERT_EQ(file.reading.faults.size(), 1U);
    EXPECT_EQ(file.reading.faults[0].message, "the cidrs-file has no CIDR");
    EXPECT_EQ(file.reading.faults[0].place.column, 26U);
  }
}

TEST_F(FileInPieces, holds_for_a_new_range_and_its_list) {
  ranges_.put("s.yaml", "- {id: mr-b, cidrs-file: other.txt}\n");
  write(ranges_.put("other.txt", "192.0.2.0/25\n"));
  const auto file = take().ranges.at(1);
  EXPECT_TRUE(file.is_being_written);
  EXPECT_TRUE(file.unreadable);
  EXPECT_EQ(file.lists.size(), 1u);
  being_written_ = {};
  EXPECT_TRUE(take().ranges.at(1).reading.value);
}

TEST(ReadRegularFile, gives_up_on_a_file_that_never_stops_changing) {
  const TemporaryFolder folder;
  const auto path = folder.put("log", std::string(1 << 20, 'x'));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    std::ofstream file(path, std::ios::app);
    while (!stop) file << 'x' << std::flush;
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20 * patience());
  std::string told;
  while (told.empty() && std::chrono::steady_clock::now() < deadline) {
    const auto file = read_regular_file(AT_FDCWD, path, path, limits::cidrs_file_bytes);
    if (!file) told = file.error().message;
  }
  stop = true;
  writer.join();
  EXPECT_EQ(told, "changes while it is read");
}

}  // namespace
}  // namespace moat
