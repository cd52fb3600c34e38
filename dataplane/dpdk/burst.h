// SPDX-License-Identifier: BSD-2-Clause
// The verdicts on a burst of frames, by bpf/verdict.h and nothing else:
//
//   parse and ask for the endpoint of each -> look all sources up together -> judge the class of each
//
// Between the two halves a packet is 8 bytes. Frames out of the ordinary (tags, options, fragments,
// IPv6, several buffers) are judged to their end at once.
//
// `Frames` gives the moat_frame of a number, and in `now` what that has there. `Lcore` is whom it
// happens to: count(slot, bytes), and report(frame, verdict) of drops and of what monitor mode lets
// pass; wants_report(slot) says first whether it may be asked.
#pragma once

#include <cstdint>

#include "bpf/verdict.h"
#include "dataplane/dpdk/live_table.h"

namespace moat {

// A plain packet whose source, kept beside it, decides.
struct AskedPacket {
  std::uint16_t total;  // bytes after the Ethernet header
  std::uint8_t database;
  std::uint8_t number;  // in the burst
};
static_assert(sizeof(AskedPacket) == 4);
static_assert(MOAT_DB_NUMBERS <= 256 && Lines::max_burst <= 64);

template <typename Frames, typename Lcore>
class Burst {
 public:
  // At most Lines::max_burst frames.
  Burst(const LiveTable& live, const Frames& frames, unsigned count, Lcore& lcore)
      : table_(live.table.header()), frames_(frames), lcore_(lcore) {
    judge(live.lines, count);
  }

  // Bit i: frame i is to be dropped.
  [[nodiscard]] std::uint64_t drops() const { return drops_; }

 private:
  // Out of the way of those that are plain.
  __attribute__((noinline)) void judge_whole(unsigned number) {
    moat_frame frame = frames_[number];
    moat_verdict verdict;
    moat_judge_frame(&table_, table_.size, &frame, &verdict);
    settle(number, verdict);
  }

  void judge(const Lines& lines, unsigned count) {
    AskedPacket asked[Lines::max_burst];
    std::uint32_t sources[Lines::max_burst], classes[Lines::max_burst];
    unsigned asks = 0;
    for (unsigned i = 0; i < count; i++) {
      const moat_frame frame = frames_[i];
      moat_ipv4 ip;
      if (!moat_parse_plain(&frame, &ip)) {
        judge_whole(i);
        continue;
      }
      moat_verdict verdict = {};
      verdict.l3 = plain_l3;
      const std::uint32_t reason =
          moat_judge_ipv4(&table_, table_.size, &frame, &ip, MOAT_ENDPOINT, &verdict);
      if (reason != MOAT_UNDECIDED) {
        moat_settle(&table_, reason, &verdict);
        settle(i, verdict);
        continue;
      }
      sources[asks] = ip.source;
      asked[asks++] = {static_cast<std::uint16_t>(ip.end - plain_l3),
                       static_cast<std::uint8_t>(verdict.database), static_cast<std::uint8_t>(i)};
    }
    if (asks == 0) return;
    lines.look_up(table_, {sources, asks}, classes);
    for (unsigned i = 0; i < asks; i++) judge_class(asked[i], classes[i]);
  }

  // moat_judge_class and moat_settle without a branch by what is decided, which nothing can
  // predict: class 0, whose entries are all 0, is looked up like any other, and what a source
  // without a rule meets is worked out for each and kept where there is none.
  void judge_class(const AskedPacket& asked, std::uint32_t source_class) {
    const moat_frame clock = {.now = frames_.now};
    moat_verdict verdict = {};
    verdict.bytes = plain_l3 + asked.total;
    verdict.database = asked.database;
    moat_settle(&table_, MOAT_NO_RULE, &verdict);
    const std::uint32_t rule =
        moat_entry_slot(&table_, table_.size, source_class, asked.database, &clock);
    std::uint32_t refused = -std::uint32_t{rule == 0};
    barrier_var(refused);
    verdict.slot = rule | (verdict.slot & refused);
    verdict.drop &= static_cast<std::uint8_t>(refused);
    verdict.monitored &= static_cast<std::uint8_t>(refused);
    lcore_.count(verdict.slot, verdict.bytes);
    drops_ |= std::uint64_t{verdict.drop} << asked.number;
    if (is_reported(verdict)) [[unlikely]]
      report_refused(asked.number);
  }

  // What was not kept between the halves is in the frame still.
  __attribute__((noinline)) void report_refused(unsigned number) {
    const moat_frame frame = frames_[number];
    moat_ipv4 ip;
    moat_verdict verdict = {};
    verdict.l3 = plain_l3;
    if (moat_parse_plain(&frame, &ip))
      moat_judge_ipv4(&table_, table_.size, &frame, &ip, MOAT_ENDPOINT, &verdict);
    moat_settle(&table_, MOAT_NO_RULE, &verdict);
    lcore_.report(frame, verdict);
  }

  void settle(unsigned number, const moat_verdict& verdict) {
    lcore_.count(verdict.slot, verdict.bytes);
    drops_ |= std::uint64_t{verdict.drop} << number;
    if (is_reported(verdict)) [[unlikely]]
      lcore_.report(frames_[number], verdict);
  }

  // Without a branch by what was decided.
  [[nodiscard]] bool is_reported(const moat_verdict& verdict) const {
    std::uint32_t is_wanted = lcore_.wants_report(verdict.slot) ? 1 : 0;
    barrier_var(is_wanted);
    return ((verdict.drop | verdict.monitored) & is_wanted) != 0;
  }

  static constexpr std::uint32_t plain_l3 = 14;

  const moat_table& table_;
  const Frames& frames_;
  Lcore& lcore_;
  std::uint64_t drops_ = 0;
};

}  // namespace moat
