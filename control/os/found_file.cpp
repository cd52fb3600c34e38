// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/found_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <filesystem>
#include <iterator>
#include <utility>
#include <vector>

#include "dataplane/own_folder.h"

namespace moat {
namespace {

constexpr int max_symlinks = 40;  // as many as the kernel follows

std::expected<std::string, int> target_of(const Fd& link) {
  std::string target(PATH_MAX, '\0');
  const auto length = ::readlinkat(link.get(), "", target.data(), target.size());
  if (length < 0) return std::unexpected(errno);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

enum class Bounds { none, folder };

// Goes a path step by step.
class Walk {
 public:
  Walk(int folder_fd, Bounds bounds) : folder_fd_(folder_fd), bounds_(bounds) {}

  std::expected<FoundFile, int> to(const std::string& path) {
    lead_on(path);
    while (!steps_.empty()) {
      const auto step = std::move(steps_.front());
      steps_.pop_front();
      if (const int error = take(step)) return std::unexpected(error);
    }
    // Nowhere but to the folder itself.
    if (!found_.object) found_.object = Fd(::openat(folder_fd_, ".", O_PATH | O_CLOEXEC));
    if (!found_.object) return std::unexpected(errno);
    return std::move(found_);
  }

 private:
  void lead_on(const std::filesystem::path& path) {
    const std::deque<std::string> steps(path.begin(), path.end());
    steps_.insert(steps_.begin(), steps.begin(), steps.end());
  }

  // 0 or errno.
  int take(const std::string& step) {
    if (step.empty()) return 0;  // behind a slash at the end
    if (bounds_ == Bounds::folder) {
      if (step.front() == '/') return EXDEV;
      if (step == ".") return 0;
      if (step == "..") return go_up();
    }
    const int from = found_.object ? found_.object.get() : folder_fd_;
    Fd next(::openat(from, step.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!next || ::fstat(next.get(), &status) != 0) return errno;
    if (!S_ISLNK(status.st_mode)) {
      if (bounds_ == Bounds::folder) above_.push_back(std::move(found_.object));
      found_.object = std::move(next);
      return 0;
    }
    if (++symlinks_ > max_symlinks) return ELOOP;
    found_.by_symlink = true;
    if (is_stranger(status.st_uid)) found_.strangers.insert(status.st_uid);
    const auto target = target_of(next);
    if (!target) return target.error();
    lead_on(*target);
    return 0;
  }

  // To where it came from, wherever that is by now: `..` of a folder that was moved leads
  // elsewhere.
  int go_up() {
    if (above_.empty()) return EXDEV;
    found_.object = std::move(above_.back());
    above_.pop_back();
    return 0;
  }

  int folder_fd_;
  Bounds bounds_;
  int symlinks_ = 0;
  std::deque<std::string> steps_;
  FoundFile found_;
  std::vector<Fd> above_;  // where the steps from the folder came by; the folder itself is none
};

std::expected<FoundFile, int> walk(int folder_fd, const std::string& path, Bounds bounds) {
  // Has what is mounted on demand be mounted, which single steps would not.
  struct stat ignored{};
  (void)::fstatat(folder_fd, path.c_str(), &ignored, 0);
  return Walk(folder_fd, bounds).to(path);
}

}  // namespace

std::expected<FoundFile, int> find_file(int folder_fd, const std::string& path) {
  return walk(folder_fd, path, Bounds::none);
}

std::expected<FoundFile, int> find_beneath(int folder_fd, const std::string& path) {
  return walk(folder_fd, path, Bounds::folder);
}

std::string name_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

}  // namespace moat
