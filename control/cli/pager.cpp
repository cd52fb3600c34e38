// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/pager.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace moat {
namespace {

constexpr int not_found = 127;  // as the shell ends where the pager cannot be run

// Whether somebody else lent root's rights for this command: they may be for no other.
bool is_lent() {
  constexpr std::array by = {"SUDO_UID", "DOAS_USER", "PKEXEC_UID"};
  return geteuid() == 0 &&
         std::ranges::any_of(by, [](const char* name) { return std::getenv(name) != nullptr; });
}

std::string pager_command() {
  if (is_lent()) return "less";
  const char* pager = std::getenv("PAGER");
  return pager != nullptr ? pager : "less";
}

bool is_wanted(const Cli& cli) {
  const char* terminal = std::getenv("TERM");
  if (cli.no_pager || cli.json || isatty(STDOUT_FILENO) == 0) return false;
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  const auto command = pager_command();
  return !command.empty() && command != "cat";
}

std::size_t terminal_rows() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 ? size.ws_row : 24;
}

// Calls `use` with each piece of the file.
template <typename Use>
void read_all(int file, const Use& use) {
  std::array<char, 1 << 16> piece;
  lseek(file, 0, SEEK_SET);
  for (ssize_t size = 0; (size = read(file, piece.data(), piece.size())) > 0;)
    use(std::string_view(piece.data(), static_cast<std::size_t>(size)));
}

std::size_t count_lines(int file) {
  std::size_t lines = 0;
  read_all(file, [&](std::string_view piece) {
    lines += static_cast<std::size_t>(std::ranges::count(piece, '\n'));
  });
  return lines;
}

// Whether a pager has shown the file.
bool show_by_pager(int file) {
  setenv("LESS", "FRX", 0);                     // colours, and no other screen
  if (is_lent()) setenv("LESSSECURE", "1", 1);  // no shell, no editor, no other file
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  lseek(file, 0, SEEK_SET);
  posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
  auto command = pager_command();
  std::string shell = "sh", flag = "-c";
  const std::array<char*, 4> argv{shell.data(), flag.data(), command.data(), nullptr};
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, "/bin/sh", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return false;
  auto* const before = std::signal(SIGINT, SIG_IGN);  // the pager's affair
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::signal(SIGINT, before);
  return !WIFEXITED(status) || WEXITSTATUS(status) != not_found;
}

}  // namespace

Pager::Pager(const Cli& cli) {
  if (!is_wanted(cli)) return;
  Fd kept(memfd_create("moat", MFD_CLOEXEC));
  Fd terminal(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!kept || !terminal) return;
  std::fflush(stdout);
  if (dup2(kept.get(), STDOUT_FILENO) < 0) return;
  setenv(pager_variable, "1", 1);
  kept_ = std::move(kept);
  terminal_ = std::move(terminal);
}

Pager::~Pager() {
  if (!terminal_) return;
  std::fflush(stdout);
  dup2(terminal_.get(), STDOUT_FILENO);
  unsetenv(pager_variable);
  if (count_lines(kept_.get()) >= terminal_rows() && show_by_pager(kept_.get())) return;
  read_all(kept_.get(),
           [](std::string_view piece) { std::fwrite(piece.data(), 1, piece.size(), stdout); });
}

}  // namespace moat
