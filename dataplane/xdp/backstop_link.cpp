// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/backstop_link.h"

#include <tuple>

namespace moat {

BackstopLink::BackstopLink(BpfPins pins)
    : interfaces_(pins), notes_(pins), at_sockets_(pins), before_sockets_(std::move(pins)) {}

Result<> BackstopLink::tell(const Result<KnownInterfaces>& interfaces, BackstopStatus& status) {
  if (auto made = interfaces_.ensure(); !made) return made;
  if (!interfaces) {
    status.problems.push_back("the backstop is not told of interfaces: " +
                              format_error(interfaces.error()));
    return {};
  }
  auto told = interfaces_.tell(*interfaces);
  status.mended = std::move(told.mended);
  if (!told.problem.empty()) status.problems.push_back(std::move(told.problem));
  return {};
}

void BackstopLink::ensure_at(const BackstopMaps& maps, const std::string& cgroup,
                             BackstopStatus& status) {
  auto done = at_sockets_.ensure(maps, cgroup);
  if (!done) {
    status.at_sockets.reason = format_error(done.error());
    return;
  }
  // On a part it judges what it can, and is not on all the same.
  status.at_sockets = {.on = done->gap.empty(), .reason = std::move(done->gap)};
  status.cgroup = std::move(done->cgroup);
  status.knows_names = at_sockets_.knows_names();
  if (!done->mended.empty()) status.mended.push_back(std::move(done->mended));
}

void BackstopLink::ensure_before(const BackstopMaps& maps, bool judges, BackstopStatus& status) {
  const auto done = before_sockets_.ensure(maps, judges);
  if (!judges) {
    status.before_sockets = {false, false,
                             "backstop-cgroup is set, and before a socket there is no cgroup"};
  } else if (!done) {
    status.before_sockets = {false, InputLink::has_place(), format_error(done.error())};
  } else {
    status.before_sockets.on = true;
  }
  if (done && *done)
    status.mended.emplace_back("the backstop had been taken off its place before sockets");
  ensure_notes(done.has_value(), status);
}

// By one of the two: the program before sockets, or the one for want of it.
void BackstopLink::ensure_notes(bool are_taken_before, BackstopStatus& status) {
  if (are_taken_before) {
    notes_.remove_program();
    if (!before_sockets_.reads_kernel())
      status.as_nat_left = "this kernel lets no program read its memory (lockdown=confidentiality)";
  } else if (const auto done = notes_.ensure_program(); !done) {
    status.as_nat_left = format_error(done.error());
  }
}

BackstopStatus BackstopLink::ensure(const std::vector<NamedMap>& maps, const std::string& cgroup,
                                    const Result<KnownInterfaces>& interfaces) {
  auto status = ensure_parts(maps, cgroup, interfaces);
  is_on_ = status.at_sockets.on && cgroup.empty();
  return status;
}

BackstopStatus BackstopLink::ensure_parts(const std::vector<NamedMap>& maps,
                                          const std::string& cgroup,
                                          const Result<KnownInterfaces>& interfaces) {
  BackstopStatus status;
  // First what is exempt, then the programs: nobody local is cut off in between.
  if (const auto told = tell(interfaces, status); !told)
    return BackstopStatus::off(format_error(told.error()));
  if (const auto made = notes_.ensure(); !made)
    return BackstopStatus::off(format_error(made.error()));
  const BackstopMaps all = {maps, interfaces_.fd(), notes_.fd()};
  ensure_at(all, cgroup, status);
  ensure_before(all, cgroup.empty(), status);
  std::ignore = ensure_pins();  // without a filesystem to pin on it is on all the same
  return status;
}

Result<> BackstopLink::ensure_pins() {
  if (auto done = interfaces_.ensure_pin(); !done) return done;
  if (auto done = notes_.ensure_pins(); !done) return done;
  if (auto done = at_sockets_.ensure_pins(); !done) return done;
  return before_sockets_.ensure_pins();
}

void BackstopLink::remove() {
  is_on_ = false;
  before_sockets_.remove();
  at_sockets_.remove();
  notes_.remove();
  interfaces_.remove();
}

}  // namespace moat
