// SPDX-License-Identifier: BSD-2-Clause
// On real processes and sockets, in a network namespace of the test's own.
#include "dataplane/host/processes.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "tests/support/own_netns.h"
#include "tests/support/tcp_sockets.h"

namespace moat {
namespace {

constexpr auto host = "198.18.0.5";
constexpr auto client = "198.18.0.9";

Fd listening_at(std::uint16_t port) { return listener(address4(host, port)); }

Fd connected_from(const char* from, std::uint16_t port) {
  return connected(address4(from, 0), address4(host, port));
}

std::uint64_t inode_of(const Fd& socket) {
  struct stat about{};
  EXPECT_EQ(fstat(socket.get(), &about), 0);
  return about.st_ino;
}

// A process of a name, and one below it, which both live as long as this.
class ServerAndChild {
 public:
  // `serve` runs in the first of them.
  ServerAndChild(const char* name, const std::function<void()>& serve) {
    std::array<int, 2> end{}, news{};
    EXPECT_EQ(pipe(end.data()), 0);
    EXPECT_EQ(pipe(news.data()), 0);
    server_ = fork();
    if (server_ == 0) {
      prctl(PR_SET_NAME, name);
      close(end[1]);
      serve();
      const pid_t below = fork();
      if (below != 0 && write(news[1], &below, sizeof below) != sizeof below) _exit(1);
      char byte = 0;
      _exit(read(end[0], &byte, 1) == 0 ? 0 : 1);  // until the test closes the other end
    }
    close(end[0]);
    end_ = Fd(end[1]);
    EXPECT_EQ(read(news[0], &child_, sizeof child_), ssize_t{sizeof child_});
    close(news[0]);
    close(news[1]);
  }
  ~ServerAndChild() {
    end_ = Fd();
    waitpid(server_, nullptr, 0);
  }
  ServerAndChild(const ServerAndChild&) = delete;
  ServerAndChild& operator=(const ServerAndChild&) = delete;

  [[nodiscard]] pid_t server() const { return server_; }
  [[nodiscard]] pid_t child() const { return child_; }

 private:
  Fd end_;
  pid_t server_ = 0;
  pid_t child_ = 0;
};

class Processes : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_TRUE(enter_own_netns()) << "needs root";
    for (const auto* address : {host, client, "198.18.0.10"}) {
      ASSERT_TRUE(run(std::string("ip address add ") + address + "/16 dev lo"));
    }
  }
};

TEST_F(Processes, NameTheOwnerOfASocket) {
  const auto listening = listening_at(5432);
  const auto far = connected_from(client, 5432);
  const Fd near(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_EQ(socket_owners()[inode_of(near)].pid, getpid());
  const ServerAndChild postgres("postgres", [] {});
  const auto owner = socket_owners()[inode_of(near)];
  EXPECT_EQ(owner.pid, std::max(postgres.server(), postgres.child())) << "handed on";
  EXPECT_EQ(owner.name, "postgres");
  const auto sessions = connected_sessions(std::vector<std::uint16_t>{5432}, true).value();
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sessions[0].inode, inode_of(near));
  EXPECT_EQ(format_local(sessions[0]), host);
  EXPECT_TRUE(sessions[0].idle.has_value());
}

TEST_F(Processes, FindTheClientOfAnSshSession) {
  setenv("SSH_CONNECTION", "203.0.113.1 1 203.0.113.2 22", 1);
  const auto listening = listening_at(22);
  auto far = connected_from(client, 22);
  Fd near(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int kept = listening.get();
  const ServerAndChild sshd("sshd", [kept] { close(kept); });
  const auto session = ssh_session(sshd.child());
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(format_peer(*session), client);
  EXPECT_EQ(session->local_port, 22);
}

TEST_F(Processes, TakeNothingThatAnSshSessionForwardsForItsClient) {
  const auto listening = listening_at(2022), elsewhere = listening_at(3333);
  auto far = connected_from(client, 2022);
  Fd near(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const int kept = listening.get();
  Fd local, remote_listener, remote_far, remote_near;  // of the server, and the test does without
  const ServerAndChild sshd("sshd-session", [&] {
    close(kept);
    local = connected_from(host, 3333);
    remote_listener = listening_at(4444);
    remote_far = connected_from("198.18.0.10", 4444);
    remote_near = Fd(accept4(remote_listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  });
  const auto session = ssh_session(sshd.child());
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ(format_peer(*session), client);
}

TEST_F(Processes, BelieveNoUsersProcessThatIsNamedLikeAnSshServer) {
  const auto listening = listening_at(2222);
  const auto far = connected_from("198.18.0.10", 2222);
  const Fd near(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const ServerAndChild fake("sshd", [] {
    if (setresuid(65534, 65534, 65534) != 0) _exit(1);
  });
  const auto session = ssh_session(fake.child());
  EXPECT_FALSE(session && format_peer(*session) == "198.18.0.10");
}

TEST_F(Processes, SayWhyThereIsNoSshSession) {
  const ServerAndChild sshd("sshd", [] {
    for (int fd = 3; fd < 64; fd++) {
      struct stat about{};
      if (fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode)) close(fd);
    }
  });
  const auto none = ssh_session(sshd.child());
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("has no connection in this network namespace"),
            std::string::npos)
      << none.error().message;
  EXPECT_FALSE(none.error().remedy.empty());
  EXPECT_FALSE(ssh_session(1)) << "nothing is above the first process";
}

}  // namespace
}  // namespace moat
