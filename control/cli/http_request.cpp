// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/http_request.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <optional>

#include "dataplane/fd.h"
#include "dataplane/number.h"

namespace moat {
namespace {

using Clock = std::chrono::steady_clock;
using Failure = HttpFailure::Kind;

// So long does a daemon that has more callers than it has taken get to take this one.
constexpr std::chrono::milliseconds for_a_place{5000};

std::expected<Fd, HttpFailure> connect_to(const std::string& path,
                                          std::chrono::milliseconds patience) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(path, address.sun_path);
  const auto wait = std::min(patience, for_a_place);
  const timeval limit{wait.count() / 1000, wait.count() % 1000 * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return fd;
  return std::unexpected(errno == EAGAIN ? HttpFailure{Failure::busy, 0}
                                         : HttpFailure{Failure::unreachable, errno});
}

// Whether it is ready for `events`, or at its end, before the deadline.
bool wait_for(const Fd& fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd waiting{fd.get(), events, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

// False: the time is over. That the other side takes no more is no failure: it may have answered
// before, as to a body that is too large.
bool send_all(const Fd& fd, std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    if (!wait_for(fd, POLLOUT, deadline)) return false;
    const auto sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EAGAIN && errno != EINTR) break;
  }
  return true;
}

// All until the other side ends it; nothing: the time is over.
std::optional<std::string> receive_all(const Fd& fd, Clock::time_point deadline) {
  std::string bytes;
  std::array<char, 65536> buffer;
  for (;;) {
    if (!wait_for(fd, POLLIN, deadline)) return std::nullopt;
    const auto size = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) bytes.append(buffer.data(), static_cast<std::size_t>(size));
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) return bytes;
  }
}

// In whichever case.
bool is_same_letter(unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); }

// The value of Content-Length in these lines, which each end with CR and LF.
std::optional<std::size_t> length_in(std::string_view headers) {
  constexpr std::string_view name = "\r\nContent-Length:";
  for (auto at = headers.find("\r\n"); at < headers.size(); at = headers.find("\r\n", at + 2)) {
    const auto line = headers.substr(at, headers.find("\r\n", at + 2) - at);
    if (!std::ranges::equal(line.substr(0, name.size()), name, is_same_letter)) continue;
    auto value = line.substr(name.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return parse_number<std::size_t>(value);
  }
  return std::nullopt;
}

// HTTP/1.1 200 OK CRLF headers CRLF CRLF body
std::optional<HttpAnswer> parse_answer(std::string bytes) {
  constexpr std::string_view end_of_headers = "\r\n\r\n";
  constexpr std::size_t code_at = std::string_view("HTTP/1.1 ").size(), digits = 3;
  const auto end = bytes.find(end_of_headers);
  if (!bytes.starts_with("HTTP/1.") || end == std::string::npos) return std::nullopt;
  const auto headers = std::string_view(bytes).substr(0, end);
  const auto code = parse_number<int>(headers.substr(std::min(code_at, end), digits));
  const auto length = length_in(headers);
  const auto body_at = end + end_of_headers.size();
  if (!code || (length && bytes.size() - body_at < *length)) return std::nullopt;
  bytes.erase(0, body_at);
  return HttpAnswer{*code, std::move(bytes)};
}

}  // namespace

std::expected<HttpAnswer, HttpFailure> send_request(const std::string& socket,
                                                    const HttpRequest& request,
                                                    std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  auto fd = connect_to(socket, patience);
  if (!fd) return std::unexpected(fd.error());
  const auto bytes = fmt::format("{} {} HTTP/1.0\r\nHost: moatd\r\nContent-Length: {}\r\n\r\n{}",
                                 request.method, request.target, request.body.size(), request.body);
  if (!send_all(*fd, bytes, deadline)) return std::unexpected(HttpFailure{Failure::timed_out, 0});
  auto received = receive_all(*fd, deadline);
  if (!received) return std::unexpected(HttpFailure{Failure::timed_out, 0});
  auto answer = parse_answer(std::move(*received));
  if (!answer) return std::unexpected(HttpFailure{Failure::cut_off, 0});
  return std::move(*answer);
}

}  // namespace moat
