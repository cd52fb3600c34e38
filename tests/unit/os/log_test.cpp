// SPDX-License-Identifier: BSD-2-Clause
// What the journal gets: as root, since its socket has one place, which is another one here.
#include "control/os/log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "dataplane/fd.h"

namespace moat {
namespace {

// All that `write` writes to stderr, which leads to the journal as far as JOURNAL_STREAM tells, in
// a process with a /run of its own.
std::string in_own_run(const std::function<void()>& write) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  if (const auto child = ::fork(); child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    struct stat status{};
    ::fstat(STDERR_FILENO, &status);
    ::setenv("JOURNAL_STREAM", fmt::format("{}:{}", status.st_dev, status.st_ino).c_str(), 1);
    if (::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0 &&
        ::mount("tmpfs", "/run", "tmpfs", 0, "") == 0)
      write();
    std::_Exit(0);
  } else {
    ::close(ends[1]);
    std::string text;
    std::array<char, 4096> buffer;
    for (ssize_t size = 0; (size = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(size));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return text;
  }
}

// The journal's socket, as sd_journal_send(3) looks for it.
Fd make_journal() {
  std::filesystem::create_directories("/run/systemd/journal");
  Fd journal(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{AF_UNIX, "/run/systemd/journal/socket"};
  if (::bind(journal.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Fd();
  return journal;
}

// What came last, to stderr, where the test reads it.
void hand_on(const Fd& journal) {
  std::array<char, 4096> buffer;
  const auto size = ::recv(journal.get(), buffer.data(), buffer.size(), 0);
  if (size > 0) (void)!::write(STDERR_FILENO, buffer.data(), static_cast<std::size_t>(size));
}

TEST(LogAsRoot, HasFieldsInTheJournal) {
  const auto entry = in_own_run([] {
    const auto journal = make_journal();
    const auto log = make_log("moatd");
    log->set_generation(17);
    log->about(LogEvent::monitored, "orders").warn("database {} is\nin monitor mode", "orders");
    hand_on(journal);
  });
  EXPECT_EQ(entry,
            "MESSAGE=database orders is\\x0ain monitor mode\nPRIORITY=4\nSYSLOG_IDENTIFIER=moatd\n"
            "MOAT_GENERATION=17\nMOAT_DATABASE=orders\n"
            "MESSAGE_ID=a9fe3df87a23403fadc1259b7a907a24\n");
}

TEST(LogAsRoot, HasNoFieldsOfTheMessageBefore) {
  const auto entry = in_own_run([] {
    const auto journal = make_journal();
    const auto log = make_log("moat-agent");
    log->about(LogEvent::monitored, "orders").warn("one");
    hand_on(journal);
    log->info("two");
    hand_on(journal);
  });
  EXPECT_NE(entry.find("MESSAGE=two\nPRIORITY=6\nSYSLOG_IDENTIFIER=moat-agent\n"),
            std::string::npos)
      << entry;
  EXPECT_EQ(entry.find("MOAT_DATABASE", entry.find("MESSAGE=two")), std::string::npos) << entry;
}

TEST(LogAsRoot, GoesToStderrWhereTheJournalIsGone) {
  const auto said =
      in_own_run([] { make_log("moatd")->about(LogEvent::problem).error("a disk is full"); });
  EXPECT_EQ(said, "<3>a disk is full\n");
}

TEST(Log, HasAnExplanationOfEachEventInTheCatalog) {
  std::ifstream file("config/moat.catalog");
  const std::string catalog{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string_view> seen;
  for (const auto& [event, id] : event_ids) {
    EXPECT_TRUE(seen.insert(id).second) << id;
    EXPECT_EQ(id.size(), 32u) << id;
    EXPECT_NE(catalog.find(fmt::format("\n-- {}\nSubject: ", id)), std::string::npos) << id;
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(LogEvent::detached));
}

}  // namespace
}  // namespace moat
