// SPDX-License-Identifier: BSD-2-Clause
// moat console: the pages for Cockpit in one local session, where Cockpit is not set up. cockpit-ws
// asks for no password then, and who reaches its port has the session: so it listens on loopback
// alone, and answers only below a path that cannot be guessed. The path is in a file that nobody
// else can read, never on a command line.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "control/cli/output.h"
#include "dataplane/fd.h"
#include "dataplane/number.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

struct ConsoleOptions {
  std::string port = "0";
  std::string pages = MOAT_PAGES;
};

constexpr std::array web_servers = {"/usr/lib/cockpit/cockpit-ws", "/usr/libexec/cockpit-ws"};
constexpr const char* session_bridge = "/usr/bin/cockpit-bridge";
constexpr int first_passed_fd = 3;  // see sd_listen_fds(3)
constexpr int connections_waiting = 64;

// 128 bits.
std::string make_secret() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

Result<std::string> find_server() {
  const auto* const found =
      std::ranges::find_if(web_servers, [](const char* path) { return access(path, X_OK) == 0; });
  if (found == web_servers.end() || access(session_bridge, X_OK) != 0) {
    return std::unexpected(Error{"Cockpit is not installed: cockpit-ws and cockpit-bridge",
                                 "on Debian: apt install cockpit-ws cockpit-bridge"});
  }
  return *found;
}

Result<std::uint16_t> read_port(const std::string& text) {
  if (const auto port = parse_number<std::uint16_t>(text)) return *port;
  return std::unexpected(Error{"not a port", "give a number up to 65535, or 0 for any free port"});
}

struct Listener {
  Fd fd;
  std::uint16_t port = 0;
};

// Bound here and handed on, so that the link is right before anybody can take the port.
Result<Listener> listen_on_loopback(std::uint16_t port) {
  Listener listener{Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), port};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!listener.fd || bind(listener.fd.get(), generic, size) != 0 ||
      listen(listener.fd.get(), connections_waiting) != 0 ||
      getsockname(listener.fd.get(), generic, &size) != 0) {
    return failed(fmt::format("listen on 127.0.0.1 port {}", port));
  }
  listener.port = ntohs(address.sin_port);
  return listener;
}

// What cockpit-ws and cockpit-bridge read, in a folder that goes with it. Nobody else may look in.
class SessionFolder {
 public:
  static Result<SessionFolder> make() {
    auto path = (fs::temp_directory_path() / "moat-console.XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) return failed("make a folder in " + path);
    return SessionFolder(std::move(path));
  }
  SessionFolder(SessionFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  SessionFolder& operator=(SessionFolder&&) = delete;
  SessionFolder(const SessionFolder&) = delete;
  SessionFolder& operator=(const SessionFolder&) = delete;
  ~SessionFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  [[nodiscard]] std::string settings() const { return path_ + "/etc"; }
  [[nodiscard]] std::string packages() const { return path_ + "/share"; }

  // The pages as Cockpit's package "moat", its socket, and the path below which it answers.
  [[nodiscard]] Result<> fill(const std::string& pages, const std::string& socket,
                              const std::string& secret) const {
    std::error_code error;
    fs::create_directories(settings() + "/cockpit", error);
    if (!error) fs::create_directories(packages() + "/cockpit", error);
    if (!error) fs::create_symlink(fs::absolute(pages), packages() + "/cockpit/moat", error);
    if (error) return std::unexpected(Error{"fill " + path_ + ": " + error.message(), ""});
    std::ofstream(settings() + "/cockpit/cockpit.conf")
        << fmt::format("[WebService]\nUrlRoot=/{}\n", secret);
    std::ofstream(settings() + "/cockpit/moat.override.json")
        << dump({{"config", {{"socket", fs::absolute(socket).string()}}}});
    return {};
  }

 private:
  explicit SessionFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// In the child: never returns.
[[noreturn]] void become_server(const std::string& server, const SessionFolder& folder,
                                int listener, const sigset_t& signals) {
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const char* const before = std::getenv("XDG_DATA_DIRS");
  const auto data = folder.packages() + ":" + (before ? before : "/usr/local/share:/usr/share");
  setenv("XDG_DATA_DIRS", data.c_str(), 1);
  setenv("XDG_CONFIG_DIRS", folder.settings().c_str(), 1);
  setenv("LISTEN_FDS", "1", 1);
  setenv("LISTEN_PID", fmt::format("{}", getpid()).c_str(), 1);
  // A descriptor that is the right one already would keep its close-on-exec.
  const int passed =
      listener == first_passed_fd ? fcntl(listener, F_SETFD, 0) : dup2(listener, first_passed_fd);
  const auto session = fmt::format("--local-session={}", session_bridge);
  if (passed >= 0) execl(server.c_str(), "cockpit-ws", "--no-tls", session.c_str(), nullptr);
  _exit(127);
}

// Until it has ended, by itself or because this command is to end.
Exit wait_for_end(const Cli& cli, pid_t server, const sigset_t& signals) {
  bool is_stopped = false;
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGCHLD) {
      is_stopped = true;
      kill(server, SIGTERM);
    }
    int status = 0;
    if (waitpid(server, &status, WNOHANG) != server) continue;
    if (is_stopped || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return Exit::done;
    return fail(
        cli, {Exit::refused,
              {Refusal::Kind::unavailable, "cockpit-ws has failed", "what it says is above", {}}});
  }
}

void print_link(const Cli& cli, const std::string& link, std::uint16_t port) {
  if (cli.json) {
    print_json_line({{"url", link}});
  } else {
    print_line(link);
    tell("Who has this link has this session: keep it to yourself. Ctrl-C ends it.");
    tell(fmt::format("From another machine, first: ssh -L {0}:127.0.0.1:{0} THIS-HOST", port));
  }
  std::fflush(stdout);
}

Result<Exit> serve(const Cli& cli, const ConsoleOptions& options, std::uint16_t port) {
  const auto server = find_server();
  if (!server) return std::unexpected(server.error());
  if (!fs::exists(options.pages + "/manifest.json")) {
    return std::unexpected(
        Error{fmt::format("the pages are not in {}", options.pages),
              "install the package moat-cockpit, or name their folder: --pages"});
  }
  const auto listener = listen_on_loopback(port);
  if (!listener) return std::unexpected(listener.error());
  const auto folder = SessionFolder::make();
  if (!folder) return std::unexpected(folder.error());
  const auto secret = make_secret();
  if (auto filled = folder->fill(options.pages, cli.socket, secret); !filled)
    return std::unexpected(filled.error());

  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pid_t child = fork();
  if (child < 0) return failed("start cockpit-ws");
  if (child == 0) become_server(*server, *folder, listener->fd.get(), signals);
  print_link(cli,
             fmt::format("http://127.0.0.1:{}/{}/cockpit/@localhost/moat/index.html",
                         listener->port, secret),
             listener->port);
  return wait_for_end(cli, child, signals);
}

Exit open_console(const Cli& cli, const ConsoleOptions& options) {
  const auto port = read_port(options.port);
  if (!port) return fail(cli, misspelt(port.error(), options.port));
  const auto exit = serve(cli, options, *port);
  if (exit) return *exit;
  return fail(cli, {Exit::refused,
                    {Refusal::Kind::unavailable, exit.error().message, exit.error().remedy, {}}});
}

}  // namespace

Action command::console(Options& options) {
  const auto values = std::make_shared<ConsoleOptions>();
  options = {{"--port", "NUMBER", &values->port, "Where to listen, on loopback; 0: any free port"},
             {"--pages", "DIR", &values->pages, "Where the pages are"}};
  return make_action(values, open_console);
}

}  // namespace moat
