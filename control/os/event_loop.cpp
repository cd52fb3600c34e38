// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/event_loop.h"

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include <csignal>
#include <string>

#include "dataplane/error.h"

namespace moat {
namespace {

std::uint64_t microseconds(std::chrono::microseconds time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.count()));
}

}  // namespace

struct EventLoop::Event {
  sd_event* loop = nullptr;

  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { sd_event_unref(loop); }
};

struct EventLoop::Source::State {
  Callback callback;
  std::shared_ptr<Event> event;  // outlives its sources
  sd_event_source* source = nullptr;

  State(Callback to_call, std::shared_ptr<Event> on)
      : callback(std::move(to_call)), event(std::move(on)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { sd_event_source_disable_unref(source); }

  // Called back by a copy: the callback may end its own source.
  static int call(void* data) {
    const auto callback = static_cast<State*>(data)->callback;
    callback();
    return 0;
  }
  static int on_io(sd_event_source*, int, std::uint32_t, void* data) { return call(data); }
  static int on_time(sd_event_source*, std::uint64_t, void* data) { return call(data); }
  static int on_signal(sd_event_source*, const signalfd_siginfo*, void* data) { return call(data); }
};

Result<EventLoop> EventLoop::open() {
  auto event = std::make_shared<Event>();
  if (const int result = sd_event_new(&event->loop); result < 0) {
    return failed("make an event loop", result);
  }
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return failed("block signals", -errno);
  if (const int result = sd_event_set_watchdog(event->loop, 1); result < 0) {
    return failed("feed the watchdog", result);
  }
  return EventLoop(std::move(event));
}

Result<EventLoop::Source> EventLoop::on_readable(int fd, Callback callback) {
  auto state = std::make_shared<Source::State>(std::move(callback), event_);
  const int result =
      sd_event_add_io(event_->loop, &state->source, fd, EPOLLIN, Source::State::on_io, state.get());
  if (result < 0) return failed("wait for a file descriptor", result);
  return Source(std::move(state));
}

Result<EventLoop::Source> EventLoop::on_signal(int signal, Callback callback) {
  auto state = std::make_shared<Source::State>(std::move(callback), event_);
  const int result = sd_event_add_signal(event_->loop, &state->source, signal,
                                         Source::State::on_signal, state.get());
  if (result < 0) return failed("wait for a signal", result);
  return Source(std::move(state));
}

Result<EventLoop::Timer> EventLoop::timer_of(int clock, Callback callback) {
  auto state = std::make_shared<Source::State>(std::move(callback), event_);
  const int result = sd_event_add_time(event_->loop, &state->source, clock, 0, 1,
                                       Source::State::on_time, state.get());
  if (result < 0) return failed("make a timer", result);
  sd_event_source_set_enabled(state->source, SD_EVENT_OFF);
  return Timer(std::move(state));
}

Result<EventLoop::Timer> EventLoop::timer(Callback callback) {
  return timer_of(CLOCK_MONOTONIC, std::move(callback));
}

Result<EventLoop::Timer> EventLoop::boot_timer(Callback callback) {
  return timer_of(CLOCK_BOOTTIME, std::move(callback));
}

Result<EventLoop::Timer> EventLoop::wall_timer(Callback callback) {
  return timer_of(CLOCK_REALTIME, std::move(callback));
}

void EventLoop::Timer::set_after(std::chrono::microseconds delay) {
  // Fails only for a loop that has ended.
  sd_event_source_set_time_relative(state_->source, microseconds(delay));
  sd_event_source_set_enabled(state_->source, SD_EVENT_ONESHOT);
}

void EventLoop::Timer::set_at(std::chrono::system_clock::time_point time) {
  const auto since_1970 =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch());
  sd_event_source_set_time(state_->source, microseconds(since_1970));
  sd_event_source_set_enabled(state_->source, SD_EVENT_ONESHOT);
}

void EventLoop::Timer::stop() { sd_event_source_set_enabled(state_->source, SD_EVENT_OFF); }

Result<> EventLoop::run() {
  const int result = sd_event_loop(event_->loop);
  if (result < 0) return failed("run the event loop", result);
  return {};
}

void EventLoop::stop() { sd_event_exit(event_->loop, 0); }

}  // namespace moat
