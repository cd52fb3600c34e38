// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/socket_set.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>

namespace moat {

Result<SocketSet> SocketSet::open() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return failed("make an epoll set");
  return SocketSet(std::move(epoll));
}

void SocketSet::wait_for(int socket, bool readable, bool writable) {
  epoll_event event{};
  event.data.fd = socket;
  event.events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
  if (event.events == 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
  } else if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket, &event) != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event);
  }
}

std::vector<SocketSet::Ready> SocketSet::ready() const {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  std::vector<Ready> found;
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    found.push_back({event.data.fd, (event.events & (EPOLLIN | EPOLLHUP)) != 0,
                     (event.events & EPOLLOUT) != 0, (event.events & EPOLLERR) != 0});
  }
  return found;
}

}  // namespace moat
