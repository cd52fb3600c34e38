// SPDX-License-Identifier: BSD-2-Clause
// A list that somebody publishes by https, and perhaps signs.
#pragma once

#include <memory>
#include <string>

#include "control/agent/agent_file.h"
#include "control/agent/fetcher.h"
#include "control/agent/source.h"

namespace moat {

class WebSource final : public Source {
 public:
  // `fetcher` must outlive this.
  WebSource(Fetcher& fetcher, RangeSource settings);
  void ask(const KnownList& known, Done done) override;

 private:
  [[nodiscard]] const WebList& list() const { return std::get<WebList>(settings_.from); }
  [[nodiscard]] FetchRequest request_for(const std::string& url) const;
  void take(const Result<FetchAnswer>& answer);
  void take_signature(const Result<FetchAnswer>& signature);
  [[nodiscard]] Result<SourceAnswer> parse(const FetchAnswer& answer) const;
  void finish(const Result<SourceAnswer>& result);

  Fetcher& fetcher_;
  RangeSource settings_;
  Done done_;
  FetchAnswer signed_;  // while its signature is on the way
  std::unique_ptr<Fetcher::Transfer> transfer_;
};

// What an answer of HTTP is good for: 200 that is no HTML, or 304; else why not.
[[nodiscard]] Result<> check_answer(const std::string& url, const FetchAnswer& answer);

}  // namespace moat
