// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/settings.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "control/files/host_checks.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

std::string absolute(const std::string& path) {
  std::error_code error;
  auto whole = fs::absolute(path, error);
  return error ? path : whole.lexically_normal().string();
}

}  // namespace

Settings::Settings(const std::string& path) : path_(absolute(path)) {}

bool Settings::read(const IsBeingWritten& is_being_written) {
  auto file = read_linked_file(path_, limits::file_bytes);
  if (std::exchange(is_being_written_, false)) faults_.pop_back();
  if (file) {
    if (auto fault = find_unsafe_way(path_)) file = std::unexpected(std::move(*fault));
  }
  if (!file) {
    faults_ = {file.error()};
    bytes_.reset();
    return false;
  }
  const auto how =
      is_being_written ? is_being_written(file->stamp, file->has_writer, stamp_) : BeingWritten::no;
  if (how != BeingWritten::no) {
    is_being_written_ = true;
    faults_.push_back(in_pieces(path_, how, severity()));
    return false;
  }
  stamp_ = file->stamp;
  // A small file: its bytes tell more surely than a stamp whether it is another.
  if (file->bytes == bytes_ && known_ && !has_fallen_back_) return false;
  bytes_ = std::move(file->bytes);
  auto reading = read_config(path_, *bytes_);
  faults_ = std::move(reading.faults);
  std::ranges::move(find_loopback(reading, list_link_names().value_or(std::vector<LinkNames>{})),
                    std::back_inserter(faults_));
  if (has_error(faults_)) return false;
  config_ = std::move(*reading.value);
  known_ = true;
  has_fallen_back_ = false;
  bytes_in_force_ = *bytes_;
  return true;
}

// Of a file that is being written: no error where there is something in force.
Severity Settings::severity() const { return known_ ? Severity::warning : Severity::error; }

void Settings::fall_back(const std::string& bytes) {
  auto reading = read_config(path_, bytes);
  if (known_ || !reading.value) return;
  config_ = std::move(*reading.value);
  known_ = true;
  has_fallen_back_ = true;
  bytes_in_force_ = bytes;
}

RuleFolders Settings::folders() const {
  const auto home = fs::path(path_).parent_path();
  return {(home / config_.databases).lexically_normal().string(),
          (home / config_.managed_ranges).lexically_normal().string()};
}

}  // namespace moat
