// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/processes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <vector>

#include "dataplane/number.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

std::string folder_of(std::int32_t pid) { return fmt::format("/proc/{}", pid); }

std::string name_of(std::int32_t pid) {
  std::ifstream file(folder_of(pid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

struct Ancestry {
  std::int32_t parent = 0;  // 0: it has none, or is gone
  bool is_roots = false;
};

Ancestry ancestry_of(std::int32_t pid) {
  std::ifstream file(folder_of(pid) + "/status");
  constexpr std::string_view parent = "PPid:\t";
  constexpr std::string_view root = "Uid:\t0\t0\t";  // real and effective
  Ancestry ancestry;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(parent)) {
      const auto number = std::string_view(line).substr(parent.size());
      ancestry.parent = parse_number<std::int32_t>(number).value_or(0);
    }
    ancestry.is_roots |= line.starts_with(root);
  }
  return ancestry;
}

// Inode numbers of the sockets that a process has open.
std::set<std::uint64_t> sockets_of(std::int32_t pid, std::error_code& error) {
  constexpr std::string_view before = "socket:[";
  std::set<std::uint64_t> sockets;
  for (fs::directory_iterator at(folder_of(pid) + "/fd", error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    const auto target = fs::read_symlink(at->path(), gone).string();
    if (gone || !target.starts_with(before)) continue;
    const auto number = std::string_view(target).substr(before.size());
    if (const auto inode = parse_number<std::uint64_t>(number.substr(0, number.size() - 1)))
      sockets.insert(*inode);
  }
  return sockets;
}

// What sshd calls itself, from version 9.8 on for each session, and another server.
bool is_ssh_server(std::string_view name) {
  constexpr std::array<std::string_view, 3> names{"sshd", "sshd-session", "dropbear"};
  return std::ranges::find(names, name) != names.end();
}

// One of root's, as anyone may name a process of his own so; of an OpenSSH session the one that
// forwards nothing. 0: none.
std::int32_t ssh_server_above(std::int32_t pid) {
  for (auto at = ancestry_of(pid).parent; at > 1;) {
    const auto [parent, is_roots] = ancestry_of(at);
    if (is_roots && is_ssh_server(name_of(at))) return at;
    at = parent;
  }
  return 0;
}

std::unexpected<Error> no_session(std::string why) {
  return std::unexpected(Error{std::move(why), "name the address yourself, as in 192.0.2.1/32"});
}

// Those that clients have connected to, and not what the server forwards: that leaves by a port
// that nobody listens on, or comes by one that the server itself listens on.
std::vector<Session> client_connections(const std::vector<Session>& connected,
                                        const std::vector<Session>& listening,
                                        const std::set<std::uint64_t>& sockets) {
  const auto is_client = [&](const Session& session) {
    return std::ranges::any_of(listening, [&](const Session& listener) {
      return listener.local_port == session.local_port && !sockets.contains(listener.inode);
    });
  };
  std::vector<Session> found;
  for (const auto& session : connected) {
    if (sockets.contains(session.inode)) found.push_back(session);
  }
  if (found.size() > 1) std::erase_if(found, [&](const Session& each) { return !is_client(each); });
  return found;
}

}  // namespace

std::map<std::uint64_t, Process> socket_owners() {
  std::map<std::uint64_t, Process> owners;
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const auto pid = parse_number<std::int32_t>(at->path().filename().string());
    if (!pid) continue;
    std::error_code unreadable;
    for (const auto socket : sockets_of(*pid, unreadable)) {
      auto& owner = owners[socket];
      if (owner.pid < *pid) owner = {*pid, {}};
    }
  }
  for (auto& [socket, owner] : owners) owner.name = name_of(owner.pid);
  return owners;
}

Result<Session> ssh_session(std::int32_t pid) {
  const auto server = ssh_server_above(pid);
  if (server == 0) {
    return no_session(
        "no SSH server of root's is above this command, as on a console, in tmux or screen, or "
        "from "
        "a timer");
  }
  std::error_code error;
  const auto sockets = sockets_of(server, error);
  if (error) {
    return std::unexpected(Error{fmt::format("the sockets of {} (pid {}) cannot be seen: {}",
                                             name_of(server), server, error.message()),
                                 "run this as root, with sudo say, or name the address yourself"});
  }
  const auto connected = connected_sessions(std::nullopt);
  if (!connected) return std::unexpected(connected.error());
  const auto listening = listeners();
  if (!listening) return std::unexpected(listening.error());
  const auto found = client_connections(*connected, *listening, sockets);
  if (found.empty()) {
    return no_session(fmt::format("{} (pid {}) has no connection in this network namespace",
                                  name_of(server), server));
  }
  const auto peer = format_peer(found.front());
  const bool is_one = std::ranges::all_of(
      found, [&](const Session& session) { return format_peer(session) == peer; });
  if (is_one) return found.front();
  std::string peers;
  for (const auto& session : found) {
    peers += fmt::format("{}{}", peers.empty() ? "" : ", ", format_peer(session));
  }
  return no_session(
      fmt::format("{} (pid {}) has several connections: {}", name_of(server), server, peers));
}

}  // namespace moat
