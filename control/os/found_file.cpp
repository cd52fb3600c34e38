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

// Goes a path step by step.
class Walk {
 public:
  explicit Walk(int folder_fd) : folder_fd_(folder_fd) {}

  std::expected<FoundFile, int> to(const std::string& path) {
    lead_on(path);
    while (!steps_.empty()) {
      const auto step = std::move(steps_.front());
      steps_.pop_front();
      if (const int error = take(step)) return std::unexpected(error);
    }
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
    const int from = found_.object ? found_.object.get() : folder_fd_;
    Fd next(::openat(from, step.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!next || ::fstat(next.get(), &status) != 0) return errno;
    if (!S_ISLNK(status.st_mode)) {
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

  int folder_fd_;
  int symlinks_ = 0;
  std::deque<std::string> steps_;
  FoundFile found_;
};

}  // namespace

std::expected<FoundFile, int> find_file(int folder_fd, const std::string& path) {
  // Has what is mounted on demand be mounted, which single steps would not.
  struct stat ignored{};
  (void)::fstatat(folder_fd, path.c_str(), &ignored, 0);
  return Walk(folder_fd).to(path);
}

std::string name_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

}  // namespace moat
