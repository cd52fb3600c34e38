// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/web_source.h"

#include <fmt/format.h>

#include <utility>

#include "control/agent/parse_list.h"
#include "control/agent/signature.h"

namespace moat {
namespace {

constexpr std::size_t max_signature_bytes = 64 << 10;

std::string signature_url(const WebList& list) {
  return list.signature->url.empty() ? list.url + ".sig" : list.signature->url;
}

}  // namespace

Result<> check_answer(const std::string& url, const FetchAnswer& answer) {
  if (answer.status == http_not_modified) return {};
  if (answer.status != http_ok) {
    return std::unexpected(Error{
        fmt::format("{}: the server answers with HTTP status {}", public_url(url), answer.status),
        answer.status == 404 ? "check the URL" : ""});
  }
  if (answer.content_type.starts_with("text/html")) {
    return std::unexpected(
        Error{fmt::format("{}: this is a page for people (HTML), not a list", public_url(url)),
              "check the URL"});
  }
  return {};
}

WebSource::WebSource(Fetcher& fetcher, RangeSource settings)
    : fetcher_(fetcher), settings_(std::move(settings)) {}

FetchRequest WebSource::request_for(const std::string& url) const {
  FetchRequest request;
  request.url = url;
  request.ca = list().ca;
  request.proxy = list().proxy;
  request.timeout = settings_.timeout;
  return request;
}

void WebSource::ask(const KnownList& known, Done done) {
  done_ = std::move(done);
  auto request = request_for(list().url);
  request.etag = known.etag;
  request.modified = known.modified;
  request.max_bytes = settings_.max_bytes;
  transfer_ = fetcher_.start(std::move(request),
                             [this](const Result<FetchAnswer>& answer) { take(answer); });
}

void WebSource::take(const Result<FetchAnswer>& answer) {
  if (!answer) return finish(std::unexpected(answer.error()));
  if (auto good = check_answer(list().url, *answer); !good)
    return finish(std::unexpected(good.error()));
  if (answer->status == http_not_modified) return finish(SourceAnswer{.is_unchanged = true});
  if (!list().signature) return finish(parse(*answer));
  signed_ = *answer;
  auto request = request_for(signature_url(list()));
  request.max_bytes = max_signature_bytes;
  transfer_ = fetcher_.start(std::move(request), [this](const Result<FetchAnswer>& signature) {
    take_signature(signature);
  });
}

void WebSource::take_signature(const Result<FetchAnswer>& signature) {
  const auto list_answer = std::exchange(signed_, {});
  if (!signature) return finish(std::unexpected(signature.error()));
  if (auto good = check_answer(signature_url(list()), *signature); !good)
    return finish(std::unexpected(good.error()));
  if (auto good = verify_signature(*list().signature, list_answer.body, signature->body); !good)
    return finish(std::unexpected(good.error()));
  auto parsed = parse(list_answer);
  // Without one, whoever can answer for the server could bring back an old list with its signature.
  if (parsed && parsed->list.version.empty()) {
    return finish(
        std::unexpected(Error{"the signed list has no serial, so that an older one could "
                              "not be told from it",
                              "put a line `# serial: NUMBER` into it, and sign that"}));
  }
  finish(parsed);
}

Result<SourceAnswer> WebSource::parse(const FetchAnswer& answer) const {
  auto list = parse_list(settings_.format, answer.body, settings_.selection);
  if (!list) {
    return std::unexpected(
        Error{fmt::format("{}: {}", public_url(this->list().url), list.error().message),
              list.error().remedy});
  }
  return SourceAnswer{.list = std::move(*list), .etag = answer.etag, .modified = answer.modified};
}

void WebSource::finish(const Result<SourceAnswer>& result) {
  const auto transfer = std::move(transfer_);
  const auto done = std::move(done_);
  done(result);
}

}  // namespace moat
