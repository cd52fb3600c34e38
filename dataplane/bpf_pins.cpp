// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/bpf_pins.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "dataplane/bpf_error.h"
#include "dataplane/bpf_map.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

// An object is pinned by this name first and then renamed, so that a name never stands for nothing.
constexpr auto unborn = "new";

bool is_on_bpf(const fs::path& path) {
  struct statfs about = {};
  return ::statfs(path.c_str(), &about) == 0 && about.f_type == BPF_FS_MAGIC;
}

Result<> make_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return bpf_failure("make the folder " + path.string());
}

Result<> mount_bpf(const fs::path& path) {
  const std::string remedy =
      fmt::format("mount a bpf filesystem: mount -t bpf bpf {}", path.string());
  std::error_code error;
  const bool empty = fs::is_empty(path, error);
  if (error) return bpf_failure("look into " + path.string(), error.value(), remedy);
  // Whatever is in the folder would be hidden.
  if (!empty) return std::unexpected(Error{path.string() + " is not on a bpf filesystem", remedy});
  if (::mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    return bpf_failure("mount a bpf filesystem on " + path.string(), errno, remedy);
  return {};
}

}  // namespace

std::string BpfPins::path(const std::string& name) const {
  std::string encoded = name;
  std::replace(encoded.begin(), encoded.end(), '.', ':');
  return folder_ + "/" + encoded;
}

Result<> BpfPins::prepare() const {
  if (!is_on_bpf(folder_)) {
    fs::path folder = folder_;
    if (!folder.has_filename()) folder = folder.parent_path();  // of "a/b/"
    const fs::path parent = folder.has_parent_path() ? folder.parent_path() : ".";
    if (!is_on_bpf(parent))
      if (auto mounted = mount_bpf(parent); !mounted) return mounted;
    if (auto made = make_folder(folder); !made) return made;
  }
  remove(unborn);  // of one who was killed between the two
  return make_folder(folder_ + "/links");
}

Result<> BpfPins::put(const std::string& name, int fd) const {
  if (bpf_obj_pin(fd, path(unborn).c_str()) != 0) return bpf_failure("pin " + path(name));
  if (rename(unborn, name)) return {};
  auto failure = bpf_failure("pin " + path(name));
  remove(unborn);
  return failure;
}

Result<bool> BpfPins::ensure(const std::vector<std::pair<std::string, int>>& objects) const {
  bool mended = false;
  for (const auto& [name, fd] : objects) {
    if (fd < 0 || holds(name, fd)) continue;
    mended = true;
    if (auto done = put(name, fd); !done) return std::unexpected(done.error());
  }
  return mended;
}

Fd BpfPins::get(const std::string& name) const {
  const int fd = bpf_obj_get(path(name).c_str());
  return fd >= 0 ? Fd(fd) : Fd();
}

bool BpfPins::holds(const std::string& name, int fd) const {
  const Fd pinned = get(name);
  return pinned && kernel_id(pinned.get()) == kernel_id(fd);
}

bool BpfPins::rename(const std::string& from, const std::string& to) const {
  return ::rename(path(from).c_str(), path(to).c_str()) == 0;
}

void BpfPins::remove(const std::string& name) const { ::unlink(path(name).c_str()); }

std::vector<std::string> BpfPins::list(const std::string& sub) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder_ + "/" + sub, error), end; !error && at != end;
       at.increment(error)) {
    if (at->is_directory(error)) continue;
    std::string name = at->path().filename();
    std::replace(name.begin(), name.end(), ':', '.');
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<> BpfPins::remove_all() const {
  for (const auto& name : list()) remove(name);
  ::rmdir((folder_ + "/links").c_str());
  if (::rmdir(folder_.c_str()) != 0 && errno != ENOENT)
    return bpf_failure("remove the folder " + folder_);
  return {};
}

}  // namespace moat
