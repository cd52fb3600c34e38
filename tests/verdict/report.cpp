// SPDX-License-Identifier: BSD-2-Clause
// verdict_report FILE writes the report table; verdict_report --check FILE compares it. Needs root.
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>

#include "tests/verdict/case_table.h"
#include "tests/verdict/engines.h"

namespace moat::testing {
namespace {

constexpr const char* kHead =
    "# Verdicts\n\n"
    "Made by `verdict_report`, a part of the test run: each frame of [cases](cases) from a listed\n"
    "source A and an unlisted source B, what must become of it under its policy in\n"
    "[policies](policies), and which engines came to exactly that verdict, reason and counter.\n\n"
    "- `native`: the shared function in a process, on the frame in one piece and cut in two at "
    "every\n  offset; and a model that asks the policy directly.\n"
    "- `dpdk`: the fast path's burst function, on a burst of the frame in one piece and cut in "
    "two; "
    "and\n  the frame into a port of DPDK's and out of another, where Moat is built with it.\n"
    "- `xdp`: the XDP program in the kernel with the table in a map of each size, on the frame in "
    "one\n  piece and cut where the kernel lets a test run say so. It takes no frames below 14 "
    "bytes.\n\n"
    "`monitor`: counted as a drop, and passed. After the reason comes whom the packet counts for:\n"
    "a database, or the host where none is known yet; and the source whose rule let it in.\n\n"
    "On the wire, by `tests/e2e/frames/frames.sh`, the frame went raw to a host with listeners on "
    "ports "
    "22,\n5432, 6432 and 7000, first without moatd and then behind it. The host takes off all tags "
    "and\n"
    "unpacks IP in IP, GRE and VXLAN, and its settings let in whatever can be let in. What became\n"
    "of a frame ({}):\n\n"
    "- `accepted`: the handshake was completed, and a listener had the connection.\n"
    "- `syn-ack`, `rst`, `icmp`, `arp`: what the host answered first.\n"
    "- `heard`: the kernel's TCP was handed it, and said nothing. `silent`: not even that.\n"
    "- `not sent`: shorter than an Ethernet header, or longer than an MTU can be.\n\n"
    "`accepted → silent` is a frame that would have had its connection but for moatd. `→ heard` "
    "passed\nwhere it came in, and the backstop kept out what the kernel made of it.\n";

// The families of engines that came to what is wanted, or who did not.
struct Agreement {
  std::set<std::string> families;
  std::string dissent;
};

void hear(Engine& engine, const Scene& scene, const Side& side, Agreement& agreement) {
  const auto slot = wanted_slot(scene, side.wanted);
  for (const auto& frame : side.frames) {
    if (!engine.takes(frame)) continue;
    const auto outcome = engine.judge(scene, frame);
    const bool agrees = slot && outcome && *outcome == JudgeResult{side.wanted.drop, *slot};
    if (agrees)
      agreement.families.insert(engine.family());
    else
      agreement.dissent += " NOT " + engine.name();
  }
}

// "accepted → silent": without moatd, and behind it.
std::string on_the_wire(const nlohmann::json& record, const Case& each, const char* side) {
  const auto frame = record.at("frames").find(each.group + "/" + each.name);
  if (frame == record.at("frames").end()) return "not run";
  const std::string open = frame->at(side).at(0), guarded = frame->at(side).at(1);
  return open == guarded ? open : open + " → " + guarded;
}

Result<nlohmann::json> load_record() {
  const std::string path = "tests/verdict/wire.json";
  std::ifstream file(path);
  auto record = nlohmann::json::parse(file, nullptr, false);
  if (record.is_discarded()) return std::unexpected(Error{path + " cannot be read", {}});
  return record;
}

Result<std::string> row(const Case& each, const nlohmann::json& record,
                        std::vector<std::unique_ptr<Engine>>& engines) {
  auto policy = load_policy("tests/verdict/policies/" + each.policy);
  if (!policy) return std::unexpected(policy.error());
  const auto scene = make_scene(std::move(*policy), each.at);
  if (!scene) return std::unexpected(scene.error());
  Agreement agreement;
  for (const auto& engine : engines) {
    if (auto used = engine->use(*scene); !used) return std::unexpected(used.error());
    hear(*engine, *scene, each.a, agreement);
    hear(*engine, *scene, each.b, agreement);
  }
  std::string agreed;
  for (const std::string& family : agreement.families)
    agreed += (agreed.empty() ? "" : ", ") + family;
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", each.name, each.why,
                     each.policy, each.a.wanted.text, each.b.wanted.text,
                     agreed + agreement.dissent, on_the_wire(record, each, "A"),
                     on_the_wire(record, each, "B"));
}

Result<std::string> report() {
  auto cases = load_cases("tests/verdict/cases");
  if (!cases) return std::unexpected(cases.error());
  auto engines = all_engines();
  if (!engines) return std::unexpected(engines.error());
  auto record = load_record();
  if (!record) return std::unexpected(record.error());
  std::string text = fmt::format(kHead, record->at("made on").get<std::string>()), group;
  for (const Case& each : *cases) {
    if (each.group != group)
      text += fmt::format(
          "\n## {}\n\n| frame | why | policy | A | B | agreed | wire, A | wire, B |\n"
          "|---|---|---|---|---|---|---|---|\n",
          each.group);
    group = each.group;
    auto line = row(each, *record, *engines);
    if (!line) return line;
    text += *line;
  }
  return text + fmt::format("\n{} frames, each from A and from B.\n", cases->size());
}

int fail(const std::string& message) {
  std::cerr << message << "\n";
  return 1;
}

int run(std::span<char*> arguments) {
  const bool check = arguments.size() == 3 && std::string(arguments[1]) == "--check";
  if (!check && arguments.size() != 2) return fail("usage: verdict_report [--check] FILE");
  const std::string path = arguments.back();
  const auto made = report();
  if (!made) return fail(made.error().message + "; " + made.error().remedy);
  if (check) {
    std::ifstream file(path);
    const std::string is{std::istreambuf_iterator<char>(file), {}};
    return is == *made ? 0 : fail(path + " is not what the engines say; write it anew");
  }
  std::ofstream(path) << *made;
  return 0;
}

}  // namespace
}  // namespace moat::testing

int main(int count, char** arguments) {
  return moat::testing::run({arguments, static_cast<std::size_t>(count)});
}
