// SPDX-License-Identifier: BSD-2-Clause
// Every frame of tests/verdict on a real wire to a host with real listeners: first without moatd,
// which shows what the kernel would answer, then behind it, policy by policy.
//
//   frames --far NETNS --interface NAME --host NETNS --made-on TEXT [--write] [--random N]
//          [--seed N] RECORD
//
// It speaks with the script that keeps the host: a line "POLICY TIME" on standard output asks for
// moatd with that folder of tests/verdict/policies, at that time ("-", or seconds since 1970, where
// rules expire); any line on standard input says that it is ready. Who ends the output is done.
//
// What must hold, whatever the kernel: a frame to be dropped is not even seen by TCP, and nothing
// answers it; one to be passed is answered as it was without moatd, unless the backstop is to stop
// it; nobody who is not listed ever gets a TCP segment from a guarded port; and no EtherType and no
// protocol number leads B to it. The same is asked of random frames. RECORD keeps what
// became of each frame, for the report; --write makes it anew.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/text/command_line.h"
#include "tests/e2e/frames/bench.h"
#include "tests/e2e/frames/mend.h"
#include "tests/e2e/frames/unpack.h"
#include "tests/fuzz/mutator.h"
#include "tests/verdict/case_table.h"
#include "tests/verdict/model.h"

namespace moat::testing {
namespace {

constexpr const char* kPolicies = "tests/verdict/policies/";
constexpr std::uint16_t kPorts[] = {22, 5432, 6432, 7000};

struct Options {
  std::string far, interface, host, made_on, record;
  bool write = false;
  unsigned random = 500;  // frames for each policy
  std::uint64_t seed = 1;
};

using Key = std::pair<std::size_t, char>;  // number of the case, A or B

// The two sides of a case, by letter.
std::vector<std::pair<char, const Side*>> sides(const Case& each) {
  return {{'A', &each.a}, {'B', &each.b}};
}

// Policies, each with the time at which it is to be looked at.
using Scene = std::pair<std::string, std::optional<WallTime>>;

std::set<Scene> scenes_of(const std::vector<Case>& cases) {
  std::set<Scene> all;
  for (const Case& each : cases) all.emplace(each.policy, each.at);
  return all;
}

// What random frames are made from. Long ones would only cost time.
std::vector<std::vector<std::uint8_t>> seeds_of(const std::vector<Case>& cases) {
  std::vector<std::vector<std::uint8_t>> seeds;
  for (const Case& each : cases)
    for (const auto& [letter, side] : sides(each))
      std::ranges::copy_if(side->frames, std::back_inserter(seeds),
                           [](const auto& frame) { return frame.size() < 4096; });
  return seeds;
}

class Frames {
 public:
  Frames(const Options& options, std::vector<Case> cases, Bench bench)
      : options_(options),
        cases_(std::move(cases)),
        scenes_(scenes_of(cases_)),
        mutator_(seeds_of(cases_)),
        bench_(std::move(bench)) {}

  Result<> without_moatd() {
    for (std::size_t i = 0; i < cases_.size(); i++)
      for (const auto& [letter, side] : sides(cases_[i])) {
        auto outcome = bench_.show(side->frames);
        if (!outcome) return std::unexpected(outcome.error());
        note(cases_[i], letter, outcome->answers);
        open_[{i, letter}] = std::move(outcome->what);
      }
    for (const Scene& scene : scenes())
      if (auto done = show_random(scene, false); !done) return done;
    return sweep_numbers(swept_open_);
  }

  [[nodiscard]] const std::set<Scene>& scenes() const { return scenes_; }

  Result<> behind_moatd(const Scene& scene) {
    const auto policy = load_policy(kPolicies + scene.first);
    if (!policy) return std::unexpected(policy.error());
    for (std::size_t i = 0; i < cases_.size(); i++) {
      if (Scene(cases_[i].policy, cases_[i].at) != scene) continue;
      for (const auto& [letter, side] : sides(cases_[i])) {
        auto outcome = bench_.show(side->frames);
        if (!outcome) return std::unexpected(outcome.error());
        check_answers(**policy, time_of(scene), cases_[i].group + "/" + cases_[i].name,
                      outcome->answers);
        check_outcome(i, letter, *side, *outcome);
        guarded_[{i, letter}] = side->backstop ? kHeard : std::move(outcome->what);
      }
    }
    if (auto done = show_random(scene, true); !done || scene.first != plain().policy) return done;
    auto done = sweep_numbers(swept_guarded_);
    if (done && (swept_guarded_.segments > 0 || swept_guarded_.answers > 0))
      fault("an EtherType or a protocol", "leads B to TCP");
    return done;
  }

  [[nodiscard]] nlohmann::json record() const {
    nlohmann::json all;
    for (std::size_t i = 0; i < cases_.size(); i++)
      for (const char letter : {'A', 'B'})
        all[cases_[i].group + "/" + cases_[i].name][std::string(1, letter)] = {
            open_.at({i, letter}), guarded_.at({i, letter})};
    return all;
  }

