// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/local_source.h"

#include <fcntl.h>

#include "control/agent/parse_list.h"
#include "control/files/rule_files.h"

namespace moat {

Result<std::unique_ptr<Source>> LocalSource::make(EventLoop& loop, RangeSource settings) {
  std::unique_ptr<LocalSource> source(new LocalSource(std::move(settings)));
  auto timer = loop.timer([self = source.get()] {
    const auto done = std::move(self->done_);
    done(self->read());
  });
  if (!timer) return std::unexpected(timer.error());
  source->timer_ = std::move(*timer);
  return source;
}

void LocalSource::ask(const KnownList&, Done done) {
  done_ = std::move(done);
  timer_.set_after(std::chrono::microseconds(0));
}

Result<SourceAnswer> LocalSource::read() const {
  const auto& path = std::get<LocalList>(settings_.from).path;
  const auto file = read_regular_file(AT_FDCWD, path, path, settings_.max_bytes);
  if (!file) return std::unexpected(Error{format_fault(file.error()), ""});
  auto list = parse_list(settings_.format, file->bytes, settings_.selection);
  if (!list) return std::unexpected(Error{path + ": " + list.error().message, list.error().remedy});
  return SourceAnswer{.list = std::move(*list)};
}

}  // namespace moat
