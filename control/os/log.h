// SPDX-License-Identifier: BSD-2-Clause
// The daemon's log: to the journal with `<N>` priorities where stderr leads there, else to stderr
// with the time. Control characters in what is logged (a file's name, say) are escaped, so that a
// line is a line.
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>
#include <string_view>

namespace moat {

using Log = spdlog::logger;

[[nodiscard]] std::shared_ptr<Log> make_log();

// Whether stderr is the journal, as JOURNAL_STREAM tells: a stale one, inherited by a process whose
// stderr leads elsewhere, does not count.
[[nodiscard]] bool is_journal(const char* journal_stream, int fd);

}  // namespace moat
