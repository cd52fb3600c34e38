// SPDX-License-Identifier: BSD-2-Clause
// The shared verdict function under sanitizers, against the model and against promises that need no
// model. Input: policy (1 byte), time (1), where the first buffer ends (2), frame.
#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/verdict.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/random_endpoints.h"
#include "tests/fuzz/require.h"
#include "tests/verdict/model.h"
#include "tests/verdict/scattered.h"

namespace moat::testing {
namespace {

constexpr std::uint64_t kMonotonic = 5'000'000'000'000, kSecond = 1'000'000'000;

struct Scene {
  Policy policy;
  SlotMap slots;
  Table table;
};

const Scene& scene(std::uint8_t number) {
  static std::vector<std::unique_ptr<Scene>> scenes(256);
  auto& made = scenes[number];
  if (!made) {
    made = std::make_unique<Scene>();
    made->policy = random_whole_policy(number);
    made->slots = plain_slots(made->policy);
    made->table = compile(made->policy, made->slots, {kNow, kMonotonic}, number).value();
  }
  return *made;
}

std::string told(const moat_verdict& verdict) {
  return fmt::format("slot {}, reason {}, database {}, port {}, drop {}, monitored {}",
                     verdict.slot, reason_text(verdict.reason), verdict.database, verdict.port,
                     verdict.drop, verdict.monitored);
}

// What must hold whatever the frame is.
void require_promises(const Scene& at, const moat_verdict& verdict, std::size_t length,
                      WallTime now, const std::uint8_t* frame) {
  const std::string text = told(verdict);
  const bool is_bad = is_drop(static_cast<moat_reason>(verdict.reason));
  require(verdict.reason < MOAT_BACKSTOP, "a reason of the list", text);
  require(is_bad == (verdict.drop || verdict.monitored), "a drop has a drop's reason", text);
  require(!(verdict.drop && verdict.monitored), "monitored is passed", text);
  require(verdict.slot > MOAT_LOST_DROPS_SLOT && verdict.slot < MOAT_COUNTER_SLOTS, "a slot", text);
  require(verdict.family == 0 || verdict.l3 + 20 <= length, "an address is in the frame", text);
  if (verdict.reason != MOAT_ALLOWED) return;

  require(verdict.family == 4, "only IPv4 can be allowed", text);
  require(verdict.database >= 1 && verdict.database <= at.policy.databases.size(), "whose", text);
  const Database& database = at.policy.databases[verdict.database - 1];
  const auto source = Address::from_network(moat_load_u32(frame + verdict.l3 + 12));
  require(!is_martian(source), "no martian is allowed", text);
  const auto match = find_match(at.policy, database, source, now);
  require(match.has_value(), "allowed only by a rule", text);
  require(at.slots.rule(database.id, match->rule->id) == verdict.slot,
          "the most specific rule counts", text);
}

void run(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return;
  const Scene& at = scene(data[0]);
  const unsigned later = data[1] % 16;
  const std::uint64_t now = kMonotonic + later * kSecond;
  const WallTime wall = kNow + std::chrono::seconds{later};

  // A block of exactly the frame's size: a sanitizer sees a read past it.
  const std::size_t length = size - 4;
  const std::unique_ptr<std::uint8_t[]> frame(new std::uint8_t[length]);
  std::copy(data + 4, data + size, frame.get());
  const std::span<const std::uint8_t> bytes(frame.get(), length);

  const moat_verdict verdict = judge(at.table, bytes, now);
  require_promises(at, verdict, length, wall, frame.get());

  const std::size_t cut = (data[2] | std::size_t{data[3]} << 8) % (length + 1);
  const moat_verdict scattered = judge_scattered(at.table, bytes, cut, now);
  require(told(verdict) == told(scattered), "the same verdict on a frame in two buffers",
          told(verdict) + "\n" + told(scattered));

  const Expected expected = expect(at.policy, bytes, wall);
  require(slot_of(at.policy, at.slots, expected) == verdict.slot, "what the model says",
          fmt::format("{}\nmodel: slot {}, reason {}", told(verdict),
                      slot_of(at.policy, at.slots, expected), reason_text(expected.reason)));
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view bytes) {
  run(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}
