// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/local_names.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

namespace moat {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// Whether the file has an entry that is `wanted`, which sees them one by one as `next` reads them.
template <typename Entry, typename Next, typename Wanted>
bool find_entry(const char* path, Next next, Wanted wanted) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path, "re"));
  if (!file) return false;
  std::vector<char> buffer(1024);
  for (;;) {
    Entry entry{};
    Entry* found = nullptr;
    const int error = next(file.get(), &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) {  // a long line, which is read again
      buffer.resize(buffer.size() * 2);
    } else if (error != 0) {
      return false;
    } else if (wanted(entry)) {
      return true;
    }
  }
}

}  // namespace

std::string user_name(uid_t uid) {
  std::string name = fmt::format("uid {}", uid);
  (void)find_entry<passwd>("/etc/passwd", fgetpwent_r, [&](const passwd& entry) {
    if (entry.pw_uid != uid) return false;
    name = entry.pw_name;
    return true;
  });
  return name;
}

std::optional<gid_t> find_group(const std::string& name) {
  std::optional<gid_t> id;
  (void)find_entry<group>("/etc/group", fgetgrent_r, [&](const group& entry) {
    if (name != entry.gr_name) return false;
    id = entry.gr_gid;
    return true;
  });
  return id;
}

}  // namespace moat
