// SPDX-License-Identifier: BSD-2-Clause
#include "tests/verdict/engines.h"

#include <fmt/format.h>

#include <cstring>

#include "bpf/verdict.h"
#include "tests/verdict/burst_engines.h"
#include "tests/verdict/kernel.h"
#include "tests/verdict/model.h"
#include "tests/verdict/port_engine.h"
#include "tests/verdict/scattered.h"

namespace moat::testing {
namespace {

std::unexpected<Error> refuse(std::string message) {
  return std::unexpected(Error{std::move(message), {}});
}

class ModelEngine final : public Engine {
 public:
  std::string name() const override { return "model"; }
  std::string family() const override { return "native"; }
  bool takes(Bytes) const override { return true; }
  Result<> use(const Scene&) override { return {}; }
  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    const Expected expected = expect(*scene.policy, frame, scene.wall);
    return JudgeResult{is_drop(expected.reason) && !is_monitored(*scene.policy, expected),
                       slot_of(*scene.policy, scene.slots, expected)};
  }
};

class NativeEngine final : public Engine {
 public:
  std::string name() const override { return "native"; }
  std::string family() const override { return "native"; }
  bool takes(Bytes) const override { return true; }
  Result<> use(const Scene&) override { return {}; }
  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    const moat_verdict verdict = moat::judge(scene.table, frame);
    return JudgeResult{verdict.drop != 0, verdict.slot};
  }
};

class NativePiecesEngine final : public Engine {
 public:
  std::string name() const override { return "native, pieces"; }
  std::string family() const override { return "native"; }
  bool takes(Bytes frame) const override { return !cuts_of(frame).empty(); }
  Result<> use(const Scene&) override { return {}; }
  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    std::optional<JudgeResult> all;
    for (const std::uint32_t cut : cuts_of(frame)) {
      const moat_verdict verdict = judge_scattered(scene.table, frame, cut);
      const JudgeResult outcome{verdict.drop != 0, verdict.slot};
      if (all && outcome != *all)
        return refuse(fmt::format("cut at {}: {}", cut, describe(outcome)));
      all = outcome;
    }
    return *all;
  }
};

// What a packet is counted with, padding left out.
std::size_t counted_bytes(const Scene& scene, Bytes frame) {
  return moat::judge(scene.table, frame).bytes;
}

// Knows what the counters were, so that what moved is what they are now without it.
class XdpEngine : public Engine {
 public:
  XdpEngine(std::shared_ptr<Kernel> kernel, unsigned tier, std::vector<moat_counter> counters)
      : kernel_(std::move(kernel)), tier_(tier), before_(std::move(counters)) {}

  std::string name() const override {
    return fmt::format("xdp, {} tier", std::array{"small", "medium", "large"}[tier_]);
  }
  std::string family() const override { return "xdp"; }
  bool takes(Bytes frame) const override {
    return frame.size() >= Kernel::kShortest && frame.size() <= Kernel::kLongest;
  }
  Result<> use(const Scene& scene) override { return kernel_->place(tier_, scene.table); }
  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    const auto drop = kernel_->drops(frame);
    if (!drop) return std::unexpected(drop.error());
    return settle(*drop, 1, counted_bytes(scene, frame));
  }

 protected:
  // The outcome if one slot moved by {packets, packets * bytes} and no other did.
  Result<JudgeResult> settle(bool drop, std::uint64_t packets, std::size_t bytes) {
    auto after = kernel_->counters();
    if (!after) return std::unexpected(after.error());
    std::vector<std::uint32_t> moved;
    for (std::uint32_t slot = MOAT_LOST_DROPS_SLOT + 1; slot < MOAT_COUNTER_SLOTS; slot++)
      if (std::memcmp(&before_[slot], &(*after)[slot], sizeof(moat_counter)) != 0)
        moved.push_back(slot);
    before_.swap(*after);
    if (moved.size() != 1) return refuse(fmt::format("{} counters moved", moved.size()));
    const moat_counter &is = before_[moved[0]], &was = (*after)[moved[0]];
    if (is.packets - was.packets != packets || is.bytes - was.bytes != packets * bytes)
      return refuse(fmt::format("slot {} moved by {} packets, {} bytes", moved[0],
                                is.packets - was.packets, is.bytes - was.bytes));
    return JudgeResult{drop, moved[0]};
  }

  std::shared_ptr<Kernel> kernel_;
  unsigned tier_;

 private:
  std::vector<moat_counter> before_;
};

