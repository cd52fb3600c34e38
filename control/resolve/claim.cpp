// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/claim.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "control/text/input_limits.h"

namespace moat {
namespace {

// The name under which a file that was held back beside `old` is used: that one or, where it is
// another file's by now or is not read, one that no file has, "orders-2.yaml" for "orders.yaml".
std::string name_to_use(const std::string& path, const std::string& old,
                        const std::set<std::string>& paths) {
  const std::filesystem::path now(path);
  if (!paths.contains(old) && std::filesystem::path(old).parent_path() == now.parent_path())
    return old;
  for (int number = 2;; ++number) {
    auto free = now;
    free.replace_filename(
        fmt::format("{}-{}{}", now.stem().string(), number, now.extension().string()));
    if (!paths.contains(free.string())) return free.string();
  }
}

}  // namespace

LastDatabases::LastDatabases(const EnforcedState* last, const std::set<std::string>& forgotten) {
  if (last == nullptr) return;
  rivals = last->rivals;
  for (const auto& database : last->policy.databases) {
    if (database.is_placeholder) {
      // Its id is the base, or "BASE+2"; a base may begin with a '+'.
      ++placed[database.id.substr(0, database.id.find('+', 1))];
    } else if (!forgotten.contains(database.id)) {
      enforced.emplace(database.id, &database);
    }
  }
  for (const auto& placeholder : last->placeholders) {
    if (!forgotten.contains(placeholder.base)) placeholders.push_back(&placeholder);
  }
  for (const auto& [path, id] : last->database_of_file) {
    if (!forgotten.contains(id)) of_file.emplace(path, id);
  }
}

bool LastDatabases::holds(std::string_view id) const {
  return enforced.contains(id) ||
         std::ranges::find(placeholders, id, &Placeholder::base) != placeholders.end();
}

std::optional<Endpoint> DatabaseClaim::endpoint() const {
  const auto& reading = file->reading;
  return reading.value ? reading.value->endpoint : reading.endpoint;
}

void Claim::hold(Fault fault) {
  is_held = true;
  if (faults.size() >= limits::faults) return;
  const auto after = std::ranges::upper_bound(faults, fault, [](const Fault& a, const Fault& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  faults.insert(after, std::move(fault));
}

Rivals hold_same_ids(std::string_view what, const IdClaims& claims, const Rivals& before,
                     const std::set<std::string>& paths) {
  Rivals held;
  const auto hold = [&held](const IdClaim& file, std::string_view id, std::string message,
                            std::string remedy) {
    held[file.place.file].emplace(id);
    file.claim->hold(
        {Severity::error, file.place, std::move(message), std::string(id), std::move(remedy)});
  };
  for (const auto& [id, files] : claims) {
    const auto keeper = std::ranges::find_if(files, &IdClaim::is_enforced);
    const bool is_kept = keeper != files.end();
    for (const auto& file : files) {
      if (file.is_enforced()) continue;
      if (files.size() > 1) {
        const auto& other = is_kept ? *keeper : files[&file == files.data() ? 1 : 0];
        hold(file, id,
             fmt::format("this {} is {} {}", what, is_kept ? "the one of" : "also in",
                         other.place.file),
             "give it another id, or take it out of one of the two files");
        continue;
      }
      const auto rival = before.find(file.place.file);
      const bool was_held = rival != before.end() && rival->second.contains(std::string(id));
      if (!was_held || file.enforced_from.empty()) continue;
      hold(file, id,
           fmt::format("this {} was last enforced from {}, which no longer has it; this file was "
                       "held back beside it",
                       what, file.enforced_from),
           fmt::format("to use this file, rename it: mv {} {}", file.place.file,
                       name_to_use(file.place.file, file.enforced_from, paths)));
    }
  }
  return held;
}

}  // namespace moat
