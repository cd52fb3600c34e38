// SPDX-License-Identifier: BSD-2-Clause
// Sends the same mutated frames through the shared function in this process, the XDP program in the
// kernel, the fast path's bursts and the model, round after round with another random policy, and
// compares verdict, reason and counter. Needs root.
//
// The reason stands in the counter slot (bpf/abi.h). To read the kernel's counters after each frame
// would cost a thousand times the frame; so a round sums up what the native side says and compares
// all counters at its end. Where they differ, the round is run again with a closer look.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <map>
#include <random>

#include "bpf/verdict.h"
#include "control/text/command_line.h"
#include "dataplane/dpdk/burst.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/random_endpoints.h"
#include "tests/verdict/burst_frames.h"
#include "tests/verdict/case_table.h"
#include "tests/verdict/engines.h"
#include "tests/verdict/kernel.h"
#include "tests/verdict/model.h"

namespace moat::testing {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kFramesARound = 16'384;

struct Plan {
  std::uint64_t frames = 0;                     // 0: no such limit
  unsigned seconds = 0;                         // 0: no such limit
  std::uint64_t seed = std::random_device{}();  // of the first round; the next has the next number
};

std::uint64_t coarse_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

using Counters = std::vector<moat_counter>;

// One policy, and the frames sent to it. Everything follows from the seed, but for the time.
class Round {
 public:
  Round(std::uint64_t seed, Mutator& mutator) : random_(seed), seed_(seed), mutator_(mutator) {
    scene_.policy = std::make_unique<Policy>(random_whole_policy(seed));
    scene_.slots = plain_slots(*scene_.policy);
    mutator_.aim(*scene_.policy, random_);
    // Rules expire at full seconds. The clock stands between two of them, some rules having expired
    // since the table was made and some not.
    made_at_ = coarse_now() - 7 * kSecond - kSecond / 4;
  }

  Result<> start(Kernel& kernel, unsigned tier) {
    auto table = compile(*scene_.policy, scene_.slots, {kNow, made_at_}, seed_);
    if (!table) return std::unexpected(table.error());
    scene_.table = std::move(*table);
    auto live = LiveTable::make(scene_.table);
    if (!live) return std::unexpected(live.error());
    live_ = std::move(*live);
    return kernel.place(tier, scene_.table);
  }

  // Whether nothing has expired since the start.
  [[nodiscard]] bool is_in_time() const { return (coarse_now() - made_at_) / kSecond == 7; }

  // The next frame through native and model, which must agree.
  Result<JudgeResult> judge_next() {
    frame_ = mutator_.next(random_);
    const std::uint64_t now = made_at_ + 7 * kSecond + kSecond / 4;
    const moat_verdict verdict = judge(scene_.table, frame_, now);
    const JudgeResult outcome{verdict.drop != 0, verdict.slot};
    bytes_ = verdict.bytes;
    const Expected expected = expect(*scene_.policy, frame_, kNow + std::chrono::seconds{7});
    const JudgeResult modelled{is_drop(expected.reason) && !is_monitored(*scene_.policy, expected),
                               slot_of(*scene_.policy, scene_.slots, expected)};
    if (outcome != modelled)
      return different(fmt::format("native: {}; model: {}", describe(outcome), describe(modelled)));
    burst_.emplace_back(frame_.begin(), frame_.end());
    outcomes_.push_back(outcome);
    if (burst_.size() == Lines::max_burst)
      if (auto same = judge_burst(now); !same) return std::unexpected(same.error());
    return outcome;
  }

  // The same frame through the kernel; every fourth one in several buffers.
  Result<bool> run(Kernel& kernel) {
    std::optional<std::uint32_t> first_buffer;
    if (kernel.splits_frames() && frame_.size() > Kernel::kShortest && below(random_, 4) == 0) {
      const auto span = static_cast<std::uint32_t>(std::min<std::size_t>(frame_.size(), 3000) - 14);
      first_buffer = 14 + below(random_, std::min(span, below(random_, 2) == 0 ? 64u : 3000u));
    }
    return kernel.drops(frame_, first_buffer);
  }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  std::unexpected<Error> different(const std::string& what) const {
    return different(what, frame_);
  }

 private:
  // Whom a burst's packets happen to.
  struct Lcore {
    std::map<std::uint32_t, std::int64_t> counted;  // bytes by slot, and a packet is 1 << 32
    void count(std::uint32_t slot, std::uint32_t bytes) {
      counted[slot] += (std::int64_t{1} << 32) + bytes;
    }
    static bool wants_report(std::uint32_t) { return false; }
    static void report(const moat_frame&, const moat_verdict&) {}
  };

