// SPDX-License-Identifier: BSD-2-Clause
// Files that are at any instant, and after any crash, either wholly the old or wholly the new one:
//
//   temporary file beside it -> owner, attributes, mode -> bytes -> fsync -> rename over it ->
//   fsync of the folder
//
// What people write is exchanged with it, where the file system can: what comes out tells whether
// somebody else was quicker, and goes back then.
//
// Symlinks are followed: what they point to is replaced, not they. A temporary file is called
// ".NAME.moat-XXXXXX", which the reader of rule files passes over; one can be left behind only by a
// crash between its creation and the rename.
#pragma once

#include <sys/types.h>

#include <expected>
#include <string>
#include <string_view>

#include "dataplane/error.h"

namespace moat {

struct WriteError : Error {
  enum class Kind {
    changed,    // not what the caller has read
    read_only,  // its mode, an attribute or the file system says that nobody shall change it
    failed      // anything else: no space, no folder, ...
  };
  Kind kind = Kind::failed;
};

// Writes `new_bytes` over the file at `path` if it still says `expected_bytes`, and keeps its
// owner, mode, ACL and other extended attributes; one that cannot be kept is an error. Of those
// that belong to security modules (SELinux's label) it keeps what they allow. A file without write
// permission for its owner is refused, even for root.
[[nodiscard]] std::expected<void, WriteError> replace_file(const std::string& path,
                                                           std::string_view expected_bytes,
                                                           std::string_view new_bytes);

// Whether what is written is on disk on return, or seconds later: then a power cut may leave an
// empty file in its place.
enum class Durability { now, later };

// Writes a file of Moat's own, new or not. `mode` is that of a new file; umask does not apply.
[[nodiscard]] std::expected<void, WriteError> write_file(const std::string& path,
                                                         std::string_view bytes, mode_t mode = 0640,
                                                         Durability durability = Durability::now);

// The same, in a folder where others may make files too: whatever they have put at `path`, a
// symlink for one, is replaced and leads nowhere. Owner and mode are always those of a new file. On
// disk seconds later.
[[nodiscard]] std::expected<void, WriteError> write_among_others(const std::string& path,
                                                                 std::string_view bytes,
                                                                 mode_t mode);

// Removes temporary files that a crash left in `folder`. Only for who writes there alone.
void remove_leftovers(const std::string& folder);

// The same where others write, too: regular files of this user's that nobody has written to for an
// hour. One that is of another owner, as the file was that it was to replace, stays.
void remove_old_leftovers(const std::string& folder);

}  // namespace moat
