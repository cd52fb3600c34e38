// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/own_address.h"

#include <fmt/format.h>
#include <unistd.h>

#include "dataplane/host/processes.h"

namespace moat {
namespace {

std::unexpected<CommandError> unknown(const std::string& why, std::string remedy) {
  return std::unexpected(CommandError{
      Exit::refused,
      {Refusal::Kind::not_found, "your own address is not known: " + why, std::move(remedy), {}}});
}

}  // namespace

ClientResult<std::string> own_address() {
  const auto session = ssh_session(getpid());
  if (!session) return unknown(session.error().message, session.error().remedy);
  auto peer = format_peer(*session);
  if (session->ipv6) {
    return unknown(fmt::format("the SSH session comes by IPv6, from {}", peer),
                   "there are no IPv6 rules: connect with ssh -4, or name an IPv4 address");
  }
  if (session->own) {
    return unknown(fmt::format("the SSH session comes from this host itself, {}", peer),
                   "name the address yourself, as in 192.0.2.1/32");
  }
  return peer;
}

}  // namespace moat
