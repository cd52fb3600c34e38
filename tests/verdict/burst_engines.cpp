// SPDX-License-Identifier: BSD-2-Clause
#include "tests/verdict/burst_engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "dataplane/dpdk/burst.h"
#include "tests/verdict/burst_frames.h"

namespace moat::testing {
namespace {

// One frame's counter, by the order in which they are counted; that order is not the burst's.
struct Lcore {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> counted;  // slot, bytes
  void count(std::uint32_t slot, std::uint32_t bytes) { counted.emplace_back(slot, bytes); }
  static bool wants_report(std::uint32_t) { return false; }
  static void report(const moat_frame&, const moat_verdict&) {}
};

class BurstEngine final : public Engine {
 public:
  explicit BurstEngine(bool in_pieces) : in_pieces_(in_pieces) {}

  std::string name() const override { return in_pieces_ ? "dpdk, pieces" : "dpdk, burst"; }
  std::string family() const override { return "dpdk"; }
  bool takes(Bytes frame) const override { return !in_pieces_ || !cuts_of(frame).empty(); }
  Result<> use(const Scene& scene) override {
    auto made = LiveTable::make(scene.table);
    if (!made) return std::unexpected(made.error());
    table_ = std::move(*made);
    return {};
  }
  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    if (!in_pieces_) return judge_cut(scene, frame, frame.size());
    std::optional<JudgeResult> all;
    for (const std::uint32_t cut : cuts_of(frame)) {
      const auto outcome = judge_cut(scene, frame, cut);
      if (!outcome) return outcome;
      if (all && *outcome != *all)
        return std::unexpected(Error{fmt::format("cut at {}: {}", cut, describe(*outcome)), {}});
      all = *outcome;
    }
    return *all;
  }

 private:
  // A whole burst of the frame: each of them must meet the same.
  Result<JudgeResult> judge_cut(const Scene& scene, Bytes frame, std::size_t cut) const {
    const std::vector<Bytes> frames(Lines::max_burst, frame);
    const BurstFrames view(frames, cut);
    Lcore lcore;
    const std::uint64_t drops = Burst(table_, view, Lines::max_burst, lcore).drops();
    if (drops != 0 && ~drops != 0)
      return std::unexpected(Error{fmt::format("some dropped, some not: {:x}", drops), {}});
    const std::pair counted{lcore.counted.empty() ? 0 : lcore.counted[0].first,
                            moat::judge(scene.table, frame).bytes};
    if (lcore.counted.size() != Lines::max_burst ||
        std::ranges::any_of(lcore.counted, [&](const auto& each) { return each != counted; }))
      return std::unexpected(Error{"not counted once each, in one slot with its bytes", {}});
    return JudgeResult{drops != 0, counted.first};
  }

  bool in_pieces_;
  LiveTable table_;
};

}  // namespace

void add_burst_engines(std::vector<std::unique_ptr<Engine>>& engines) {
  for (const bool in_pieces : {false, true})
    engines.push_back(std::make_unique<BurstEngine>(in_pieces));
}

}  // namespace moat::testing
