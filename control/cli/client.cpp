// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/client.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "control/cli/http_request.h"

namespace moat {
namespace {

// A question is answered at once, and a change when the kernel enforces it or the bound has passed.
constexpr std::chrono::seconds for_an_answer{10};

CommandError unreachable(std::string message, std::string remedy) {
  return {Exit::unreachable,
          {Refusal::Kind::unavailable, std::move(message), std::move(remedy), {}}};
}

CommandError unanswered(const std::string& socket, std::chrono::milliseconds waited,
                        bool is_change) {
  CommandError failure = {
      Exit::not_enforced,
      {Refusal::Kind::unavailable,
       fmt::format("moatd at {} does not answer within {} s; what was in force stays as it was "
                   "unless somebody changed it in the kernel{}",
                   socket, std::chrono::ceil<std::chrono::seconds>(waited).count(),
                   is_change ? ", and whether the change was taken is not known" : ""),
       "see journalctl -u moatd; systemctl restart moatd",
       {}}};
  failure.is_silent = true;
  return failure;
}

// Of the guard, without moatd. Where its pins are, the command knows of the usual moatd alone.
std::string what_stays_of(const std::string& socket) {
  if (socket == paths::socket) {
    const std::string pins(paths::bpffs);
    return what_stays(pins, look_at_pins(pins));
  }
  return "what was in force stays as it was if it was pinned and nobody changed it since: see PINS "
         "in moatd(8)";
}

std::string cause_of(const HttpFailure& failure) {
  switch (failure.kind) {
    case HttpFailure::Kind::busy:
      return "it has more callers waiting than it takes";
    case HttpFailure::Kind::cut_off:
      return "the connection ended before the answer did";
    default:
      return std::strerror(failure.os_error);
  }
}

CommandError why_unreachable(const std::string& socket, const HttpFailure& failure) {
  const auto os_error = failure.os_error;
  const auto message = fmt::format("moatd is not reachable at {}: {}", socket, cause_of(failure));
  if (os_error == EACCES || os_error == EPERM) {
    return {Exit::refused,
            {Refusal::Kind::forbidden,
             fmt::format("you may not ask moatd, at {}: {}", socket, cause_of(failure)),
             "use sudo, or join the group moat and log in anew",
             {}}};
  }
  if (os_error == 0) {
    auto silent = unreachable(message, "it is there but does not answer: see journalctl -u moatd");
    silent.is_silent = true;
    return silent;
  }
  auto stopped =
      unreachable(fmt::format("{}; {}", message, what_stays_of(socket)),
                  "start it with: systemctl start moatd; or name its socket with --socket");
  stopped.is_stopped = true;
  return stopped;
}

CommandError refused(const Json& answer, int code) {
  const auto error = answer.find("error");
  if (error == answer.end()) return not_understood(fmt::format("code {} without an error", code));
  auto refusal = decode<Refusal>(*error);
  if (!refusal) return not_understood(refusal.error());
  return {Exit::refused, std::move(*refusal)};
}

std::string with_arguments(std::string path, const Client::Arguments& arguments) {
  char separator = path.contains('?') ? '&' : '?';
  for (const auto& [name, value] : arguments) {
    if (value.empty()) continue;
    path += fmt::format("{}{}={}", separator, name, escape(value));
    separator = '&';
  }
  return path;
}

}  // namespace

std::string_view why_nothing_stands(const PinnedGuard& guard) {
  if (!guard.has_pins) return "nothing is pinned";
  return guard.has_rules() ? "no program of Moat's is attached by the pins"
                           : "no rules are in the maps that are pinned";
}

std::string why_doubtful(const PinnedGuard& guard, const std::string& pins) {
  if (guard.before_sockets == Runs::moats && guard.unknown.empty() &&
      guard.at_sockets != Runs::unknown)
    return fmt::format(
        "by the pins in {} at most the backstop before sockets is attached, of which the kernel "
        "does not tell",
        pins);
  return fmt::format("the pins in {} are not all there", pins);
}

std::string what_stays(const std::string& pins, const Result<PinnedGuard>& guard) {
  if (!guard)
    return fmt::format(
        "what was in force stays as it was if it is pinned in {} and nobody changed it since, "
        "which root can see",
        pins);
  if (guard->has_rules() && guard->is_doubtful())
    return "nobody can say whether anything is guarded: " + why_doubtful(*guard, pins);
  if (!guard->stands())
    return fmt::format("NOTHING is guarded, as {} in {}{}", why_nothing_stands(*guard), pins,
                       guard->has_pins ? "" : ", unless moatd had another --bpffs");
  if (guard->is_closed)
    return fmt::format(
        "guarded ports are closed to everyone, as the rules that were pinned in {} were taken away",
        pins);
  const auto is_strange = [](Runs runs) { return runs == Runs::another || runs == Runs::unknown; };
  if (!guard->doubt.empty() || !guard->foreign.empty() || !guard->unknown.empty() ||
      !guard->gone.empty() || is_strange(guard->at_sockets) || is_strange(guard->before_sockets))
    return fmt::format(
        "what was in force is pinned in {} and not all of it is as it was: see moat status", pins);
  return fmt::format("what was in force is pinned in {} and stays as it was{}", pins,
                     guard->at_sockets == Runs::nothing ? ", without the backstop at sockets" : "");
}

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                          (byte >= 'a' && byte <= 'z') || std::strchr("-._~", c) != nullptr;
    escaped += is_plain && c != '\0' ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return escaped;
}