  [[nodiscard]] std::string sums() const {
    std::map<std::string, int> dropped, passed;
    for (std::size_t i = 0; i < cases_.size(); i++)
      for (const auto& [letter, side] : sides(cases_[i]))
        ++(side->wanted.drop ? dropped : passed)[open_.at({i, letter})];
    return fmt::format(
        "{} frames; without moatd the kernel took {} connections from those to be dropped, and "
        "answered {} more; of those to be passed it took {}\n"
        "{} frames with every EtherType and protocol from B: TCP was handed {} without moatd, {} "
        "behind it\n"
        "{} random frames, {} to be dropped: without moatd TCP was handed {} of these, and took {} "
        "connections",
        cases_.size(), dropped["accepted"], dropped["syn-ack"] + dropped["rst"] + dropped["icmp"],
        passed["accepted"], swept_open_.frames, swept_open_.segments, swept_guarded_.segments,
        random_.frames, random_.to_drop, random_.reached, random_.taken);
  }

  [[nodiscard]] int faults() const { return faults_; }

 private:
  [[nodiscard]] const Case& named(const std::string& group, const std::string& name) const {
    return *std::ranges::find_if(
        cases_, [&](const Case& each) { return each.group == group && each.name == name; });
  }
  [[nodiscard]] const Case& plain() const { return named("tags", "plain"); }

  Result<> sweep_numbers(Swept& into) {
    auto swept = bench_.sweep_numbers(plain().b.frame(), named("ipv6", "plain").b.frame());
    if (!swept) return std::unexpected(swept.error());
    into = *swept;
    return {};
  }

  void fault(const std::string& where, const std::string& what) {
    faults_++;
    std::cerr << fmt::format("{}: {}\n", where, what);
  }
  void fault(const Case& each, char letter, const std::string& what) {
    fault(fmt::format("{}/{} {}", each.group, each.name, letter), what);
  }

  // Mutants of the table's frames, the same ones without and behind moatd.
  Result<> show_random(const Scene& scene, bool guarded) {
    const auto policy = load_policy(kPolicies + scene.first);
    if (!policy) return std::unexpected(policy.error());
    Random random(options_.seed * 1000 + static_cast<std::uint64_t>(std::ranges::distance(
                                             scenes_.begin(), scenes_.find(scene))));
    mutator_.aim(**policy, random);
    for (unsigned i = 0; i < options_.random; i++) {
      const auto mutant = mutator_.next(random);
      std::vector<std::vector<std::uint8_t>> frames = {{mutant.begin(), mutant.end()}};
      mend(frames[0]);
      const auto verdict = expect(**policy, frames[0], time_of(scene));
      const bool to_drop = is_drop(verdict.reason) && !is_monitored(**policy, verdict);
      auto outcome = bench_.show(frames);
      if (!outcome) return std::unexpected(outcome.error());
      if (guarded) {
        check_random(**policy, scene, frames[0], to_drop, *outcome);
      } else {
        random_.frames++;
        random_.to_drop += to_drop;
        random_.reached += to_drop && outcome->reached_tcp;
        random_.taken += to_drop && outcome->what == "accepted";
      }
    }
    return {};
  }

  void check_random(const Policy& policy, const Scene& scene, Bytes frame, bool to_drop,
                    const BenchResult& outcome) {
    const int before = faults_;
    const std::string name = "a random frame, policy " + scene.first;
    check_answers(policy, time_of(scene), name, outcome.answers);
    if (to_drop && outcome.reached_tcp) fault(name, "to be dropped, and TCP has it");
    if (faults_ == before) return;
    for (const std::uint8_t byte : frame.first(std::min<std::size_t>(frame.size(), 200)))
      std::cerr << fmt::format("{:02x}", byte);
    std::cerr << fmt::format(" ({} bytes): {}\n", frame.size(), outcome.what);
  }

