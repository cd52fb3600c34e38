// SPDX-License-Identifier: BSD-2-Clause
// Against a server that answers with bytes of the test's choice; with moatd's own, the command is
// tested in moat_test.cpp.
#include "control/cli/http_request.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>

#include "dataplane/fd.h"
#include "tests/support/patience.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using Kind = HttpFailure::Kind;
using namespace std::chrono_literals;

const auto long_enough = 10s * patience();

Fd listen_at(const std::string& path, int queue = 8) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(fd.get(), queue), 0);
  return fd;
}

// Takes one caller, and ends the connection when `serve` is done with it.
class OneCaller {
 public:
  explicit OneCaller(std::function<void(int)> serve)
      : listener_(listen_at(path_)), thread_([this, serve = std::move(serve)] {
          const Fd caller(::accept(listener_.get(), nullptr, nullptr));
          serve(caller.get());
        }) {}
  ~OneCaller() { thread_.join(); }
  OneCaller(const OneCaller&) = delete;
  OneCaller& operator=(const OneCaller&) = delete;

  [[nodiscard]] auto send(const HttpRequest& request) const {
    return send_request(path_, request, long_enough);
  }

 private:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "socket";
  Fd listener_;
  std::thread thread_;
};

void write(int fd, std::string_view bytes) {
  EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(bytes.size()));
}

// Up to the blank line.
std::string read_headers(int fd) {
  std::string bytes;
  for (char c; !bytes.ends_with("\r\n\r\n") && ::recv(fd, &c, 1, 0) == 1;) bytes += c;
  return bytes;
}

TEST(HttpRequest, IsAnsweredByWhatComesUpToTheEndOfTheConnection) {
  std::string asked;
  const OneCaller server([&](int fd) {
    asked = read_headers(fd);
    write(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":");
    write(fd, " 1}");
  });
  const auto answer = server.send({"GET", "/v1/status?a=b", ""});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, 200);
  EXPECT_EQ(answer->body, "{\"a\": 1}");
  EXPECT_EQ(asked, "GET /v1/status?a=b HTTP/1.0\r\nHost: moatd\r\nContent-Length: 0\r\n\r\n");
}

TEST(HttpRequest, SendsItsBody) {
  std::string asked(5, '\0');
  const OneCaller server([&](int fd) {
    EXPECT_NE(read_headers(fd).find("\r\nContent-Length: 5\r\n"), std::string::npos);
    EXPECT_EQ(::recv(fd, asked.data(), asked.size(), MSG_WAITALL), 5);
    EXPECT_EQ(asked, std::string("a\0b\r\n", 5));
    write(fd, "HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}");
  });
  const auto answer = server.send({"POST", "/v1/rules", {"a\0b\r\n", 5}});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, 409);
  EXPECT_EQ(answer->body, "{}");
}

// 64 MiB, which no socket holds.
TEST(HttpRequest, TakesALongAnswer) {
  const std::string body(std::size_t{64} << 20, 'x');
  const OneCaller server([&](int fd) {
    read_headers(fd);
    write(fd, "HTTP/1.1 200 OK\r\n\r\n");
    write(fd, body);
  });
  const auto answer = server.send({"GET", "/", ""});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->body == body);
}

// What is refused for its size is refused before all of it is read.
TEST(HttpRequest, IsAnsweredBeforeItsBodyIsTaken) {
  const std::string body(std::size_t{8} << 20, 'x');
  const OneCaller server([](int fd) {
    read_headers(fd);
    write(fd, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}");
  });
  const auto answer = server.send({"POST", "/v1/apply", body});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, 413);
  EXPECT_EQ(answer->body, "{}");
}

TEST(HttpRequest, TellsAnAnswerThatWasCutOff) {
  const std::array<std::string_view, 6> answers{
      "",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
      "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\nC: d\r\n\r\n{}",
      "HTTP/1.1 \r\n\r\n",
      "SSH-2.0-OpenSSH_9.2\r\n\r\n"};
  for (const auto bytes : answers) {
    const OneCaller server([bytes](int fd) {
      read_headers(fd);
      write(fd, bytes);
    });
    const auto answer = server.send({"GET", "/", ""});
    ASSERT_FALSE(answer) << bytes;
    EXPECT_EQ(answer.error().kind, Kind::cut_off) << bytes;
  }
}

// However little comes, and however often.
TEST(HttpRequest, WaitsForTheWholeAnswerNoLongerThanItWasTold) {
  TemporaryFolder folder;
  const auto path = folder / "socket";
  const auto listener = listen_at(path);
  const std::jthread server([&] {
    const Fd caller(::accept(listener.get(), nullptr, nullptr));
    while (::send(caller.get(), "H", 1, MSG_NOSIGNAL) == 1) std::this_thread::yield();
  });
  const auto answer = send_request(path, {"GET", "/", ""}, 50ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, Kind::timed_out);
}

TEST(HttpRequest, TellsOfADaemonThatTakesNoCallers) {
  TemporaryFolder folder;
  const auto path = folder / "socket";
  const auto listener = listen_at(path, 0);
  // One place is free; whoever has it gets no answer.
  const auto waiting = send_request(path, {"GET", "/", ""}, 50ms);
  ASSERT_FALSE(waiting);
  EXPECT_EQ(waiting.error().kind, Kind::timed_out);
  const auto turned_away = send_request(path, {"GET", "/", ""}, 50ms);
  ASSERT_FALSE(turned_away);
  EXPECT_EQ(turned_away.error().kind, Kind::busy);
}

TEST(HttpRequest, TellsWhyNobodyIsReached) {
  TemporaryFolder folder;
  const auto none = send_request(folder / "none", {"GET", "/", ""}, long_enough);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, Kind::unreachable);
  EXPECT_EQ(none.error().os_error, ENOENT);
  (void)listen_at(folder / "left");
  const auto left = send_request(folder / "left", {"GET", "/", ""}, long_enough);
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().os_error, ECONNREFUSED);
}

}  // namespace
}  // namespace moat