CommandError misspelt(const Error& error, const std::string& value) {
  return {
      Exit::usage,
      {Refusal::Kind::invalid, fmt::format("{}: \"{}\"", error.message, value), error.remedy, {}}};
}

CommandError not_understood(const std::string& why) {
  return {Exit::refused,
          {Refusal::Kind::unavailable,
           fmt::format("moatd's answer is not understood: {}", why),
           "moat and moatd should be of one version: see moat version",
           {}}};
}

ClientResult<Document> Client::get(const std::string& path, const Arguments& arguments) const {
  return send("GET", with_arguments(path, arguments), "", for_an_answer);
}

ClientResult<StatusView> Client::status() {
  auto status = as<StatusView>(get("/v1/status"));
  if (status) bound_ = status->bound;
  return status;
}

ClientResult<Document> Client::post(const std::string& path, const std::string& body) {
  return change("POST", path, body);
}

ClientResult<Document> Client::patch(const std::string& path, const Arguments& arguments,
                                     const std::string& body) {
  return change("PATCH", with_arguments(path, arguments), body);
}

ClientResult<Document> Client::remove(const std::string& path, const Arguments& arguments) {
  return change("DELETE", with_arguments(path, arguments), "");
}

ClientResult<Document> Client::change(const char* method, const std::string& path,
                                      const std::string& body) {
  if (!bound_) {
    if (const auto now = status(); !now) return std::unexpected(now.error());
  }
  const auto bound = std::chrono::ceil<std::chrono::milliseconds>(*bound_);
  return send(method, with_arguments(path, terms_), body, bound + for_an_answer);
}

ClientResult<Document> Client::send(const char* method, const std::string& path,
                                    const std::string& body,
                                    std::chrono::milliseconds patience) const {
  if (socket_.size() >= sizeof(sockaddr_un::sun_path)) {
    return std::unexpected(unreachable(fmt::format("the path {} is too long for a socket", socket_),
                                       "name the socket by a shorter path"));
  }
  const auto answer = send_request(socket_, {method, path, body}, patience);
  if (!answer && answer.error().kind == HttpFailure::Kind::timed_out) {
    const bool is_change = std::strcmp(method, "GET") != 0;
    return std::unexpected(unanswered(socket_, patience, is_change));
  }
  if (!answer) return std::unexpected(why_unreachable(socket_, answer.error()));
  auto json = parse_json(answer->body);
  if (!json) return std::unexpected(not_understood(json.error()));
  if (answer->code >= 300) return std::unexpected(refused(*json, answer->code));
  return std::make_shared<const Json>(std::move(*json));
}

}  // namespace moat
