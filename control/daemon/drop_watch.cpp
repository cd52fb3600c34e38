// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/drop_watch.h"

#include <chrono>

#include "dataplane/host/link_names.h"

namespace moat {
namespace {

using namespace std::chrono_literals;

constexpr auto rest = 100ms;

// The tables of one daemon after the other number their rows on.
std::uint64_t first_number() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count());
}

}  // namespace

DropWatch::DropWatch(EventLoop& loop, const Publisher& publisher)
    : loop_(loop), publisher_(publisher), table_(first_number()) {}

Result<> DropWatch::start(Result<std::unique_ptr<DropSource>> drops) {
  if (!drops) return std::unexpected(drops.error());
  auto timer = loop_.timer([this] { listen(); });
  if (!timer) return std::unexpected(timer.error());
  auto source = loop_.on_readable((*drops)->fd(), [this] { read_and_rest(); });
  if (!source) return std::unexpected(source.error());
  drops_ = std::move(*drops);
  timer_ = std::move(*timer);
  source_ = std::move(*source);
  return {};
}

void DropWatch::listen() {
  auto source = loop_.on_readable(drops_->fd(), [this] { read_and_rest(); });
  if (source) {
    source_ = std::move(*source);
  } else {
    timer_.set_after(rest);
  }
}

void DropWatch::read_and_rest() {
  source_ = {};
  read();
  timer_.set_after(rest);
}

std::string DropWatch::database_of(std::uint8_t owner) const {
  const auto& owners = publisher_.state().slots.owners();
  for (const auto& [database, number] : owners.in_use) {
    if (number == owner) return database;
  }
  const auto freed = owners.freed.find(owner);
  return freed == owners.freed.end() ? "" : freed->second;
}

void DropWatch::read() {
  if (!drops_) return;
  const auto clocks = publisher_.clocks();
  std::map<std::uint32_t, std::string> names;
  drops_->read([&](const moat_drop& event) {
    auto& name = names[event.ifindex];
    if (name.empty()) name = link_name_or_number(event.ifindex);
    const auto age =
        std::chrono::nanoseconds(clocks.monotonic) - std::chrono::nanoseconds(event.time);
    const auto time = clocks.wall - age;
    table_.add(event, database_of(event.owner), name, time);
  });
}

}  // namespace moat
