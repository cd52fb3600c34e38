// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/cgroups.h"

#include <sys/stat.h>

#include <filesystem>

namespace moat {

std::map<std::uint64_t, std::string> cgroups_below(const std::string& folder) {
  namespace fs = std::filesystem;
  std::map<std::uint64_t, std::string> cgroups;
  const auto add = [&](const std::string& path) {
    struct stat info = {};
    if (::stat(path.c_str(), &info) == 0) cgroups[info.st_ino] = path;
  };
  add(folder);
  // Cgroups come and go meanwhile: what cannot be read is not there any more.
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored)) add(entry->path().string());
  }
  return cgroups;
}

}  // namespace moat
