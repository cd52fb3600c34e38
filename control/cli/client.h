// SPDX-License-Identifier: BSD-2-Clause
// The command's side of the daemon's socket.
#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/cli/commands.h"
#include "control/service/json.h"
#include "dataplane/host/pinned_guard.h"

namespace moat {

// Why there is no answer: how the command ends, and what it tells.
struct CommandError {
  Exit exit = Exit::refused;
  Refusal refusal;
  bool is_stopped = false;  // no moatd has the socket
  bool is_silent = false;   // a moatd has it, and does not answer
};
template <typename T>
using ClientResult = std::expected<T, CommandError>;

// An answer as it came. Shared, so that who only hands it on does without the headers of its type.
using Document = std::shared_ptr<const Json>;

class Client {
 public:
  explicit Client(const Cli& cli) : socket_(cli.socket) {}

  // Arguments with an empty value are left out.
  using Arguments = std::vector<std::pair<std::string, std::string>>;
  [[nodiscard]] ClientResult<Document> get(const std::string& path,
                                           const Arguments& arguments = {}) const;
  [[nodiscard]] ClientResult<StatusView> status();
  [[nodiscard]] ClientResult<Document> post(const std::string& path, const std::string& body = "");
  [[nodiscard]] ClientResult<Document> patch(const std::string& path, const Arguments& arguments,
                                             const std::string& body);
  [[nodiscard]] ClientResult<Document> remove(const std::string& path,
                                              const Arguments& arguments = {});

  // Sent with each change from now on: of which trial it is a part, and what it was asked about.
  void set_terms(Arguments terms) { terms_ = std::move(terms); }

 private:
  // Waits for the daemon's bound and a little longer.
  [[nodiscard]] ClientResult<Document> change(const char* method, const std::string& path,
                                              const std::string& body);
  [[nodiscard]] ClientResult<Document> send(const char* method, const std::string& path,
                                            const std::string& body,
                                            std::chrono::milliseconds patience) const;
  std::string socket_;
  Arguments terms_;
  std::optional<Milliseconds> bound_;  // as the latest status had it
};

// Of one that does not stand: "nothing is pinned", to go on with where.
[[nodiscard]] std::string_view why_nothing_stands(const PinnedGuard& guard);
// Of one that is doubtful.
[[nodiscard]] std::string why_doubtful(const PinnedGuard& guard, const std::string& pins);
// What of the guard is left without moatd: `guard` is what look_at_pins() has seen in the folder `pins`.
[[nodiscard]] std::string what_stays(const std::string& pins, const Result<PinnedGuard>& guard);

// Part of a path or the value of an argument: as it is, or with %XX where it has to be.
[[nodiscard]] std::string escape(const std::string& text);

// The answer as a view, or a list of them.
template <typename T>
[[nodiscard]] ClientResult<T> as(const ClientResult<Document>& reply);
template <typename T>
[[nodiscard]] ClientResult<std::vector<T>> as_list(const ClientResult<Document>& reply,
                                                   const std::string& key);

// An argument that is wrong by itself, whatever the daemon may say.
[[nodiscard]] CommandError misspelt(const Error& error, const std::string& value);

// An answer that this command does not understand, as of another version.
[[nodiscard]] CommandError not_understood(const std::string& why);

template <typename T>
ClientResult<T> as(const ClientResult<Document>& reply) {
  if (!reply) return std::unexpected(reply.error());
  auto view = decode<T>(**reply);
  if (!view) return std::unexpected(not_understood(view.error()));
  return std::move(*view);
}

template <typename T>
ClientResult<std::vector<T>> as_list(const ClientResult<Document>& reply, const std::string& key) {
  if (!reply) return std::unexpected(reply.error());
  auto views = decode_list<T>(**reply, key);
  if (!views) return std::unexpected(not_understood(views.error()));
  return std::move(*views);
}

}  // namespace moat