class XdpPiecesEngine final : public XdpEngine {
 public:
  using XdpEngine::XdpEngine;
  std::string name() const override { return "xdp, pieces"; }
  bool takes(Bytes frame) const override {
    return kernel_->splits_frames() && XdpEngine::takes(frame) && !cuts(frame).empty();
  }
  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    std::optional<bool> all;
    for (const std::uint32_t cut : cuts(frame)) {
      const auto drop = kernel_->drops(frame, cut);
      if (!drop) return std::unexpected(drop.error());
      if (all && *drop != *all)
        return refuse(fmt::format("cut at {}: {}", cut, *drop ? "drop" : "pass"));
      all = *drop;
    }
    return settle(*all, cuts(frame).size(), counted_bytes(scene, frame));
  }

 private:
  static std::vector<std::uint32_t> cuts(Bytes frame) {
    auto cuts = cuts_of(frame);
    std::erase_if(cuts, [](std::uint32_t cut) { return cut < Kernel::kShortest; });
    return cuts;
  }
};

template <typename XdpKind>
Result<> add_xdp(unsigned tier, std::vector<std::unique_ptr<Engine>>& engines) {
  auto kernel = Kernel::load();
  if (!kernel) return std::unexpected(kernel.error());
  auto counters = (*kernel)->counters();
  if (!counters) return std::unexpected(counters.error());
  engines.push_back(
      std::make_unique<XdpKind>(std::shared_ptr(std::move(*kernel)), tier, std::move(*counters)));
  return {};
}

}  // namespace

std::string describe(const JudgeResult& outcome) {
  const char* action = outcome.drop ? "drop" : "pass";
  if (outcome.slot < MOAT_RULE_SLOTS) return fmt::format("{}, rule slot {}", action, outcome.slot);
  const unsigned place = outcome.slot - MOAT_RULE_SLOTS;
  return fmt::format("{}, slot {}: {}, owner {}{}", action, outcome.slot,
                     reason_text(place % MOAT_REASONS), place / MOAT_REASONS / 2,
                     place / MOAT_REASONS % 2 ? ", monitored" : "");
}

std::vector<std::uint32_t> cuts_of(Bytes frame) {
  constexpr std::uint32_t kDense = 120;  // headers mostly end before
  std::vector<std::uint32_t> cuts;
  for (std::uint32_t cut = 0; cut < frame.size() && cut <= kDense; cut++) cuts.push_back(cut);
  for (std::uint32_t cut = kDense + 57; cut < frame.size() && cut < 3000; cut += 57)
    cuts.push_back(cut);
  return cuts;
}

Result<std::vector<std::unique_ptr<Engine>>> all_engines() {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<ModelEngine>());
  engines.push_back(std::make_unique<NativeEngine>());
  engines.push_back(std::make_unique<NativePiecesEngine>());
  add_burst_engines(engines);
  if (auto added = add_port_engine(engines); !added) return std::unexpected(added.error());
  for (unsigned tier = 0; tier < MOAT_TIERS; tier++)
    if (auto added = add_xdp<XdpEngine>(tier, engines); !added)
      return std::unexpected(added.error());
  if (auto added = add_xdp<XdpPiecesEngine>(0, engines); !added)
    return std::unexpected(added.error());
  return engines;
}

}  // namespace moat::testing
