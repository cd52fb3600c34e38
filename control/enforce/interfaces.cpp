// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/interfaces.h"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>

#include "control/os/log.h"

namespace moat {
namespace {

// An interface may have several names: those of `ip link property` stand for it as well.
bool has(const std::vector<std::string>& names, const std::string& name) {
  const auto index = if_nametoindex(name.c_str());
  return std::ranges::any_of(names, [&](const std::string& other) {
    return other == name || (index != 0 && if_nametoindex(other.c_str()) == index);
  });
}

bool same(const InterfaceStatus& a, const InterfaceStatus& b) {
  return a.present == b.present && a.mode == b.mode && a.program_id == b.program_id &&
         a.foreign == b.foreign && a.reason == b.reason;
}

}  // namespace

Interfaces::Changes Interfaces::ensure(const Config& config) {
  Changes changes;
  const auto absent = find_absent(config.interfaces);
  std::vector<std::string> pending, unnamed;
  for (const auto& name : path_.attached_interfaces()) {
    if (has(config.interfaces, name)) continue;
    if (!has(named_, name)) {
      unnamed.push_back(name);
    } else if (!absent.empty()) {
      pending.push_back(name);
    } else if (const auto done = path_.detach(name); !done) {
      log_.about(LogEvent::interface).error("interface {}: {}", name, done.error().message);
    } else {
      log_.about(LogEvent::interface)
          .warn("interface {} is no longer guarded: moat.yaml does not name it", name);
      changes.removed.push_back(name);
    }
  }
  named_ = config.interfaces;
  named_.insert(named_.end(), pending.begin(), pending.end());

  std::vector<InterfaceStatus> found;
  const auto ensure_one = [&](const std::string& name) {
    auto lost = find_lost(name);
    found.push_back(path_.ensure_attached(name, config.attach));
    if (lost.empty() || !found.back().is_attached()) return;
    changes.attached = true;
    changes.mended.push_back(std::move(lost));
  };
  for (const auto& name : config.interfaces) ensure_one(name);
  for (const auto& name : pending) {
    ensure_one(name);
    found.back().reason = fmt::format(
        "moat.yaml does not name it; it stays guarded until {}, which moat.yaml names, "
        "is there",
        absent);
    found.back().remedy = fmt::format(
        "if {} is a typing error, mend it; if {} shall not be guarded, take {} out of moat.yaml "
        "until it is there",
        absent, name, absent);
  }
  for (const auto& name : unnamed) {
    ensure_one(name);
    found.back().reason = "moat.yaml does not name it; it stays guarded, as it was";
    found.back().remedy = "name it there; to take it off, take the name out again";
  }
  for (const auto& status : found) {
    const auto before = std::ranges::find(status_, status.name, &InterfaceStatus::name);
    const bool is_known = before != status_.end();
    if (!is_known || !same(*before, status)) tell(status);
    changes.attached |= status.is_attached() && !(is_known && before->is_attached());
  }
  status_ = std::move(found);
  return changes;
}

// The first of `names` that the host does not have, or empty.
std::string Interfaces::find_absent(const std::vector<std::string>& names) const {
  const auto absent = std::ranges::find_if(
      names, [this](const std::string& name) { return !path_.inspect(name).present; });
  return absent == names.end() ? std::string() : *absent;
}

// What has come between this look and the last, at an interface that was guarded then and is there:
// once mended it looks as if nothing had been.
std::string Interfaces::find_lost(const std::string& name) const {
  const auto before = std::ranges::find(status_, name, &InterfaceStatus::name);
  if (before == status_.end() || !before->is_attached()) return {};
  const auto now = path_.inspect(name);
  if (!now.present || now.foreign) return {};
  if (!now.is_attached()) return fmt::format("interface {} had lost Moat's program", name);
  if (now.program_id == before->program_id) return {};
  return fmt::format("interface {} ran another program than Moat's", name);
}

bool Interfaces::all_attached() const {
  return std::ranges::all_of(status_, [](const InterfaceStatus& status) {
    return !status.present || status.is_attached();
  });
}

void Interfaces::tell(const InterfaceStatus& status) {
  const auto because = [](const std::string& reason) {
    return reason.empty() ? std::string() : fmt::format(": {}", reason);
  };
  const auto log = log_.about(LogEvent::interface);
  if (!status.present) {
    log.warn("interface {} is not there; it will be guarded when it appears", status.name);
  } else if (status.foreign) {
    log.error("Moat's program is NOT on interface {}: program {} of somebody else is there{}",
              status.name, status.program_id, because(status.reason));
  } else if (status.mode == AttachMode::none) {
    log.error("Moat's program is NOT on interface {}{}", status.name, because(status.reason));
  } else if (status.mode == AttachMode::generic) {
    log.warn("interface {} is guarded in generic mode by program {}{}", status.name,
             status.program_id, because(status.reason));
  } else {
    log.info("interface {} is guarded in native mode by program {}{}", status.name,
             status.program_id, because(status.reason));
  }
}

}  // namespace moat
