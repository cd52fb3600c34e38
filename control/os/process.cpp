// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/process.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "control/os/file_io.h"
#include "control/text/utf8.h"
#include "dataplane/fd.h"

namespace moat {

std::string command_line(pid_t pid) {
  constexpr std::size_t max_bytes = 200;
  const Fd fd(::open(fmt::format("/proc/{}/cmdline", pid).c_str(), O_RDONLY | O_CLOEXEC));
  auto words = fd ? read_to_end(fd.get(), 4 * max_bytes).value_or("") : "";
  while (words.ends_with('\0')) words.pop_back();
  std::ranges::replace(words, '\0', ' ');
  return shorten(printable(words), max_bytes);
}

}  // namespace moat
