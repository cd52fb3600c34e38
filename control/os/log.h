// SPDX-License-Identifier: BSD-2-Clause
// The daemon's log: to the journal where stderr leads there, with fields that programs find
// messages by, else to stderr with the time. Control characters in what is logged (a file's name,
// say) are escaped, so that a line is a line.
//
//   MESSAGE_ID       the kind of event, as below: `journalctl MESSAGE_ID=...`; the catalog explains each
//   MOAT_GENERATION  what is enforced as the message is written
//   MOAT_DATABASE    whose it is, if it is one database's
#pragma once

#include <fmt/format.h>
#include <spdlog/logger.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace moat {

enum class LogEvent : std::uint8_t {
  none,
  started,
  stopped,
  ready,
  not_ready,
  enforced,
  not_enforced,
  held_back,
  problem,
  problem_over,
  mended,
  interface,
  backstop,
  exposed,
  monitored,
  sessions_ended,
  trial,
  clock,
  detached,
};

// By which the journal knows them, for good: config/moat.catalog says what each means.
struct EventId {
  LogEvent event;
  std::string_view id;
};
inline constexpr std::array event_ids{
    EventId{LogEvent::started, "44189d7c9bf14db9984e76a2a768cb4c"},
    EventId{LogEvent::stopped, "315faa2b468d431387b6836060af3dce"},
    EventId{LogEvent::ready, "6ecd6efe58d0409a83a92b77dc0a5ece"},
    EventId{LogEvent::not_ready, "f93218c353cb41549ad402e04ee5b5c0"},
    EventId{LogEvent::enforced, "583c4cabca5d40cbba91da818bb922d2"},
    EventId{LogEvent::not_enforced, "de7a357e0de449fcb82b48e53ba17df0"},
    EventId{LogEvent::held_back, "16e37dc4624f4baca3c09b2766d1c2a1"},
    EventId{LogEvent::problem, "314b728837be47f5a357088a0033b44c"},
    EventId{LogEvent::problem_over, "da22f266012945809cad50866fc9e0be"},
    EventId{LogEvent::mended, "72264083607943c0b1f915bd824e7548"},
    EventId{LogEvent::interface, "ff351f8063714f178f2256eec60ba995"},
    EventId{LogEvent::backstop, "315d03b87bd94a56ac7f7c5e13b4ba0e"},
    EventId{LogEvent::exposed, "fff0340ebcb6405b842dd2d844ea7bca"},
    EventId{LogEvent::monitored, "a9fe3df87a23403fadc1259b7a907a24"},
    EventId{LogEvent::sessions_ended, "f67df9d085d443008121782bb19e2709"},
    EventId{LogEvent::trial, "31bc3fe4c2654eeb80721fafecc17d49"},
    EventId{LogEvent::clock, "8c8fc6bea57d4ceb97f769e626143def"},
    EventId{LogEvent::detached, "6ffa6663990a4e94837c82ee9efd1fc3"},
};

class Log : public spdlog::logger {
 public:
  using spdlog::logger::logger;

  // What is enforced, of every message from now on.
  void set_generation(std::uint64_t generation) { generation_ = generation; }

  // log.about(LogEvent::monitored, id).warn("database {} ...", id)
  class About {
   public:
    template <typename... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) const {
      log(spdlog::level::info, fmt::format(text, std::forward<Args>(args)...));
    }
    template <typename... Args>
    void warn(fmt::format_string<Args...> text, Args&&... args) const {
      log(spdlog::level::warn, fmt::format(text, std::forward<Args>(args)...));
    }
    template <typename... Args>
    void error(fmt::format_string<Args...> text, Args&&... args) const {
      log(spdlog::level::err, fmt::format(text, std::forward<Args>(args)...));
    }
    void log(spdlog::level::level_enum level, std::string_view text) const;

   private:
    friend class Log;
    About(Log& log, LogEvent event, std::string_view database)
        : log_(log), event_(event), database_(database) {}
    Log& log_;
    LogEvent event_;
    std::string_view database_;
  };
  // `database`: whose it is, if it is one's. It has to outlast what is returned.
  [[nodiscard]] About about(LogEvent event, std::string_view database = {}) {
    return {*this, event, database};
  }

 private:
  friend std::shared_ptr<Log> make_log(const std::string& program);
  void sink_it_(const spdlog::details::log_msg& message) override;
  [[nodiscard]] bool send_to_journal(const spdlog::details::log_msg& message) const;

  bool to_journal_ = false;
  std::uint64_t generation_ = 0;
  // Of the message that is on its way.
  LogEvent event_ = LogEvent::none;
  std::string_view database_;
};

[[nodiscard]] std::shared_ptr<Log> make_log(const std::string& program);

// Whether stderr is the journal, as JOURNAL_STREAM tells: a stale one, inherited by a process whose
// stderr leads elsewhere, does not count.
[[nodiscard]] bool is_journal(const char* journal_stream, int fd);

}  // namespace moat
