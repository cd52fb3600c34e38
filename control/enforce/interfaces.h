// SPDX-License-Identifier: BSD-2-Clause
// Keeps the packet path attached to the interfaces that the configuration names. Taking a name out
// of it while the daemon runs takes the program off, but not before the host has every interface
// that it names now: a name with a typing error must not open the right one. One that has the
// program and was never named stays guarded, and is told of: it was renamed, or an earlier daemon
// was to guard it.
#pragma once

#include <string>
#include <vector>

#include "control/files/reading.h"
#include "dataplane/backend.h"

namespace moat {

class Log;

class Interfaces {
 public:
  Interfaces(PacketPath& path, Log& log) : path_(path), log_(log) {}

  struct Changes {
    std::vector<std::string> removed;  // no longer wanted: the program was taken off
    bool attached = false;             // some interface is guarded that was not
    std::vector<std::string> mended;   // what somebody had done to those that were guarded
  };
  // Attaches where it is due and mends what is different, telling the log.
  Changes ensure(const Config& config);

  // As ensure() last found them, in the order of the configuration; then those it does not name.
  [[nodiscard]] const std::vector<InterfaceStatus>& status() const { return status_; }

  // Whether every interface that the host has is guarded.
  [[nodiscard]] bool all_attached() const;

 private:
  [[nodiscard]] std::string find_absent(const std::vector<std::string>& names) const;
  [[nodiscard]] std::string find_lost(const std::string& name) const;
  void tell(const InterfaceStatus& status);

  PacketPath& path_;
  Log& log_;
  std::vector<std::string> named_;  // by the configuration, or before and not taken off yet
  std::vector<InterfaceStatus> status_;
};

}  // namespace moat
