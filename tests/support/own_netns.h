// SPDX-License-Identifier: BSD-2-Clause
// A network namespace of its own for the test process: nothing it does is seen from outside.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace moat {

// Enters a fresh network namespace with `lo` up. False without the privilege.
inline bool enter_own_netns() {
  if (unshare(CLONE_NEWNET) != 0) return false;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool is_up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return is_up;
}

// Runs a command; true if it succeeds.
inline bool run(const std::string& command) { return std::system(command.c_str()) == 0; }

}  // namespace moat
