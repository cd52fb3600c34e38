// SPDX-License-Identifier: BSD-2-Clause
// A packet path in memory: it keeps what it is told, and fails at the step that a test names.
#pragma once

#include <sys/eventfd.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/backend.h"
#include "dataplane/fd.h"

namespace moat {

class FakePath final : public PacketPath {
 public:
  // What fails, by the name of the function, and with which words.
  std::map<std::string, std::string> failures;

  std::string adopted = "nothing is pinned";  // what adoption() says
  std::size_t room = MOAT_TIER_LARGE;         // larger tables cannot be published

  Table table;  // what is live
  unsigned published = 0;
  bool is_read = true;  // packets are judged by it
  std::vector<moat_counter> counts = std::vector<moat_counter>(MOAT_COUNTER_SLOTS);
  // What the host has, by name. A name that is not here is not there.
  std::map<std::string, InterfaceStatus> interfaces;
  BackstopStatus backstop{.at_sockets = {.on = true}, .before_sockets = {.on = true}};
  bool has_backstop = false;
  bool is_gone = false;  // detach_all() was called
  std::vector<std::string> mended;
  bool wants_fast_path = false;
  FastPathStatus fast;

  void add_interface(const std::string& name) {
    interfaces[name] = {.name = name, .present = true};
  }

  Result<> publish(const Table& next) override {
    if (auto failed = failure("publish")) return std::unexpected(*failed);
    if (next.header().size > room) return std::unexpected(Error{"no room for the table", ""});
    table = next;
    published++;
    return {};
  }
  Result<Live> live() override {
    if (auto failed = failure("live")) return std::unexpected(*failed);
    if (!table) return Live{};
    return Live{table.header().generation, table.header().digest, table.header().size};
  }
  Result<bool> is_live() override {
    if (auto failed = failure("is_live")) return std::unexpected(*failed);
    return bool(table) && is_read;
  }
  Result<Table> live_table() override {
    if (auto failed = failure("live_table")) return std::unexpected(*failed);
    return table;
  }
  Result<std::vector<moat_counter>> counters() override {
    if (auto failed = failure("counters")) return std::unexpected(*failed);
    return counts;
  }
  Result<> clear_counters(const std::vector<std::uint32_t>& slots) override {
    for (const auto slot : slots) counts[slot] = {};
    return {};
  }

  Result<> check_everywhere() const override {
    if (auto failed = failure("check_everywhere")) return std::unexpected(*failed);
    return {};
  }
  void want_fast_path(bool is_wanted) override { wants_fast_path = is_wanted; }
  FastPathStatus fast_path() const override { return fast; }

  [[nodiscard]] const std::string& adoption() const override { return adopted; }

  InterfaceStatus ensure_attached(const std::string& interface, WantedAttach wanted) override {
    auto status = inspect(interface);
    if (!status.present || status.foreign) return status;
    if (auto failed = failure("ensure_attached")) {
      status.mode = AttachMode::none;
      status.reason = failed->message;
    } else if (status.mode == AttachMode::none || status.program_id != program_id) {
      status.mode = wanted == WantedAttach::generic ? AttachMode::generic : AttachMode::native;
      status.program_id = program_id;
    }
    interfaces[interface] = status;
    return status;
  }
  InterfaceStatus inspect(const std::string& interface) override {
    const auto found = interfaces.find(interface);
    return found == interfaces.end() ? InterfaceStatus{.name = interface} : found->second;
  }
  std::vector<std::string> attached_interfaces() override {
    std::vector<std::string> names;
    for (const auto& [name, status] : interfaces)
      if (status.mode != AttachMode::none && !status.foreign) names.push_back(name);
    return names;
  }
  Result<> detach(const std::string& interface) override {
    if (auto failed = failure("detach")) return std::unexpected(*failed);
    interfaces[interface].mode = AttachMode::none;
    interfaces[interface].program_id = 0;
    return {};
  }
  Result<> detach_all() override {
    if (auto failed = failure("detach_all")) return std::unexpected(*failed);
    for (const auto& name : attached_interfaces()) (void)detach(name);
    has_backstop = false;
    is_gone = true;
    return {};
  }
  BackstopStatus ensure_backstop(const std::string&, const std::vector<std::string>&) override {
    if (auto failed = failure("ensure_backstop")) return BackstopStatus::off(failed->message);
    has_backstop = true;
    return backstop;
  }
  void remove_backstop() override { has_backstop = false; }

  Result<std::unique_ptr<DropSource>> drops() override {
    if (auto failed = failure("drops")) return std::unexpected(*failed);
    return std::make_unique<Silence>();
  }
  Result<SuppressedDrops> suppressed_drops() override { return SuppressedDrops(); }
  Result<std::unordered_map<std::uint64_t, std::uint32_t>> arrivals() override {
    return std::unordered_map<std::uint64_t, std::uint32_t>();
  }
  Result<> ensure_pins() override {
    if (auto failed = failure("ensure_pins")) return std::unexpected(*failed);
    return {};
  }
  Result<> check_pins_last() const override {
    if (auto failed = failure("check_pins_last")) return std::unexpected(*failed);
    return {};
  }
  std::vector<std::string> pin_problems() const override { return {}; }
  PinIds pinned() const override { return {}; }
  std::vector<std::string> take_mended() override { return std::exchange(mended, {}); }

  static constexpr std::uint32_t program_id = 7;

 private:
  // Nothing is ever dropped here.
  class Silence final : public DropSource {
   public:
    [[nodiscard]] int fd() const override { return fd_.get(); }
    void read(const std::function<void(const moat_drop&)>&) override {}

   private:
    Fd fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  };

  [[nodiscard]] std::optional<Error> failure(const std::string& step) const {
    const auto found = failures.find(step);
    if (found == failures.end()) return std::nullopt;
    return Error{found->second, ""};
  }
};

}  // namespace moat
