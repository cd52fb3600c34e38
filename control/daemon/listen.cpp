// SPDX-License-Identifier: BSD-2-Clause
// Where the daemon can be asked: the control socket, and an address for metrics where moat.yaml
// names one.
#include <fmt/format.h>

#include "control/daemon/daemon.h"
#include "control/os/control_socket.h"
#include "control/os/local_names.h"
#include "control/os/log.h"

namespace moat {
namespace {

constexpr auto socket_group = "moat";

}  // namespace

// Also where somebody has removed it, or put something in its place. Not from within a request.
void Daemon::ensure_socket() {
  const auto now = socket_at(paths_.socket);
  const bool is_there = api_ && now && now == socket_;
  const bool was_there = api_ != nullptr;
  const auto made = is_there ? Result<>() : listen();
  set_problem(Step::socket, made, "nobody can ask or command moatd: no control socket can be made");
  if (!is_there && made && was_there)
    note_mend(fmt::format("the control socket was gone from {}", paths_.socket));
  admit_peers();
}

Result<> Daemon::listen() {
  auto listener = listen_on(paths_.socket, socket_group);
  if (!listener) return std::unexpected(listener.error());
  const auto socket = socket_at(paths_.socket);
  auto api = Api::start(*this, listener->release());
  if (!api) return std::unexpected(api.error());
  auto source = loop_.on_readable((*api)->fd(), [this] { run_api(); });
  if (!source) return std::unexpected(source.error());
  api_source_ = std::move(*source);  // that of before is silent from now on
  api_ = std::move(*api);
  socket_ = socket;
  return {};
}

// Groups are looked up anew, as they may be made while moatd runs.
void Daemon::admit_peers() {
  if (!api_) return;
  const auto& readers = settings_.config().socket_readers;
  ApiAccess access;
  access.operators = socket_group;
  access.operators_gid = find_group(socket_group);
  access.readers = readers;
  if (!readers.empty()) access.readers_gid = find_group(readers);
  api_->admit(access);
  // A socket has one group: with a second one everybody may connect, and moatd refuses the others.
  if (socket_at(paths_.socket) == socket_) open_to_others(paths_.socket, !readers.empty());
}

void Daemon::ensure_metrics() {
  const auto& address = settings_.config().metrics;
  if (address.empty()) {
    metrics_api_.reset();
    metrics_address_.clear();
    return set_problem(Step::metrics, {}, "");
  }
  if (metrics_api_ && metrics_address_ == address) return;
  metrics_source_ = {};
  metrics_api_.reset();
  set_problem(Step::metrics, listen_for_metrics(address), "metrics are not told by TCP");
}

Result<> Daemon::listen_for_metrics(const std::string& address) {
  auto listener = listen_on_loopback(address);
  if (!listener) return std::unexpected(listener.error());
  auto api = Api::start(*this, listener->release(), {}, ApiScope::figures);
  if (!api) return std::unexpected(api.error());
  auto source = loop_.on_readable((*api)->fd(), [this] { run_metrics_api(); });
  if (!source) return std::unexpected(source.error());
  metrics_source_ = std::move(*source);
  metrics_api_ = std::move(*api);
  metrics_address_ = address;
  log_.info("metrics are told at http://{}/metrics", address);
  return {};
}

}  // namespace moat
