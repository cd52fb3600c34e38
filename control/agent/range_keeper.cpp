// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/range_keeper.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "control/policy/cidrs_digest.h"

namespace moat {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Hosts that were started at once shall not ask at once for ever.
constexpr double jitter = 0.1;
constexpr seconds first_fetch_retry{15};
// What has left a list may have left it by mistake. Asked so often while moatd holds it down (for
// an hour unless moat.yaml says otherwise), the list has it again before a session ends.
constexpr seconds after_a_loss{600};
constexpr seconds doubt{3600};
constexpr unsigned max_doublings = 10;

}  // namespace

RangeKeeper::RangeKeeper(RangeSource settings, std::string folder, const AgentSource* before,
                         Random random)
    : settings_(std::move(settings)), folder_(std::move(folder)), random_(std::move(random)) {
  const auto origin = origin_of(settings_);
  if (before != nullptr && before->origin == origin) {
    status_ = *before;
    // What failed before a restart is tried at once.
    if (!status_.error.empty()) status_.next.reset();
  }
  status_.range = settings_.id;
  status_.source = describe_source(settings_);
  status_.origin = origin;
  status_.max_age = static_cast<std::uint64_t>(settings_.max_age.count());
}

bool RangeKeeper::is_due(Time now) const {
  if (!status_.next || *status_.next <= now) return true;
  // The clock was set back: the time of the next try means nothing any more.
  return *status_.next - now > settings_.every * 2;
}

KnownList RangeKeeper::begin(Time now) {
  status_.attempted = now;
  const bool is_whole =
      !status_.digest.empty() && written_digest(folder_, settings_.id) == status_.digest;
  // Who takes the file away wants another list.
  if (::access(range_path(folder_, settings_.id).c_str(), F_OK) != 0) status_.version.clear();
  return is_whole ? KnownList{status_.etag, status_.modified} : KnownList{};
}

milliseconds RangeKeeper::pause(seconds regular) const {
  auto wait = std::chrono::duration<double>(regular);
  if (status_.failures > 0) {
    const auto doublings = std::min<std::uint64_t>(status_.failures - 1, max_doublings);
    wait = std::min(wait, std::chrono::duration<double>(first_fetch_retry * (1 << doublings)));
  }
  return std::chrono::duration_cast<milliseconds>(wait * (1 - jitter + 2 * jitter * random_()));
}

Result<WriteResult> RangeKeeper::take(const SourceAnswer& answer, Time now, WriteMode mode) {
  if (answer.is_unchanged) return WriteResult{};
  const auto& list = answer.list;
  if (is_older(list.version, status_.version)) {
    return std::unexpected(
        Error{fmt::format("the list is older (version {}) than the one that was fetched before "
                          "(version {}); it is not taken",
                          list.version, status_.version),
              "if it is meant, remove the file " + range_path(folder_, settings_.id)});
  }
  auto written = write_range(folder_, settings_.id, settings_.name, list.cidrs, mode);
  if (!written) return written;
  if (const auto digest = cidrs_digest(list.cidrs); digest != status_.digest) {
    status_.digest = digest;
    status_.changed = now;
  }
  // One that tells none makes nobody forget what was told before.
  if (!list.version.empty()) status_.version = list.version;
  status_.etag = answer.etag;
  status_.modified = answer.modified;
  status_.ipv6 = list.ipv6;
  return written;
}

Result<WriteResult> RangeKeeper::finish(const Result<SourceAnswer>& answer, Time now,
                                        WriteMode mode) {
  auto result =
      answer ? take(*answer, now, mode) : Result<WriteResult>(std::unexpected(answer.error()));
  if (result) {
    status_.fetched = now;
    status_.failures = 0;
    status_.error.clear();
    if (answer && !answer->is_unchanged) status_.note = answer->note;
    const auto regular = answer->ttl.value_or(settings_.every);
    if (result->removed > 0) status_.lost = now;
    const bool may_be_wrong = status_.lost && now - *status_.lost < doubt;
    status_.next = now + pause(may_be_wrong ? std::min(regular, after_a_loss) : regular);
  } else {
    ++status_.failures;
    status_.error = format_error(result.error());
    status_.next = now + pause(settings_.every);
  }
  return result;
}

}  // namespace moat
