// SPDX-License-Identifier: BSD-2-Clause
// The half of resolve() that is about databases: which file speaks for which database, and which
// files cannot have their way.
//
// Each file makes a claim. A claim that is not held back puts its database in force; of all other
// databases the last enforced form is carried over. Holding one back can only bring an enforced
// form back into the picture, and with it a new conflict: so rounds, until none holds back any
// more. A port that moves from one file to another in one go is no conflict: claims are judged
// against each other, and against what was enforced only where that is carried over.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/resolve/claim.h"
#include "control/resolve/ranges.h"

namespace moat {

class DatabaseClaims {
 public:
  // All three must outlive this.
  DatabaseClaims(const RuleFiles& files, const ResolvedRanges& supply, const LastDatabases& last);

  // Holds back what conflicts, until nothing does. Call again after a hold from outside.
  void settle();

  [[nodiscard]] std::vector<DatabaseClaim>& claims() { return claims_; }
  [[nodiscard]] const Rivals& rivals() const { return rivals_; }

  // What is in force without placeholders: by id, what the files say before what was enforced.
  [[nodiscard]] std::map<std::string_view, const Database*> in_force() const;

 private:
  void identify(const RuleFiles& files);
  void hold_shared_ids();
  void hold_unknown_ranges();
  [[nodiscard]] std::size_t count_placeholders(
      const std::map<std::string_view, const Database*>& in_force) const;
  bool hold_too_many();
  bool hold_overlaps();
  bool hold_overlap(DatabaseClaim& claim, std::string_view other_id, const Endpoint& other,
                    const std::string& other_file, bool other_is_claim);
  [[nodiscard]] const DatabaseClaim* find_speaker(std::string_view id,
                                                  const std::string& last_file) const;
  [[nodiscard]] bool had(std::string_view id, const Endpoint& part) const;
  [[nodiscard]] bool is_spoken_for(std::string_view id) const;

  const ResolvedRanges& ranges_;
  const LastDatabases& last_;
  std::vector<DatabaseClaim> claims_;  // by path
  Rivals rivals_;
};

}  // namespace moat
