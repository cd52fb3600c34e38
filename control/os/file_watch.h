// SPDX-License-Identifier: BSD-2-Clause
// Hears of changes to files and folders by inotify, whichever way they are made: written in place,
// renamed over, a symlink on the way swapped, a folder above replaced, a file written through
// another name of it.
//
// A path is followed link by link. Each folder on the way is watched for the one name that matters
// in it; a path that ends in a folder is watched for all names but those with a leading dot; one
// that ends in a file, the file itself too. What is not there is waited for in the deepest folder
// that is.
//
// inotify can fail (watches exhausted, queue overrun): then `problem` says so, and whoever relies
// on this has to look for itself from time to time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/os/file_stamp.h"

namespace moat {

class Watch {
 public:
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Readable when there is news; negative where there is no inotify to be had.
  [[nodiscard]] int fd() const { return fd_; }

  // Watches these paths, and no others any more. True if that made anything new be watched: what
  // was read from there before may be stale.
  bool follow(const std::vector<std::string>& paths);

  struct News {
    bool changed = false;   // something that matters
    bool overflow = false;  // and some of it was lost
  };
  // What was heard since it was last asked.
  [[nodiscard]] News drain();

  // Whether the file was written to since it was watched, and nobody has closed it since. Asked
  // once its bytes have been read, the answer holds for those bytes. has_writer() knows better,
  // where it knows.
  [[nodiscard]] bool is_being_written(const FileId& file);

  // The files that somebody had open for writing and has closed since this was last asked; their
  // stamps may be what they were. Nothing: any file may be among them, as events were lost or not
  // all is watched.
  [[nodiscard]] std::optional<std::set<FileId>> take_closed();

  // Why it does not see everything; empty if it does.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  struct Interest {
    bool every_name = false;
    std::set<std::string, std::less<>> names;
  };
  // What follow() wants of one path on disk.
  struct Wish {
    std::uint32_t mask = 0;
    Interest interest;
  };
  using Wishes = std::map<std::string, Wish>;
  struct Watched {
    std::string path;
    Interest interest;
  };

  // A name in a watched folder; without one, what is watched itself.
  using Written = std::pair<int, std::string>;
  void hear();
  [[nodiscard]] std::optional<FileId> file_of(int descriptor, const char* name) const;
  void note_writing(int descriptor, std::uint32_t mask, const char* name);
  static void trace(const std::string& path, Wishes& wishes);
  [[nodiscard]] bool matters(int descriptor, std::uint32_t mask, const char* name);

  int fd_ = -1;
  std::map<int, Watched> watched_;  // by watch descriptor
  std::map<Written, FileId> unfinished_;
  std::set<FileId> closed_;
  bool has_lost_closed_ = false;
  News news_;
  std::string problem_;
};

}  // namespace moat