  // The last frames as one burst, each cut at the same place: what native has said of each.
  Result<> judge_burst(std::uint64_t now) {
    const std::vector<std::span<const std::uint8_t>> frames(burst_.begin(), burst_.end());
    const BurstFrames view(frames, below(cuts_, 2) == 0 ? SIZE_MAX : below(cuts_, 200), now);
    Lcore lcore;
    const std::uint64_t drops =
        Burst(live_, view, static_cast<unsigned>(frames.size()), lcore).drops();
    for (std::size_t i = 0; i < frames.size(); i++) {
      if ((drops >> i & 1) != outcomes_[i].drop)
        return different(fmt::format("native: {}; as number {} of a burst it was not",
                                     describe(outcomes_[i]), i),
                         frames[i]);
      lcore.counted[outcomes_[i].slot] -=
          (std::int64_t{1} << 32) + judge(scene_.table, frames[i], now).bytes;
    }
    for (const auto& [slot, off] : lcore.counted)
      if (off != 0)
        return different(fmt::format("a burst ended with slot {} off by {:#x}", slot, off), frame_);
    burst_.clear();
    outcomes_.clear();
    return {};
  }

  std::unexpected<Error> different(const std::string& what,
                                   std::span<const std::uint8_t> frame) const {
    std::string hex;
    for (const std::uint8_t byte : frame) hex += fmt::format("{:02x}", byte);
    return std::unexpected(
        Error{fmt::format("round {}: {}\nframe ({} bytes): {}", seed_, what, frame.size(), hex),
              fmt::format("differential --seed {} --frames 1", seed_)});
  }

  Random random_, cuts_{random_};
  std::uint64_t seed_;
  Mutator& mutator_;
  Scene scene_{};
  std::uint64_t made_at_;
  LiveTable live_;
  std::span<const std::uint8_t> frame_;
  std::vector<std::vector<std::uint8_t>> burst_;  // frames since the last burst
  std::vector<JudgeResult> outcomes_;             // what native says of them
  std::size_t bytes_ = 0;                         // that the frame is counted with
};

// What a run has come to.
struct Tally {
  std::uint64_t frames = 0, rounds = 0, late_rounds = 0;
  Counters by_slot = Counters(MOAT_COUNTER_SLOTS);
};

class Runner {
 public:
  Runner(std::unique_ptr<Kernel> kernel, unsigned tier,
         std::vector<std::vector<std::uint8_t>> seeds)
      : kernel_(std::move(kernel)), tier_(tier), mutator_(std::move(seeds)) {}

  // One round. Where the counters differ in the end, it is run again with a look at each frame's
  // own counter, so that the error names the frame.
  Result<> round(std::uint64_t seed, Tally& tally) {
    Round round(seed, mutator_);
    auto wanted = judge_all(round, [&](std::uint32_t slot, const moat_counter&) -> Result<> {
      tally.by_slot[slot].packets++;
      return {};
    });
    if (!wanted) return std::unexpected(wanted.error());
    tally.frames += kFramesARound;
    tally.rounds++;
    const auto is = kernel_->counters();
    if (!is) return std::unexpected(is.error());
    if (!round.is_in_time()) {
      tally.late_rounds++;
      return {};
    }
    return same(*is, *wanted) ? Result<>{} : find_frame(seed);
  }

 private:
  // The next frame: what native, model and kernel agree on.
  Result<JudgeResult> judge_by_all(Round& round) {
    auto outcome = round.judge_next();
    if (!outcome) return outcome;
    const auto drop = round.run(*kernel_);
    if (!drop) return round.different(drop.error().message);
    if (*drop != outcome->drop && round.is_in_time())
      return round.different(fmt::format("native: {}; the kernel {} it", describe(*outcome),
                                         *drop ? "drops" : "passes"));
    return outcome;
  }

  static bool same(const Counters& is, const Counters& wanted) {
    for (std::uint32_t slot = MOAT_LOST_DROPS_SLOT + 1; slot < MOAT_COUNTER_SLOTS; slot++)
      if (is[slot].packets != wanted[slot].packets || is[slot].bytes != wanted[slot].bytes)
        return false;
    return true;
  }

  // All frames of a round, and what the counters should be then. `visit` hears after each frame of
  // its slot, and what that should hold.
  template <typename Visit>
  Result<Counters> judge_all(Round& round, Visit visit) {
    if (auto started = round.start(*kernel_, tier_); !started)
      return std::unexpected(started.error());
    auto wanted = kernel_->counters();
    if (!wanted) return wanted;
    for (std::uint32_t i = 0; i < kFramesARound; i++) {
      const auto outcome = judge_by_all(round);
      if (!outcome) return std::unexpected(outcome.error());
      moat_counter& want = (*wanted)[outcome->slot];
      want.packets++;
      want.bytes += round.bytes();
      if (auto seen = visit(outcome->slot, want); !seen) return std::unexpected(seen.error());
    }
    return wanted;
  }

