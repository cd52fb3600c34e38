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
#include <set>
#include <string>
#include <utility>
#include <vector>

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
  [[nodiscard]] News drain();

  // Whether something that matters was written to and not closed since, as far as drain() has
  // heard: a file in pieces, of which more is to come.
  [[nodiscard]] bool is_being_written() const { return !unfinished_.empty(); }
  // Some writers never close: those of now are not waited for any more.
  void stop_waiting_for_writers();

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

  // A name in a watched folder; without one, what is watched itself.
  using Written = std::pair<int, std::string>;

  void note_writing(int descriptor, std::uint32_t mask, const char* name);
  static void trace(const std::string& path, Wishes& wishes);
  [[nodiscard]] bool matters(int descriptor, std::uint32_t mask, const char* name);

  int fd_ = -1;
  std::map<int, Interest> watched_;  // by watch descriptor
  std::set<Written> unfinished_;
  std::set<Written> given_up_;
  std::string problem_;
};

}  // namespace moat
