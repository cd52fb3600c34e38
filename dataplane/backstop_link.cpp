// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/backstop_link.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <tuple>

#include "bpf/abi.h"
#include "dataplane/bpf_error.h"
#include "dataplane/bpf_map.h"

namespace moat {
namespace {

constexpr auto wires_pin = "wires";

std::string describe(const Error& error) {
  return error.remedy.empty() ? error.message : fmt::format("{} ({})", error.message, error.remedy);
}

}  // namespace

BackstopLink::BackstopLink(BpfPins pins)
    : pins_(std::move(pins)),
      interfaces_(pins_),
      at_sockets_(pins_),
      before_sockets_(pins_),
      wire_(pins_) {}

// That of an earlier daemon serves as well, so that its programs and ours share their notes.
Result<> BackstopLink::make_wires() {
  if (wires_) return {};
  wires_ = pins_.get(wires_pin);
  if (wires_ && map_value_size(wires_.get()) == sizeof(moat_wire)) return {};
  wires_ = Fd(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "wires", sizeof(__u32), sizeof(moat_wire),
                             1, nullptr));
  if (!wires_) return bpf_failure("make the map of notes on packets");
  return {};
}

Result<> BackstopLink::tell(const Result<KnownInterfaces>& interfaces, BackstopStatus& status) {
  if (auto made = interfaces_.ensure(); !made) return made;
  if (!interfaces) {
    status.troubles.push_back("the backstop is not told of interfaces: " +
                              describe(interfaces.error()));
    return {};
  }
  auto told = interfaces_.tell(*interfaces);
  status.mended = std::move(told.mended);
  if (!told.trouble.empty()) status.troubles.push_back(std::move(told.trouble));
  return {};
}

void BackstopLink::ensure_at(const std::vector<NamedMap>& maps, const std::string& cgroup,
                             BackstopStatus& status) {
  auto done = at_sockets_.ensure(maps, interfaces_.fd(), wires_.get(), cgroup);
  if (!done) {
    status.at_sockets.reason = describe(done.error());
    return;
  }
  status.at_sockets.on = true;
  status.cgroup = std::move(done->cgroup);
  status.knows_names = at_sockets_.knows_names();
  if (!done->mended.empty()) status.mended.push_back(std::move(done->mended));
}

// For all sockets it judges; for those of a cgroup it only takes notes.
void BackstopLink::ensure_before(const std::vector<NamedMap>& maps, bool judges,
                                 BackstopStatus& status) {
  const auto done = before_sockets_.ensure(maps, interfaces_.fd(), wires_.get(), judges);
  status.before_sockets.on = done && judges;
  if (!judges) {
    status.before_sockets = {false, false,
                             "backstop-cgroup is set, and before a socket there is no cgroup"};
  } else if (!done) {
    status.before_sockets = {false, InputLink::has_place(), describe(done.error())};
  }
  if (!done) {
    const auto noted = wire_.ensure(wires_.get());
    if (!noted) status.as_nat_left = describe(noted.error());
    return;
  }
  wire_.remove();
  if (!before_sockets_.reads_kernel())
    status.as_nat_left = "this kernel lets no program read its memory (lockdown=confidentiality)";
  if (*done) status.mended.emplace_back("the backstop had been taken off its place before sockets");
}

BackstopStatus BackstopLink::ensure(const std::vector<NamedMap>& maps, const std::string& cgroup,
                                    const Result<KnownInterfaces>& interfaces) {
  BackstopStatus status;
  // First what is exempt, then the programs: nobody local is cut off in between.
  if (const auto told = tell(interfaces, status); !told)
    return BackstopStatus::off(describe(told.error()));
  if (const auto made = make_wires(); !made) return BackstopStatus::off(describe(made.error()));
  ensure_at(maps, cgroup, status);
  ensure_before(maps, cgroup.empty(), status);
  std::ignore = ensure_pins();  // without a filesystem to pin on it is on all the same
  return status;
}

Result<> BackstopLink::ensure_pins() {
  if (auto done = interfaces_.ensure_pin(); !done) return done;
  if (auto done = pins_.ensure({{wires_pin, wires_.get()}}); !done) return done;
  if (auto done = at_sockets_.ensure_pins(); !done) return done;
  if (auto done = before_sockets_.ensure_pins(); !done) return done;
  return wire_.ensure_pins();
}

void BackstopLink::remove() {
  before_sockets_.remove();
  wire_.remove();
  at_sockets_.remove();
  interfaces_.remove();
  pins_.remove(wires_pin);
  wires_ = Fd();
}

}  // namespace moat