  static WallTime time_of(const Scene& scene) {
    return scene.second.value_or(
        std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
  }

  // The scene has told the host all its neighbours: an answer that waits for one would be missed.
  void note(const Case& each, char letter, const std::vector<Answer>& answers) {
    for (const Answer& answer : answers)
      if (answer.is_question) fault(each, letter, "asks for a neighbour: " + describe(answer));
  }

  // To a source that is an address of its own the host answers over lo, and answers that again.
  static bool is_to_itself(const Answer& answer, std::span<const Answer> earlier) {
    return std::ranges::any_of(earlier, [&answer](const Answer& before) {
      return before.from == answer.to && before.from_port == answer.to_port &&
             before.to == answer.from && before.to_port == answer.from_port;
    });
  }

  // Nobody gets TCP from a port from which a plain SYN of theirs would be kept.
  void check_answers(const Policy& policy, WallTime now, const std::string& name,
                     std::span<const Answer> answers) {
    constexpr std::array<std::uint8_t, 14> plain{};
    for (std::size_t i = 0; i < answers.size(); i++) {
      const Answer& answer = answers[i];
      if (answer.kind == Answer::Kind::arp || answer.kind == Answer::Kind::icmp) continue;
      if (is_to_itself(answer, answers.first(i))) continue;
      const auto verdict = expect(policy, reply_to(answer, Segment::syn, plain), now);
      if (is_drop(verdict.reason) && !is_monitored(policy, verdict))
        fault(name, "BYPASS: " + describe(answer));
    }
  }

  void check_outcome(std::size_t i, char letter, const Side& side, const BenchResult& outcome) {
    const std::string& what = outcome.what;
    const std::string& open = open_.at({i, letter});
    std::string wanted = open;
    if (side.wanted.drop && open != kNotSent) wanted = kSilent;
    if (side.backstop) wanted = kHeard;  // or silent, where the NIC's program sees it once more
    if (side.backstop && what == kSilent) return;
    if (what == wanted) return;
    fault(cases_[i], letter,
          fmt::format("{}, {} without moatd, {} behind it; wanted: {}", side.wanted.text, open,
                      what, wanted));
    for (const Answer& answer : outcome.answers) std::cerr << "    " << describe(answer) << "\n";
  }

  struct RandomSums {
    unsigned frames = 0, to_drop = 0;
    unsigned reached = 0, taken = 0;  // of those to be dropped, without moatd
  };

  const Options& options_;
  std::vector<Case> cases_;
  std::set<Scene> scenes_;
  Mutator mutator_;
  Bench bench_;
  RandomSums random_;
  std::map<Key, std::string> open_, guarded_;
  Swept swept_open_, swept_guarded_;
  int faults_ = 0;
};

int fail(const std::string& message) {
  std::cerr << message << "\n";
  return 1;
}

// The record is what this kernel makes of the frames; another one may well differ.
int check_record(const Options& options, const nlohmann::json& made) {
  std::ifstream file(options.record);
  const auto kept = nlohmann::json::parse(file, nullptr, false);
  if (kept.is_discarded()) return fail(options.record + " cannot be read; write it anew");
  if (kept.at("made on") != options.made_on) {
    std::cerr << "not compared: " << options.record << " was made on " << kept.at("made on")
              << ", this is " << options.made_on << "\n";
    return 0;
  }
  int different = 0;
  for (const auto& [name, outcome] : made.items())
    if (kept.at("frames").value(name, nlohmann::json()) != outcome) {
      different++;
      std::cerr << fmt::format("{}: {}; recorded: {}\n", name, outcome.dump(),
                               kept.at("frames").value(name, nlohmann::json()).dump());
    }
  if (kept.at("frames").size() != made.size()) different++;
  return different == 0 ? 0 : fail(options.record + " is not what came of it; write it anew");
}

// A line for each frame, so that a change can be read.
int write_record(const Options& options, const nlohmann::json& made) {
  std::ofstream file(options.record);
  file << "{\n \"made on\": " << nlohmann::json(options.made_on) << ",\n \"frames\": {";
  const char* separator = "\n";
  for (const auto& [name, outcome] : made.items()) {
    file << separator << "  " << nlohmann::json(name) << ": " << outcome.dump();
    separator = ",\n";
  }
  file << "\n }\n}\n";
  return file.flush() ? 0 : fail("cannot write " + options.record);
}

int run(const Options& options) {
  auto cases = load_cases("tests/verdict/cases");
  if (!cases) return fail(cases.error().message);
  auto wire = Wire::open(options.far, options.interface, options.host);
  if (!wire) return fail(wire.error().message);
  auto unpacker = Unpacker::attach("eth0");
  if (!unpacker) return fail(unpacker.error().message);
  auto listeners = Listeners::open({std::begin(kPorts), std::end(kPorts)});
  if (!listeners) return fail(listeners.error().message);

  Frames frames(options, std::move(*cases), Bench(std::move(*wire), std::move(*listeners)));
  if (auto done = frames.without_moatd(); !done) return fail(done.error().message);
  for (const auto& scene : frames.scenes()) {
    std::cout << scene.first << " "
              << (scene.second ? std::to_string(scene.second->time_since_epoch().count()) : "-")
              << "\n"
              << std::flush;
    std::string ready;
    if (!std::getline(std::cin, ready)) return fail("no moatd");
    if (auto done = frames.behind_moatd(scene); !done) return fail(done.error().message);
  }
  std::cerr << frames.sums() << "; " << frames.faults() << " faults\n";
  if (frames.faults() != 0) return 1;
  return options.write ? write_record(options, frames.record())
                       : check_record(options, frames.record());
}

}  // namespace
}  // namespace moat::testing

int main(int argc, char** argv) {
  moat::testing::Options options;
  moat::CommandLine app{"Every frame of the case table on a real wire, without and behind moatd"};
  app.require("--far", options.far);
  app.require("--interface", options.interface);
  app.require("--host", options.host);
  app.require("--made-on", options.made_on);
  app.add_flag("--write", options.write);
  app.add("--random", options.random, "so many random frames for each policy");
  app.add("--seed", options.seed);
  app.require("record", options.record);
  if (const auto done = app.parse(argc, argv)) return *done;
  return moat::testing::run(options);
}
