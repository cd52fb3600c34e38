// SPDX-License-Identifier: BSD-2-Clause
// sd-event with owners: a source lives as long as the object that stands for it. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/error.h"

namespace moat {

class EventLoop {
 public:
  using Callback = std::function<void()>;

  // Something that calls back; silent once destroyed.
  class Source {
   public:
    Source() = default;

   private:
    friend class EventLoop;
    struct State;
    explicit Source(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  // Off until set; each setting rings once.
  class Timer {
   public:
    Timer() = default;
    void set_after(std::chrono::microseconds delay);
    // Wall clock; rings when the clock says so, whatever steps it makes on the way.
    void set_at(std::chrono::system_clock::time_point time);
    void stop();

   private:
    friend class EventLoop;
    explicit Timer(std::shared_ptr<Source::State> state) : state_(std::move(state)) {}
    std::shared_ptr<Source::State> state_;
  };

  // Blocks the signals that on_signal() takes.
  [[nodiscard]] static Result<EventLoop> open();

  [[nodiscard]] Result<Source> on_readable(int fd, Callback callback);
  [[nodiscard]] Result<Source> on_signal(int signal, Callback callback);
  // For set_after().
  [[nodiscard]] Result<Timer> timer(Callback callback);
  // The same on the clock that goes on while the host sleeps.
  [[nodiscard]] Result<Timer> boot_timer(Callback callback);
  // For set_at().
  [[nodiscard]] Result<Timer> wall_timer(Callback callback);

  // Until stop(). Feeds the service manager's watchdog, if it wants one.
  [[nodiscard]] Result<> run();
  void stop();

 private:
  struct Event;
  [[nodiscard]] Result<Timer> timer_of(int clock, Callback callback);
  explicit EventLoop(std::shared_ptr<Event> event) : event_(std::move(event)) {}
  std::shared_ptr<Event> event_;
};

}  // namespace moat
