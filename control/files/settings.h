// SPDX-License-Identifier: BSD-2-Clause
// moat.yaml as it is in force: a version that has faults is told and changes nothing.
#pragma once

#include <optional>
#include <string>

#include "control/files/reading.h"
#include "control/files/rule_files.h"
#include "control/os/file_stamp.h"

namespace moat {

class Settings {
 public:
  explicit Settings(const std::string& path);

  // Reads the file if it is another than before, and whole. True if other settings are in force
  // now.
  bool read(const IsBeingWritten& is_being_written = {});

  // Takes what was in force in an earlier life, where no file without errors was read in this one.
  void fall_back(const std::string& bytes);
  [[nodiscard]] const std::string& bytes_in_force() const { return bytes_in_force_; }
  // Whether what is in force comes from there.
  [[nodiscard]] bool has_fallen_back() const { return has_fallen_back_; }
  // Then what is in force is what the file said before.
  [[nodiscard]] bool is_being_written() const { return is_being_written_; }

  // False until there is something in force.
  [[nodiscard]] bool is_known() const { return known_; }
  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] RuleFolders folders() const;
  [[nodiscard]] const std::string& path() const { return path_; }
  // Of the file as last seen; one with errors is not in force.
  [[nodiscard]] const Faults& faults() const { return faults_; }
  [[nodiscard]] bool is_held_back() const { return has_error(faults_); }
  [[nodiscard]] const FileStamp& stamp() const { return stamp_; }

 private:
  [[nodiscard]] Severity severity() const;

  std::string path_;  // absolute
  Config config_;
  bool known_ = false;
  Faults faults_;
  FileStamp stamp_;
  std::optional<std::string> bytes_;  // of the file as last seen
  bool has_fallen_back_ = false;
  bool is_being_written_ = false;
  std::string bytes_in_force_;
};

}  // namespace moat
