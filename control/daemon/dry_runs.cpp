// SPDX-License-Identifier: BSD-2-Clause
// What a change would do, told to whoever asks before it is made.
#include <fmt/format.h>

#include "control/daemon/daemon.h"
#include "control/daemon/preview.h"
#include "control/daemon/refuse.h"
#include "control/enforce/describe_change.h"
#include "control/enforce/end_sessions.h"
#include "control/enforce/fit.h"
#include "control/text/fnv1a.h"

namespace moat {

// Of all that a change is planned by, and of nothing that a look at it changes.
std::string Daemon::basis() const {
  Fnv1a hash;
  const auto add = [&](const std::string& path, const FileStamp& stamp) {
    hash.add(fmt::format("{}\n{} {} {} {} {}\n", path, stamp.id.device, stamp.id.inode, stamp.size,
                         stamp.modified, stamp.changed));
  };
  hash.add(fmt::format("{}\n", publisher_.generation()));
  add(settings_.path(), settings_.stamp());
  for (const auto& file : scanner_.files().databases) add(file.path, file.stamp);
  for (const auto& file : scanner_.files().ranges) add(file.path, file.stamp);
  return fmt::format("{:016x}", hash.value());
}

ServiceResult<void> Daemon::check_basis(const Peer& peer) const {
  if (peer.basis.empty() || peer.basis == basis()) return {};
  return refuse(Refusal::Kind::conflict,
                "what this change was asked about has changed since: nothing was done",
                "give the command again, and look at what it says then");
}

ServiceResult<ChangeView> Daemon::preview(const PlannedChange& planned) {
  sample();  // for hits of now
  const auto now = publisher_.expiry_time();
  auto config = settings_.config();
  for (const auto& edit : planned.edits) {
    if (edit.path != settings_.path()) continue;
    if (auto reading = read_config(edit.path, edit.after); reading.value) config = *reading.value;
  }
  const auto as_it_is = enforcer_.resolve_input();
  auto forgotten = as_it_is.forgotten;
  if (!planned.forgotten.empty()) forgotten.insert(planned.forgotten);
  auto updates = as_it_is.updates;
  for (const auto& [range, digest] : planned.accepted) updates.accepted[range] = digest;
  const auto files = with_edits(as_it_is.files, planned.edits, settings_.path(), now);
  const auto after =
      resolve({files, config.mode, as_it_is.last, forgotten, as_it_is.time, updates});
  const auto& policy = after.state.policy;
  const Policy nothing;
  const auto* enforced = publisher_.enforced();
  const auto& before = enforced != nullptr ? enforced->policy : nothing;

  ChangeView view;
  view.generation = publisher_.generation();
  view.bound = settings_.config().bound;
  view.warnings = planned.warnings;
  auto& preview = view.preview.emplace();
  preview.basis = basis();
  preview.change = describe_change(before, policy);
  preview.opens = find_openings({before, settings_.config()}, {policy, config}, now);
  const auto sessions =
      guarded_sessions(policy, {config.trusted_interfaces, config.interfaces}, *path_);
  if (!sessions)
    return refuse(Refusal::Kind::unavailable, sessions.error().message, sessions.error().remedy);
  add_ends(views_.sessions(*sessions, ""), views_.rules(""), policy, now, preview);
  return view;
}

}  // namespace moat
