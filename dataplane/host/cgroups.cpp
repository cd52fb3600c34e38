// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/cgroups.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace moat {
namespace {

std::uint64_t number_of(const std::string& folder) {
  struct stat status = {};
  return ::stat(folder.c_str(), &status) == 0 ? status.st_ino : 0;
}

std::string mount_command() {
  constexpr auto usual = "/sys/fs/cgroup";
  struct statfs about = {};
  // Without any cgroups that is a folder of sysfs, in which nobody makes folders.
  if (::statfs(usual, &about) == 0 && about.f_type == SYSFS_MAGIC)
    return fmt::format("mount -t cgroup2 none {}", usual);
  return fmt::format("mkdir -p {0}/unified && mount -t cgroup2 none {0}/unified", usual);
}

// mountinfo writes a space as \040, and so on.
std::string unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

}  // namespace

Result<std::string> find_cgroup2() {
  std::string part;
  std::ifstream mounts("/proc/thread-self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string number, parent, device, root, folder;
    fields >> number >> parent >> device >> root >> folder;
    folder = unescape(folder);
    if (number_of(folder) == root_cgroup) return folder;
    if (root == "/" && part.empty()) part = folder;
  }
  if (!part.empty()) return part;
  return std::unexpected(Error{"no cgroup2 filesystem is mounted", "mount it: " + mount_command()});
}

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
