// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/rule_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

#include "control/os/file_io.h"
#include "control/os/found_file.h"
#include "control/text/input_limits.h"
#include "control/text/some_of.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/own_folder.h"

namespace moat {
namespace {

constexpr int max_attempts = 5;  // at a file that changes while it is read
// More than the kernel's clock for stamps takes.
constexpr std::chrono::milliseconds tick(100);

Fault refuse(const std::string& path, std::string message, std::string value = {},
             std::string remedy = {}) {
  return {Severity::error, {path, 0, 0}, std::move(message), std::move(value), std::move(remedy)};
}

bool is_symlink(const std::string& path) {
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

Fault refuse_errno(const std::string& path, int error) {
  const auto cause = errno_words(error);
  switch (error) {
    case EACCES:
      return refuse(path, "cannot be read", cause, "let moatd's user read it");
    case ENOENT:
      return is_symlink(path)
                 ? refuse(path, "is a symlink that leads nowhere", {}, "mend or remove it")
                 : refuse(path, "there is no such file", {}, "check the path, or restore it");
    case ELOOP:
      return refuse(path, "cannot be read", cause, "the symlink leads back to itself");
    default:
      return refuse(path, "cannot be read", cause);
  }
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

std::string octal(mode_t mode) { return fmt::format("mode {:04o}", mode & 07777u); }

// Why a file with this status is not read, if it is not.
std::optional<Fault> check_status(const struct stat& status, const std::string& path,
                                  std::size_t limit) {
  if (!S_ISREG(status.st_mode)) {
    return refuse(path, "is no regular file", std::string(kind_of(status.st_mode)),
                  "put a file there, or take it away");
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return refuse(path, "is writable by others", octal(status.st_mode), "chmod o-w " + path);
  }
  if (static_cast<std::size_t>(status.st_size) > limit) {
    return refuse(path, fmt::format("has more than {} MiB", limit >> 20),
                  fmt::format("{} bytes", status.st_size), "split it");
  }
  return std::nullopt;
}

// Who may write to the folder that a file really lies in (a cidrs-file's subfolder, what a symlink
// leads to) may put another in its place; with the sticky bit, only its owner may.
std::optional<Fault> check_real_folder(int fd, const std::string& shown) {
  std::error_code error;
  const auto real = std::filesystem::read_symlink(name_of(fd), error);
  struct stat status{};
  if (error || ::stat(real.parent_path().c_str(), &status) != 0) return std::nullopt;
  if ((status.st_mode & (S_IWOTH | S_ISVTX)) != S_IWOTH) return std::nullopt;
  return refuse(shown, "lies in a folder that is writable by others", real.parent_path().string(),
                "chmod o-w " + real.parent_path().string());
}

// One attempt; nothing if the file changed meanwhile.
std::expected<std::optional<FileBytes>, Fault> try_read(const Fd& object, const std::string& shown,
                                                        std::size_t limit) {
  struct stat before{};
  // Looked at before it is opened: opening a device can be a deed.
  if (::fstat(object.get(), &before) != 0) return std::unexpected(refuse_errno(shown, errno));
  if (auto fault = check_status(before, shown, limit)) return std::unexpected(std::move(*fault));
  const Fd fd(::open(name_of(object.get()).c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd || ::fstat(fd.get(), &before) != 0) return std::unexpected(refuse_errno(shown, errno));
  if (auto fault = check_real_folder(fd.get(), shown)) return std::unexpected(std::move(*fault));
  FileBytes file{{}, stamp_of(before)};
  auto bytes = read_to_end(fd.get(), limit);
  if (!bytes) return std::unexpected(refuse_errno(shown, bytes.error()));
  struct stat after{};
  if (::fstat(fd.get(), &after) != 0) return std::unexpected(refuse_errno(shown, errno));
  if (stamp_of(after) != file.stamp || bytes->size() != file.stamp.size) return std::nullopt;
  file.bytes = std::move(*bytes);
  file.has_writer = has_writer(fd.get());
  return file;
}

// What an O_PATH descriptor stands for.
std::expected<FileBytes, Fault> read_object(const Fd& object, const std::string& shown,
                                            std::size_t limit) {
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    auto file = try_read(object, shown, limit);
    if (!file) return std::unexpected(std::move(file.error()));
    if (*file) return std::move(**file);
  }
  return std::unexpected(refuse(shown, "changes while it is read", {}, "it is read again"));
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

std::expected<Folder, Fault> open_folder(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd && errno == ENOENT && !is_symlink(path)) {
    return std::unexpected(
        refuse(path, "there is no such folder", {}, "check the path, or make it"));
  }
  if (!fd) return std::unexpected(refuse_errno(path, errno));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return std::unexpected(refuse_errno(path, errno));
  if ((status.st_mode & S_IWOTH) != 0) {
    return std::unexpected(refuse(path, "the folder is writable by others", octal(status.st_mode),
                                  "chmod o-w " + path));
  }
  // fdopendir takes the descriptor over, so it gets one of its own.
  const int own = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
  Folder folder(own < 0 ? nullptr : ::fdopendir(own));
  if (!folder) return std::unexpected(refuse_errno(path, errno));
  return folder;
}

// What editors leave, and nobody takes for a rule file.
bool is_backup(std::string_view name) {
  return name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
}

struct Listing {
  std::vector<std::string> rule_files;
  std::vector<std::string> others;  // that are not to be expected in such a folder
};

std::expected<Listing, Fault> list_folder(DIR* folder, const std::string& path) {
  Listing listing;
  for (;;) {
    errno = 0;
    const auto* entry = ::readdir(folder);
    if (entry == nullptr && errno != 0) return std::unexpected(refuse_errno(path, errno));
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name.starts_with('.') || is_backup(name)) continue;
    (is_rule_file_name(name) ? listing.rule_files : listing.others).emplace_back(name);
  }
  std::ranges::sort(listing.rule_files);
  std::ranges::sort(listing.others);
  return listing;
}

void add_passed_over(const std::string& folder, const std::vector<std::string>& names,
                     Faults& faults) {
  if (names.empty()) return;
  faults.push_back({Severity::warning,
                    {folder, 0, 0},
                    names.size() == 1 ? "this is not read" : "these are not read",
                    some_of(names, 3),
                    "a rule file lies in the folder itself, and its name ends in .yaml or .yml"});
}

// Whether a cidrs-file that is read is `name` of the folder, or lies in it.
bool holds_list(const std::vector<RangeFile>& files, const std::string& folder,
                const std::string& name) {
  const auto path = (std::filesystem::path(folder) / name).lexically_normal().string();
  return std::ranges::any_of(files, [&](const RangeFile& file) {
    return std::ranges::any_of(file.lists, [&](const std::string& list) {
      const auto normal = std::filesystem::path(list).lexically_normal().string();
      return normal == path || normal.starts_with(path + "/");
    });
  });
}

// Whether the reading's warnings about expired rules would be others by now.
bool has_expiry_between(const DatabaseResult& reading, WallTime a, WallTime b) {
  if (!reading.value) return false;
  return std::ranges::any_of(reading.value->rules, [=](const Rule& rule) {
    return rule.is_expired(a) != rule.is_expired(b);
  });
}

std::optional<FileStamp> stamp_at(int folder_fd, const std::string& path) {
  struct stat status{};
  if (::fstatat(folder_fd, path.c_str(), &status, 0) != 0) return std::nullopt;
  return stamp_of(status);
}

// Whether a file that was listed went away before it could be read.
bool is_gone(int folder_fd, const std::string& name) {
  struct stat status{};
  return ::fstatat(folder_fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

std::string path_beside(const std::string& path, const std::string& list) {
  return std::filesystem::path(path).parent_path() / list;
}

// The folder that the descriptor stands for; empty: it is not known where that is.
std::string path_of(int folder_fd) {
  std::error_code error;
  return std::filesystem::read_symlink(name_of(folder_fd), error).string();
}

bool is_link_at(int folder_fd, const std::string& name) {
  struct stat status{};
  return ::fstatat(folder_fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISLNK(status.st_mode);
}

// For a name that leads out of the folder, or into one below it. What lies in the folder itself is
// as safe as that is. Whoever owns the folder may lead on from it.
std::optional<Fault> check_way_from(int folder_fd, const std::string& name,
                                    const std::string& shown) {
  struct stat folder{};
  if (::fstat(folder_fd, &folder) != 0) return std::nullopt;
  const auto way = std::filesystem::path(path_of(folder_fd)) / name;
  const auto safe = check_way_to(way, folder.st_uid);
  if (safe) return std::nullopt;
  return refuse(shown, "somebody else could replace it: " + safe.error().message, {},
                safe.error().remedy);
}

// A link can be made by one who may not read what it leads to; faults would show him parts of that.
std::optional<Fault> check_links(const FoundFile& found, const std::string& shown) {
  struct stat file{};
  if (::fstat(found.object.get(), &file) != 0) return refuse_errno(shown, errno);
  for (const auto stranger : found.strangers) {
    if (stranger == file.st_uid) continue;
    return refuse(shown, "is a symlink to a file of another user",
                  fmt::format("of uid {}, to one of uid {}", stranger, file.st_uid),
                  "put a copy there, or have root make the symlink");
  }
  return std::nullopt;
}

std::expected<FoundFile, Fault> find_linked(int folder_fd, const std::string& path,
                                            const std::string& shown) {
  auto found = find_file(folder_fd, path);
  if (!found) return std::unexpected(refuse_errno(shown, found.error()));
  if (auto fault = check_links(*found, shown)) return std::unexpected(std::move(*fault));
  return std::move(*found);
}

// Without following a symlink out of the folder.
std::expected<Fd, Fault> open_beneath(int folder_fd, const std::string& path) {
  auto found = find_beneath(folder_fd, path);
  if (found) return std::move(found->object);
  if (found.error() == EXDEV) {
    return std::unexpected(refuse(path, "is reached by a symlink that leads out of the folder", {},
                                  "put the file itself, or a copy of it, there"));
  }
  return std::unexpected(refuse_errno(path, found.error()));
}

// Calls `read(folder_fd, name, path)` for each rule file of a folder, and gives the names of what
// is none. The error is the folder's; `check` may have one.
template <typename Check, typename Read>
std::expected<std::vector<std::string>, Fault> for_each_file(const std::string& path, Check check,
                                                             Read read) {
  auto folder = open_folder(path);
  if (!folder) return std::unexpected(std::move(folder.error()));
  if (auto fault = check(path)) return std::unexpected(std::move(*fault));
  auto listing = list_folder(folder->get(), path);
  if (!listing) return std::unexpected(std::move(listing.error()));
  for (const auto& name : listing->rule_files) {
    read(::dirfd(folder->get()), name, (std::filesystem::path(path) / name).string());
  }
  return std::move(listing->others);
}

// Forgets the files that a listing no longer has.
template <typename Known, typename Files>
void keep_only(Known& known, const Files& files) {
  std::erase_if(known, [&files](const auto& entry) {
    return !std::ranges::binary_search(
        files, entry.first, {}, [](const auto& file) -> const std::string& { return file.path; });
  });
}

}  // namespace

bool is_rule_file_name(std::string_view name) {
  return !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"));
}

Fault in_pieces(const std::string& path, BeingWritten how, Severity severity) {
  if (how == BeingWritten::shrunk) {
    return {severity,
            {path, 0, 0},
            "has become shorter a moment ago",
            "",
            "it is read when it has not changed for 1 s"};
  }
  return {severity,
          {path, 0, 0},
          "is being written",
          "",
          severity == Severity::error ? "it is read once it is closed"
                                      : "what it said before stays in force until it is closed"};
}

bool is_elsewhere(const std::string& path, const std::string& folder) {
  return !folder.empty() && std::filesystem::path(path).parent_path() !=
                                (std::filesystem::path(folder) / "").parent_path();
}

std::optional<Fault> find_unsafe_way(const std::string& path) {
  const auto safe = check_way_to(path);
  if (safe) return std::nullopt;
  return refuse(path, "somebody else could replace it: " + safe.error().message, {},
                safe.error().remedy);
}

std::optional<Fault> warn_of_unsafe_way(const std::string& path) {
  auto fault = find_unsafe_way(path);
  if (!fault) return std::nullopt;
  fault->severity = Severity::warning;
  fault->message = "moatd would not read it here: " + fault->message;
  return fault;
}

std::expected<FileBytes, Fault> read_regular_file(int folder_fd, const std::string& path,
                                                  const std::string& shown, std::size_t limit) {
  const Fd object(::openat(folder_fd, path.c_str(), O_PATH | O_CLOEXEC));
  if (!object) return std::unexpected(refuse_errno(shown, errno));
  return read_object(object, shown, limit);
}

std::expected<FileBytes, Fault> read_linked_file(const std::string& path, std::size_t limit) {
  const auto found = find_linked(AT_FDCWD, path, path);
  if (!found) return std::unexpected(found.error());
  return read_object(found->object, path, limit);
}

RangeFile RuleFileReader::range_file(const std::string& path, const KnownRanges& known) {
  RangeFile file{path, known.reading, std::nullopt, known.stamp, {}};
  for (const auto& [list, stamp] : known.lists) {
    file.stamp.changed = std::max(file.stamp.changed, stamp.changed);
    file.lists.push_back(path_beside(path, list));
  }
  return file;
}

// While the file or one of its lists is being written: what it said before.
RangeFile RuleFileReader::ranges_in_pieces(const std::string& path, const KnownRanges* before,
                                           const KnownRanges& now) {
  auto file = range_file(path, before != nullptr ? *before : now);
  file.is_being_written = true;
  if (before != nullptr) {
    file.reading.faults.push_back(in_pieces(now.being_written, now.how, Severity::warning));
  } else {
    file.reading = {};
    file.unreadable = in_pieces(now.being_written, now.how, Severity::error);
  }
  return file;
}

RuleFileReader::RuleFileReader(IsBeingWritten is_being_written, Clock clock, UnsafeWays unsafe_ways)
    : is_being_written_(std::move(is_being_written)),
      clock_(std::move(clock)),
      unsafe_ways_(unsafe_ways) {}

std::optional<Fault> RuleFileReader::check_folder(const std::string& path, Faults& warnings) const {
  if (unsafe_ways_ == UnsafeWays::refused) return find_unsafe_way(path);
  if (auto warning = warn_of_unsafe_way(path)) warnings.push_back(std::move(*warning));
  return std::nullopt;
}

std::expected<FileBytes, Fault> RuleFileReader::read_file(int folder_fd, const std::string& name,
                                                          const std::string& path) const {
  const auto found = find_linked(folder_fd, name, path);
  if (!found) return std::unexpected(found.error());
  auto file = read_object(found->object, path, limits::file_bytes);
  if (!file || !found->by_symlink || unsafe_ways_ != UnsafeWays::refused) return file;
  if (auto fault = check_way_from(folder_fd, name, path)) return std::unexpected(*fault);
  return file;
}

std::expected<FileBytes, Fault> RuleFileReader::read_list(int folder_fd, const std::string& list,
                                                          std::size_t limit) const {
  const auto inside = open_beneath(folder_fd, list);
  if (!inside) return std::unexpected(inside.error());
  // What was found, whatever the name leads to by now.
  auto file = read_object(*inside, list, limit);
  const bool leads_away = list.contains('/') || is_link_at(folder_fd, list);
  if (!file || !leads_away || unsafe_ways_ != UnsafeWays::refused) return file;
  if (auto fault = check_way_from(folder_fd, list, list)) return std::unexpected(*fault);
  return file;
}

// By the time at which the reading began: what changes later may have the same stamp.
bool RuleFileReader::is_settled(const FileBytes& file) const {
  return !file.has_writer.value_or(false) &&
         std::chrono::nanoseconds(file.stamp.changed) + tick < begun_.time_since_epoch();
}

void RuleFileReader::unsettle(const FileId& file) {
  for (auto& [path, known] : databases_) known.is_settled &= known.stamp.id != file;
  for (auto& [path, known] : ranges_) {
    const auto is_it = [&](const auto& list) { return list.second.id == file; };
    known.is_settled &= known.stamp.id != file && std::ranges::none_of(known.lists, is_it);
  }
}

void RuleFileReader::unsettle_all() {
  for (auto& [path, known] : databases_) known.is_settled = false;
  for (auto& [path, known] : ranges_) known.is_settled = false;
}

BeingWritten RuleFileReader::is_being_written(const std::expected<FileBytes, Fault>& file,
                                              const FileStamp& before) const {
  if (!file || !is_being_written_) return BeingWritten::no;
  return is_being_written_(file->stamp, file->has_writer, before);
}

// Of a new file that is being written only what it guards counts, so that nobody gets in meanwhile.
DatabaseFile RuleFileReader::new_in_pieces(const std::string& path, const FileBytes& file,
                                           BeingWritten how, WallTime now) {
  auto reading = read_database(path, file.bytes, now);
  reading.value.reset();
  reading.faults.clear();
  return {path, std::move(reading), in_pieces(path, how, Severity::error), file.stamp, how};
}

DatabaseFile RuleFileReader::read_database_file(int folder_fd, const std::string& name,
                                                const std::string& path, WallTime now) {
  const auto known = databases_.find(path);
  const bool is_known = known != databases_.end();
  if (is_known && known->second.is_settled && stamp_at(folder_fd, name) == known->second.stamp &&
      !has_expiry_between(known->second.reading, known->second.read_at, now)) {
    return {path,
            known->second.reading,
            std::nullopt,
            known->second.stamp,
            BeingWritten::no,
            known->second.bytes};
  }
  auto file = read_file(folder_fd, name, path);
  const auto stamp = file ? file->stamp : stamp_at(folder_fd, name).value_or(FileStamp{});
  const auto how = is_being_written(file, is_known ? known->second.stamp : FileStamp{});
  if (how != BeingWritten::no) {
    if (!is_known) return new_in_pieces(path, *file, how, now);
    DatabaseFile before{path, known->second.reading, std::nullopt, known->second.stamp,
                        how,  known->second.bytes};
    before.reading.faults.push_back(in_pieces(path, how, Severity::warning));
    return before;
  }
  ++files_read_;
  if (!file) {
    databases_.erase(path);
    return {path, {}, file.error(), stamp};
  }
  auto reading = read_database(path, file->bytes, now);
  const bool settled = is_settled(*file);
  const auto bytes = std::make_shared<const std::string>(std::move(file->bytes));
  databases_[path] = {file->stamp, settled, now, reading, bytes};
  return {path, std::move(reading), std::nullopt, file->stamp, BeingWritten::no, bytes};
}

bool RuleFileReader::is_unchanged(int folder_fd, const std::string& name,
                                  const KnownRanges& known) {
  const auto is_as_it_was = [folder_fd](const std::string& path, const FileStamp& stamp) {
    return stamp_at(folder_fd, path) == stamp;
  };
  return known.is_settled && is_as_it_was(name, known.stamp) &&
         std::ranges::all_of(
             known.lists, [&](const auto& list) { return is_as_it_was(list.first, list.second); });
}

// As it was read for the file at `path` before.
FileStamp RuleFileReader::stamp_of_list(const std::string& path, const std::string& list) const {
  const auto known = ranges_.find(path);
  if (known == ranges_.end()) return {};
  const auto& lists = known->second.lists;
  const auto found = std::ranges::find(lists, list, &std::pair<std::string, FileStamp>::first);
  return found == lists.end() ? FileStamp{} : found->second;
}

// Reads the lists that the file at `path` names, and notes them in `ranges`.
FileReader RuleFileReader::list_reader(int folder_fd, const std::string& path,
                                       KnownRanges& ranges) const {
  return [=, this, &ranges](const std::string& list,
                            std::size_t limit) -> std::expected<std::string, std::string> {
    auto bytes = read_list(folder_fd, list, limit);
    if (const auto how = is_being_written(bytes, stamp_of_list(path, list));
        how != BeingWritten::no) {
      ranges.being_written = path_beside(path, list);
      ranges.how = how;
    }
    ranges.is_settled &= bytes && is_settled(*bytes);
    ranges.lists.emplace_back(list, bytes ? bytes->stamp : FileStamp{});
    if (bytes) return std::move(bytes->bytes);
    const auto& fault = bytes.error();
    return std::unexpected(
        fault.value.empty() ? fault.message : fmt::format("{} ({})", fault.message, fault.value));
  };
}

RangeFile RuleFileReader::read_range_file(int folder_fd, const std::string& name,
                                          const std::string& path) {
  const auto known = ranges_.find(path);
  const auto* before = known == ranges_.end() ? nullptr : &known->second;
  if (before != nullptr && is_unchanged(folder_fd, name, *before)) return range_file(path, *before);
  const auto file = read_file(folder_fd, name, path);
  KnownRanges now;
  now.stamp = file ? file->stamp : stamp_at(folder_fd, name).value_or(FileStamp{});
  now.is_settled = file && is_settled(*file);
  now.how = is_being_written(file, before == nullptr ? FileStamp{} : before->stamp);
  if (now.how != BeingWritten::no) {
    now.being_written = path;
  } else if (file) {
    now.reading = read_managed_ranges(path, file->bytes, list_reader(folder_fd, path, now));
  }
  if (!now.being_written.empty()) return ranges_in_pieces(path, before, now);
  files_read_ += 1 + now.lists.size();
  if (!file) {
    ranges_.erase(path);
    return {path, {}, file.error(), now.stamp, {}};
  }
  return range_file(path, ranges_[path] = std::move(now));
}

RuleFiles RuleFileReader::read(const RuleFolders& folders, WallTime now) {
  RuleFiles files;
  files.folders = folders;
  files_read_ = 0;
  begun_ = clock_();
  const auto check = [&](const std::string& path) { return check_folder(path, files.passed_over); };
  const auto in_databases = for_each_file(
      folders.databases, check, [&](int fd, const std::string& name, const std::string& path) {
        auto file = read_database_file(fd, name, path, now);
        if (!file.unreadable || !is_gone(fd, name)) files.databases.push_back(std::move(file));
      });
  auto in_ranges = for_each_file(folders.ranges, check,
                                 [&](int fd, const std::string& name, const std::string& path) {
                                   auto file = read_range_file(fd, name, path);
                                   if (!file.unreadable || !is_gone(fd, name))
                                     files.ranges.push_back(std::move(file));
                                 });
  if (in_databases) {
    add_passed_over(folders.databases, *in_databases, files.passed_over);
  } else {
    files.databases_folder = in_databases.error();
  }
  if (in_ranges) {
    std::erase_if(*in_ranges, [&](const std::string& name) {
      return holds_list(files.ranges, folders.ranges, name);
    });
    add_passed_over(folders.ranges, *in_ranges, files.passed_over);
  } else {
    files.ranges_folder = in_ranges.error();
  }
  keep_only(databases_, files.databases);
  keep_only(ranges_, files.ranges);
  return files;
}

}  // namespace moat
