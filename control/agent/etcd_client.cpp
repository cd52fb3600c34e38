// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/etcd_client.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "control/agent/etcd_messages.h"
#include "control/files/rule_files.h"
#include "control/policy/json_text.h"

namespace moat {
namespace {

constexpr std::size_t max_answer = std::size_t{64} << 20;
constexpr std::size_t max_password = 4096;
constexpr std::chrono::seconds for_an_answer{10};

Result<std::string> read_password(const std::string& path) {
  auto file = read_regular_file(AT_FDCWD, path, path, max_password);
  if (!file) return std::unexpected(Error{format_fault(file.error()), ""});
  auto& password = file->bytes;
  while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  return std::move(password);
}

}  // namespace

FetchRequest EtcdAccess::request(const std::string& path, std::string body) const {
  FetchRequest request;
  request.url = member() + path;
  request.allow_plaintext = true;  // where an endpoint says http://
  request.ca = settings_.ca;
  request.certificate = settings_.certificate;
  request.key = settings_.key;
  request.body = std::move(body);
  request.max_bytes = max_answer;
  request.timeout = for_an_answer;
  request.may_be_slow = true;
  request.headers = {"Content-Type: application/json"};
  if (!token_.empty()) request.headers.push_back("Authorization: " + token_);
  return request;
}

Result<FetchRequest> EtcdAccess::token_request() const {
  const auto password = read_password(settings_.password_file);
  if (!password) return std::unexpected(password.error());
  const nlohmann::json json = {{"name", settings_.user}, {"password", *password}};
  return request("/v3/auth/authenticate", json_text(json));
}

Result<> EtcdAccess::take_token(const Result<FetchAnswer>& answer) {
  const auto body = body_of(member(), answer);
  if (!body) return std::unexpected(body.error());
  auto token = parse_token(*body);
  if (!token) return std::unexpected(token.error());
  token_ = std::move(*token);
  return {};
}

Result<std::string> body_of(const std::string& member, const Result<FetchAnswer>& answer) {
  if (!answer) return std::unexpected(answer.error());
  if (answer->status == http_ok) return answer->body;
  const auto error = parse_etcd_error(answer->body);
  return std::unexpected(
      Error{fmt::format("{}: {} (HTTP status {})", member, error.message, answer->status),
            error.message.contains("CommonName")
                ? "etcd's gateway refuses certificates with a CommonName: issue one without"
                : ""});
}

bool wants_authentication(const Result<FetchAnswer>& answer) {
  return answer && answer->status != http_ok &&
         parse_etcd_error(answer->body).wants_authentication();
}

EtcdClient::EtcdClient(Fetcher& fetcher, const FleetSettings& settings)
    : fetcher_(fetcher), access_(settings) {}

EtcdClient::~EtcdClient() = default;

void EtcdClient::call(const std::string& path, std::string body, Done done) {
  const auto id = next_id_++;
  calls_[id] = {path, std::move(body), std::move(done), access_.members(), false, nullptr};
  send(id);
}

void EtcdClient::send(std::uint64_t id) {
  if (access_.needs_token()) return authenticate(id);
  auto& call = calls_.at(id);
  call.transfer =
      fetcher_.start(access_.request(call.path, call.body),
                     [this, id](const Result<FetchAnswer>& answer) { take(id, answer); });
}

void EtcdClient::authenticate(std::uint64_t id) {
  auto request = access_.token_request();
  // Of a password that cannot be read the store is told nothing, and says what it thinks of that.
  auto& call = calls_.at(id);
  if (!request) request = access_.request("/v3/auth/authenticate", "{}");
  call.transfer =
      fetcher_.start(std::move(*request), [this, id](const Result<FetchAnswer>& answer) {
        const auto taken = access_.take_token(answer);
        if (taken) return send(id);
        auto& waiting = calls_.at(id);
        if (!answer && --waiting.tries_left > 0) {
          access_.turn_to_next();
          return send(id);
        }
        finish(id, std::unexpected(taken.error()));
      });
}

void EtcdClient::take(std::uint64_t id, const Result<FetchAnswer>& answer) {
  auto& call = calls_.at(id);
  if (wants_authentication(answer) && !call.has_renewed_token && access_.has_token()) {
    call.has_renewed_token = true;
    access_.forget_token();
    return send(id);
  }
  const auto result = body_of(access_.member(), answer);
  if (!result && --call.tries_left > 0) {
    access_.turn_to_next();
    return send(id);
  }
  finish(id, result);
}

void EtcdClient::finish(std::uint64_t id, const Result<std::string>& result) {
  const auto call = std::move(calls_.extract(id).mapped());
  call.done(result);
}

void EtcdClient::watch(std::string body, OnLine on_line, std::function<void(const Error&)> ended) {
  line_.clear();
  auto request = access_.request("/v3/watch", std::move(body));
  request.timeout = std::chrono::milliseconds(0);
  request.on_data = [this, on_line = std::move(on_line), ended](std::string_view data) {
    const auto looked_at = line_.size();
    line_ += data;
    // `on_line` may stop the stream, and begin another.
    for (auto end = line_.find('\n', looked_at); end != std::string::npos; end = line_.find('\n')) {
      const auto line = line_.substr(0, end);
      line_.erase(0, end + 1);
      on_line(line);
    }
    if (line_.size() <= max_answer) return;
    stop_watching();
    ended({fmt::format("the watch has sent a line of more than {} bytes", max_answer), ""});
  };
  stream_ = fetcher_.start(std::move(request),
                           [this, ended = std::move(ended)](const Result<FetchAnswer>& answer) {
                             if (wants_authentication(answer)) access_.forget_token();
                             ended(answer ? Error{"the watch has ended", ""} : answer.error());
                           });
}

}  // namespace moat