  // The frame of this round that does not move its counter by what it should. The slot to look at
  // is known only once the frame has run, so what counters were is followed from the start.
  Result<> find_frame(std::uint64_t seed) {
    Round round(seed, mutator_);
    const auto wanted = judge_all(round, [&](std::uint32_t slot, const moat_counter& want) {
      const auto is = kernel_->counter(slot);
      if (!is) return Result<>(std::unexpected(is.error()));
      if (is->packets == want.packets && is->bytes == want.bytes) return Result<>();
      return Result<>(round.different(
          fmt::format("its counter (slot {}) is {} packets, {} bytes off in the kernel", slot,
                      static_cast<std::int64_t>(is->packets - want.packets),
                      static_cast<std::int64_t>(is->bytes - want.bytes))));
    });
    if (!wanted) return std::unexpected(wanted.error());
    return std::unexpected(
        Error{fmt::format("round {}: a counter moved that no frame should have moved", seed),
              fmt::format("differential --seed {} --frames 1", seed)});
  }

  std::unique_ptr<Kernel> kernel_;
  unsigned tier_;
  Mutator mutator_;
};

Result<std::vector<std::vector<std::uint8_t>>> seed_frames(const std::string& folder) {
  auto cases = load_cases(folder);
  if (!cases) return std::unexpected(cases.error());
  std::vector<std::vector<std::uint8_t>> seeds;
  for (Case& each : *cases)
    for (Side* side : {&each.a, &each.b})
      std::ranges::move(side->frames, std::back_inserter(seeds));
  return seeds;
}

void tell(const Tally& tally, double seconds) {
  fmt::print("{} frames in {} rounds ({} of them late), {:.0f} s, {:.0f} frames/s\n", tally.frames,
             tally.rounds, tally.late_rounds, seconds, static_cast<double>(tally.frames) / seconds);
  for (std::uint32_t reason = 0; reason < MOAT_BACKSTOP; reason++) {
    std::uint64_t frames = 0;
    for (std::uint32_t slot = 0; slot < MOAT_COUNTER_SLOTS; slot++) {
      const bool is_rule = slot < MOAT_RULE_SLOTS;
      if (is_rule ? reason == MOAT_ALLOWED : (slot - MOAT_RULE_SLOTS) % MOAT_REASONS == reason)
        frames += tally.by_slot[slot].packets;
    }
    fmt::print("  {:12} {}\n", reason_text(reason), frames);
  }
  std::fflush(stdout);
}

Result<> run(const Plan& plan, const std::string& cases) {
  const auto seeds = seed_frames(cases);
  if (!seeds) return std::unexpected(seeds.error());
  std::vector<Runner> runners;
  for (unsigned tier = 0; tier < MOAT_TIERS; tier++) {
    auto kernel = Kernel::load();
    if (!kernel) return std::unexpected(kernel.error());
    runners.emplace_back(std::move(*kernel), tier, *seeds);
  }
  fmt::print("seed {}\n", plan.seed);
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Tally tally;
  for (std::uint64_t round = plan.seed;; round++) {
    if (auto same = runners[round % MOAT_TIERS].round(round, tally); !same) {
      tell(tally, elapsed());
      return same;
    }
    if (plan.frames != 0 && tally.frames >= plan.frames) break;
    if (plan.seconds != 0 && elapsed() >= plan.seconds) break;
  }
  tell(tally, elapsed());
  return {};
}

}  // namespace
}  // namespace moat::testing

int main(int count, char** arguments) {
  moat::testing::Plan plan;
  std::string cases = "tests/verdict/cases";
  moat::CommandLine app{"Mutated frames through native function and XDP program: both must agree."};
  app.add("--frames", plan.frames, "stop after so many frames");
  app.add("--seconds", plan.seconds, "stop after so many seconds");
  app.add("--seed", plan.seed, "number of the first round; without, another each time");
  app.add("--cases", cases, "folder of the case table, whose frames are mutated");
  if (const auto done = app.parse(count, arguments)) return *done;
  if (plan.frames == 0 && plan.seconds == 0) plan.frames = 1'000'000;
  if (const auto same = moat::testing::run(plan, cases); !same) {
    fmt::print(stderr, "{}\n{}\n", same.error().message, same.error().remedy);
    return 1;
  }
  return 0;
}
