// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/screen.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <string>

namespace moat {
namespace {

using namespace std::chrono_literals;

// xterm's words for it, which every terminal of today knows: another screen, without a cursor, on
// which what is too wide is cut off.
constexpr std::string_view enter = "\033[?1049h\033[?25l\033[?7l";
constexpr std::string_view leave = "\033[?7h\033[?25h\033[?1049l";
constexpr std::string_view home = "\033[H";
constexpr std::string_view to_end_of_line = "\033[K";
constexpr std::string_view to_end_of_screen = "\033[J";
constexpr char ctrl_c = 3;

void write_screen(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

sigset_t signals_of_interest() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&set, signal);
  return set;
}

std::size_t rows() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 ? size.ws_row : 24;
}

}  // namespace

Screen::Screen() {
  const auto set = signals_of_interest();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  termios now{};
  if (isatty(STDIN_FILENO) != 0 && tcgetattr(STDIN_FILENO, &now) == 0) {
    before_ = now;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);  // keys come as they are typed
    tcsetattr(STDIN_FILENO, TCSANOW, &now);
  }
  write_screen(enter);
}

Screen::~Screen() {
  write_screen(leave);
  if (before_) tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
  const auto set = signals_of_interest();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void Screen::draw(std::string_view text) {
  std::string all(home);
  const auto room = rows();
  std::size_t row = 0;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++row;
    if (row == room && !text.empty()) {
      all += fmt::format("...{}", to_end_of_line);
      break;
    }
    all += fmt::format("{}{}", line, to_end_of_line);
    if (row < room) all += "\r\n";
  }
  all += to_end_of_screen;
  write_screen(all);
}

Screen::Event Screen::wait(std::chrono::milliseconds time) const {
  const auto until = std::chrono::steady_clock::now() + time;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= 0ms) return Event::time_passed;
    std::array<pollfd, 2> fds{
        {{signals_.get(), POLLIN, 0}, {before_ ? STDIN_FILENO : -1, POLLIN, 0}}};
    poll(fds.data(), fds.size(), static_cast<int>(left.count()));
    signalfd_siginfo signal{};
    if (read(signals_.get(), &signal, sizeof signal) == sizeof signal)
      return signal.ssi_signo == SIGWINCH ? Event::resized : Event::end;
    if (fds[1].revents == 0) continue;
    char key = 0;
    if (read(STDIN_FILENO, &key, 1) != 1) return Event::end;  // the terminal is gone
    if (key == 'q' || key == 'Q' || key == ctrl_c) return Event::end;
  }
}

}  // namespace moat
