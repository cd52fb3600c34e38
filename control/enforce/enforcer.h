// SPDX-License-Identifier: BSD-2-Clause
// One turn from the files on disk to what is enforced, and what is known of it afterwards:
//
//   FileScanner::scan()  settings and rule files, as far as they changed; each change is noticed
//   Enforcer::apply()    resolve -> publish -> one line in the log
//     live, but not everywhere yet     not enforced, until a later turn finds that it is
//     too much for a table             once more, with files held back until it fits
//     it fails, and nothing is live    what was enforced last, or nobody is allowed
//
// When to take a turn is the daemon's business.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/enforce/file_scanner.h"
#include "control/enforce/fit.h"
#include "control/enforce/open_ports.h"
#include "control/enforce/publisher.h"
#include "control/files/settings.h"
#include "control/resolve/resolution.h"

namespace moat {

class Log;

// Why a turn is taken, for the log.
struct Cause {
  std::string what;          // "start", "moat rules add", ...; empty: files have changed
  std::string who;           // empty: whoever owns the files that changed
  std::string command = {};  // line, of who asked for it
};

struct ApplyResult {
  bool enforced = false;   // what the files say, as far as it can be used, is in force
  bool committed = false;  // that took a new generation
  bool is_behind = false;  // it is live, but not everywhere yet
  bool settings_changed = false;
  std::string settings_author = {};  // then: who owns moat.yaml
  std::uint64_t generation = 0;
  std::chrono::steady_clock::time_point enforced_at;
  std::string why_not;
  Cause cause;         // with what was not given: the files that changed, and who owns them
  std::string change;  // see describe_change.h
};

class Enforcer {
 public:
  using Steady = std::chrono::steady_clock;

  // All must outlive this.
  Enforcer(Settings& settings, FileScanner& scanner, Publisher& publisher, Log& log);

  // Enforces what the scanner has read.
  ApplyResult apply(const Cause& cause);

  // Publishes once more what is enforced; `why` goes to the log. `forced`: though it may be live.
  ApplyResult renew(const std::string& why, bool forced);

  // What apply() resolves.
  [[nodiscard]] ResolveInput resolve_input() const;

  // As of what is enforced; nothing before the first.
  [[nodiscard]] const std::optional<Resolution>& resolution() const { return resolution_; }
  [[nodiscard]] const ExposedPorts& exposed() const { return exposed_; }
  // Why the last turn failed; empty if it did not.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  // What is live was not so everywhere when it was last looked at.
  [[nodiscard]] bool is_behind() const { return is_behind_; }

 private:
  [[nodiscard]] Result<Publisher::PublishResult> publish_what_fits(Resolution& resolution);
  void guard_anyway(const Policy& wanted);
  void succeed(Resolution resolution, const Publisher::PublishResult& outcome);
  [[nodiscard]] ApplyResult result_of(const Publisher::PublishResult& outcome, Cause cause);
  ApplyResult fail(const Error& error);
  void log_generation(const ApplyResult& applied, Steady::duration took);
  void tell_held_back(const Resolution& resolution);
  void report_exposed(const std::vector<ExposedPort>& ports, const Policy& policy);
  void tell_relaxed(const Policy& before, const Policy& after);
  [[nodiscard]] Cause complete(const Cause& cause) const;

  Settings& settings_;
  FileScanner& scanner_;
  Publisher& publisher_;
  Log& log_;
  std::optional<Resolution> resolution_;
  ExposedPorts exposed_;
  std::shared_ptr<VersionMemory> versions_ = std::make_shared<VersionMemory>();
  std::string failure_;
  bool is_behind_ = false;
  std::set<std::string> told_;  // what is held back, as last logged
};

}  // namespace moat
