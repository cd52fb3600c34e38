// SPDX-License-Identifier: BSD-2-Clause
#include "tests/e2e/frames/bench.h"

#include <algorithm>
#include <iterator>

namespace moat::testing {

Result<BenchResult> Bench::show(std::span<const std::vector<std::uint8_t>> frames) {
  const auto before = wire_.segments();
  Result<bool> sent = true;
  for (const auto& frame : frames)
    if (sent) sent = wire_.send(frame);
  auto said = wire_.settle();
  const auto after = wire_.segments();
  if (!sent) return std::unexpected(sent.error());
  if (!said) return std::unexpected(said.error());
  if (!before || !after) return std::unexpected((before ? after : before).error());

  BenchResult outcome{kSilent, std::move(*said), *after != *before};
  if (!*sent) outcome.what = kNotSent;
  if (outcome.reached_tcp) outcome.what = kHeard;
  const auto first = std::ranges::find(outcome.answers, false, &Answer::is_question);
  if (first != outcome.answers.end()) outcome.what = name_of(first->kind);
  if (auto done = complete(frames.back(), outcome); !done) return std::unexpected(done.error());
  if (outcome.reached_tcp)
    if (auto done = listeners_.renew(); !done) return std::unexpected(done.error());
  return outcome;
}

// Ends the handshake as a client would, and leaves no connection behind.
Result<> Bench::complete(Bytes frame, BenchResult& outcome) {
  if (outcome.answers.empty() && !outcome.reached_tcp) return {};
  for (const Answer& answer : outcome.answers)
    if (answer.kind == Answer::Kind::syn_ack)
      if (auto sent = wire_.send(reply_to(answer, Segment::ack, frame)); !sent)
        return std::unexpected(sent.error());
  for (int i = 0; i < 2; i++) {  // and once more for what the first look set off
    auto more = wire_.settle();
    if (!more) return std::unexpected(more.error());
    std::ranges::copy(*more, std::back_inserter(outcome.answers));
    if (listeners_.accept_all() > 0) outcome.what = "accepted";
  }
  return {};
}

Result<Swept> Bench::sweep_numbers(Bytes syn4, Bytes syn6) {
  auto swept = sweep(wire_, syn4, syn6);
  if (!swept) return swept;
  if (auto done = listeners_.renew(); !done) return std::unexpected(done.error());
  if (auto done = wire_.settle(); !done) return std::unexpected(done.error());
  return swept;
}

}  // namespace moat::testing
