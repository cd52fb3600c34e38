// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/run_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include "control/os/file_io.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::array folders = {"/usr/sbin", "/sbin", "/usr/bin", "/bin"};
constexpr std::size_t max_bytes = std::size_t{256} << 20;

std::optional<std::string> find_program(const std::string& name) {
  for (const auto* folder : folders) {
    auto path = fmt::format("{}/{}", folder, name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

std::unexpected<Error> failure(const std::string& name, const std::string& what) {
  return std::unexpected(Error{fmt::format("{}: {}", name, what), ""});
}

// What a program reads: `input`, from its beginning. Without a descriptor: errno says why.
Fd input_of(std::string_view input) {
  if (input.empty()) return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Fd file(::memfd_create("input", MFD_CLOEXEC));
  if (!file) return file;
  errno = write_all(file.get(), input);
  if (errno != 0 || ::lseek(file.get(), 0, SEEK_SET) != 0) return {};
  return file;
}

// Null or an error number.
int spawn(const std::string& path, const std::vector<std::string>& arguments, int in, int out,
          int complaints, pid_t* pid) {
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::string locale = "LC_ALL=C";
  std::string search = "PATH=/usr/sbin:/sbin:/usr/bin:/bin";
  std::array<char*, 3> environment = {locale.data(), search.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
  const int error =
      ::posix_spawn(pid, path.c_str(), &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Up to the end of what comes; false when it takes too long, or is too much.
bool read_all(int fd, Steady::time_point deadline, std::string& into) {
  std::array<char, 65536> buffer{};
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now()).count();
    pollfd wait{fd, POLLIN, 0};
    const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0;
    into.append(buffer.data(), static_cast<std::size_t>(got));
    if (into.size() > max_bytes) return false;
  }
}

std::string first_line(int file) {
  std::array<char, 512> buffer{};
  const auto got = ::pread(file, buffer.data(), buffer.size(), 0);
  const std::string said(buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
  return said.substr(0, said.find('\n'));
}

}  // namespace

Result<std::string> run_program(const std::string& name, const std::vector<std::string>& arguments,
                                std::chrono::milliseconds patience, std::string_view input) {
  const auto path = find_program(name);
  if (!path) return failure(name, "it is not installed");
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failure(name, errno_words(errno));
  const Fd in(ends[0]);
  Fd out(ends[1]);
  const Fd from = input_of(input);
  if (!from) return failure(name, errno_words(errno));
  const Fd complaints(::memfd_create("complaints", MFD_CLOEXEC));
  pid_t pid = 0;
  if (const int error = spawn(*path, arguments, from.get(), out.get(), complaints.get(), &pid);
      error != 0) {
    return failure(name, errno_words(error));
  }
  out = Fd();
  std::string said;
  const bool is_whole = read_all(in.get(), Steady::now() + patience, said);
  if (!is_whole) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!is_whole) return failure(name, "it took too long, or said too much");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return failure(name, "it failed: " + first_line(complaints.get()));
  }
  return said;
}

}  // namespace moat
