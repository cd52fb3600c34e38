// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-daemon.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "control/text/utf8.h"

namespace moat {
namespace {

class JournalPrefix final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& to) override {
    const std::string_view prefix = of(message.level);
    to.append(prefix.data(), prefix.data() + prefix.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JournalPrefix>();
  }

  static std::string_view of(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::critical:
        return SD_CRIT;
      case spdlog::level::err:
        return SD_ERR;
      case spdlog::level::warn:
        return SD_WARNING;
      case spdlog::level::info:
        return SD_INFO;
      default:
        return SD_DEBUG;
    }
  }
};

class PrintableText final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& to) override {
    const auto text = printable({message.payload.data(), message.payload.size()});
    to.append(text.data(), text.data() + text.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PrintableText>();
  }
};

constexpr auto journal_socket = "/run/systemd/journal/socket";

// As syslog numbers them: "<4>" is 4.
int priority_of(spdlog::level::level_enum level) { return JournalPrefix::of(level)[1] - '0'; }

}  // namespace

void Log::About::log(spdlog::level::level_enum level, std::string_view text) const {
  log_.event_ = event_;
  log_.database_ = database_;
  log_.spdlog::logger::log(level, "{}", text);
  log_.event_ = LogEvent::none;
  log_.database_ = {};
}

void Log::sink_it_(const spdlog::details::log_msg& message) {
  if (to_journal_ && should_log(message.level) && send_to_journal(message)) return;
  spdlog::logger::sink_it_(message);
}

// False: there is no journal just now, which the library would take for a success.
bool Log::send_to_journal(const spdlog::details::log_msg& message) const {
  if (::access(journal_socket, W_OK) != 0) return false;
  std::vector<std::string> fields{
      fmt::format("MESSAGE={}", printable({message.payload.data(), message.payload.size()})),
      fmt::format("PRIORITY={}", priority_of(message.level)),
      fmt::format("SYSLOG_IDENTIFIER={}", name())};
  if (generation_ != 0) fields.push_back(fmt::format("MOAT_GENERATION={}", generation_));
  if (!database_.empty()) fields.push_back(fmt::format("MOAT_DATABASE={}", database_));
  if (const auto* const known = std::ranges::find(event_ids, event_, &EventId::event);
      known != event_ids.end())
    fields.push_back(fmt::format("MESSAGE_ID={}", known->id));
  std::vector<iovec> parts;
  for (auto& field : fields) parts.push_back({field.data(), field.size()});
  return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) == 0;
}

bool is_journal(const char* journal_stream, int fd) {
  struct stat status{};
  if (journal_stream == nullptr || fstat(fd, &status) != 0) return false;
  return fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
}

std::shared_ptr<Log> make_log(const std::string& program) {
  auto log = std::make_shared<Log>(program, std::make_shared<spdlog::sinks::stderr_sink_st>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<JournalPrefix>('*').add_flag<PrintableText>('~');
  const bool to_journal = is_journal(std::getenv("JOURNAL_STREAM"), STDERR_FILENO);
  log->to_journal_ = to_journal;
  formatter->set_pattern(to_journal ? "%*%~" : "%Y-%m-%dT%H:%M:%S.%eZ %l: %~");
  log->set_formatter(std::move(formatter));
  log->flush_on(spdlog::level::trace);
  return log;
}

}  // namespace moat
