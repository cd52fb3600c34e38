// SPDX-License-Identifier: BSD-2-Clause
// The command's side of the daemon's socket.
#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/cli/commands.h"
#include "control/service/json.h"

namespace moat {

// Why there is no answer: how the command ends, and what it tells.
struct Failure {
  Exit exit = Exit::refused;
  Refusal refusal;
};
template <typename T>
using Reply = std::expected<T, Failure>;

// An answer as it came. Shared, so that who only hands it on does without the headers of its type.
using Document = std::shared_ptr<const Json>;

class Client {
 public:
  explicit Client(const Cli& cli) : socket_(cli.socket) {}

  // Arguments with an empty value are left out.
  using Arguments = std::vector<std::pair<std::string, std::string>>;
  [[nodiscard]] Reply<Document> get(const std::string& path, const Arguments& arguments = {}) const;
  [[nodiscard]] Reply<StatusView> status();
  [[nodiscard]] Reply<Document> post(const std::string& path, const std::string& body = "");
  [[nodiscard]] Reply<Document> remove(const std::string& path, const Arguments& arguments = {});

 private:
  // Waits for the daemon's bound and a little longer.
  [[nodiscard]] Reply<Document> change(const char* method, const std::string& path,
                                       const std::string& body);
  [[nodiscard]] Reply<Document> send(const char* method, const std::string& path,
                                     const std::string& body,
                                     std::chrono::milliseconds patience) const;
  std::string socket_;
  std::optional<Milliseconds> bound_;  // as the latest status had it
};

// Part of a path or the value of an argument: as it is, or with %XX where it has to be.
[[nodiscard]] std::string escape(const std::string& text);

// The answer as a view, or a list of them.
template <typename T>
[[nodiscard]] Reply<T> as(const Reply<Document>& reply);
template <typename T>
[[nodiscard]] Reply<std::vector<T>> as_list(const Reply<Document>& reply, const std::string& key);

// An argument that is wrong by itself, whatever the daemon may say.
[[nodiscard]] Failure misspelt(const TextError& error, const std::string& value);

// An answer that this command does not understand, as of another version.
[[nodiscard]] Failure not_understood(const std::string& why);

template <typename T>
Reply<T> as(const Reply<Document>& reply) {
  if (!reply) return std::unexpected(reply.error());
  auto view = decode<T>(**reply);
  if (!view) return std::unexpected(not_understood(view.error()));
  return std::move(*view);
}

template <typename T>
Reply<std::vector<T>> as_list(const Reply<Document>& reply, const std::string& key) {
  if (!reply) return std::unexpected(reply.error());
  auto views = decode_list<T>(**reply, key);
  if (!views) return std::unexpected(not_understood(views.error()));
  return std::move(*views);
}

}  // namespace moat
