// SPDX-License-Identifier: BSD-2-Clause
// moatd's half of the fast path: has moat-dpdk judge by the live table whenever it is there, and
// knows what it judges by.
//
//   absent --connect()--> silent --Hello--> greeted --Publish--> asked --Published--> follows
//      ^                                                           |
//      '------------ the worker is gone ---------------------------'--Refused--> asked anew later
//
// A worker may be stopped in any of these. So nothing here waits for it, but for a moment after a
// table was sent: it swaps within milliseconds, and whoever made the change would rather hear that
// it is enforced than that it soon will be. A worker that takes longer once is not waited for again
// until it has spoken.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/backend.h"
#include "dataplane/dpdk/channel_client.h"
#include "dataplane/fd.h"

namespace moat {

class FastPath {
 public:
  // What is to be judged by; an empty table: nothing is live.
  using LiveTable = std::function<Result<Table>()>;

  // How long one change may be held up.
  static constexpr std::chrono::milliseconds moment{250};
  // A worker that has not answered for as long is told of.
  static constexpr std::chrono::milliseconds patience{2000};

  // `folder` is moat-dpdk's. What an earlier worker has counted is read from there.
  [[nodiscard]] static Result<std::unique_ptr<FastPath>> open(const std::string& folder,
                                                              LiveTable live);

  // Whether a worker is missed where there is none.
  void want(bool is_wanted);

  // Readable when there is something for attend().
  [[nodiscard]] int fd() const { return epoll_.get(); }
  // True: it stands otherwise than when this was last called, be it by want() or follow().
  [[nodiscard]] bool attend();

  // This is live now.
  void follow(const Table& table);
  // Ends the guard: has the worker let everything through, until the next follow(). Error: it does
  // not.
  [[nodiscard]] Result<> let_all_pass();

  // Error: the worker does not judge by what is live, as far as is known.
  [[nodiscard]] Result<> check() const;
  [[nodiscard]] FastPathStatus status() const;
  // By which the worker hands over what passed; nothing while there is no worker.
  [[nodiscard]] std::vector<std::string> kernel_port() const;
  [[nodiscard]] std::vector<std::string> take_mended();

  // Of this worker and those before it.
  void add_counters(std::vector<moat_counter>& to) const;
  void clear_counters(const std::vector<std::uint32_t>& slots) const;
  void add_suppressed_drops(SuppressedDrops& to) const;
  // For a new reader of drops.
  void forget_suppressed_drops() const;
  // Readable when there are drops.
  [[nodiscard]] int drops_fd() const { return has_drops_.get(); }
  void read_drops(const std::function<void(const moat_drop&)>& callback);

 private:
  using Steady = std::chrono::steady_clock;
  enum class Asked : std::uint8_t { nothing, table, status };
  // What somebody who is to hear of changes looks at.
  struct Standing {
    bool is_connected = false;
    std::uint32_t ifindex = 0;
    std::uint64_t generation = 0;
    std::string problem = {};

    bool operator==(const Standing&) const = default;
  };

  FastPath(std::string folder, LiveTable live, Fd epoll, Fd timer, Fd has_drops);
  [[nodiscard]] Standing standing() const;
  void set_timer() const;
  void connect();
  void lose(Error why);
  void hear();
  void greet();
  void take(const Message& message);
  void take_status(const StatusMessage& status);
  void catch_up();
  void ask_table(const Table& table);
  void note_asked(Asked what, const Result<>& done);
  template <typename Done>
  void await(const Done& is_done);
  [[nodiscard]] bool is_following() const;
  [[nodiscard]] bool is_silent() const;
  [[nodiscard]] std::optional<Error> problem() const;
  [[nodiscard]] const Account* account() const;

  std::string folder_;
  LiveTable live_;
  Fd epoll_;
  Fd timer_;
  Fd has_drops_;  // an eventfd
  bool is_wanted_ = false;
  bool lets_all_pass_ = false;
  Error absence_;  // why there is no worker
  std::optional<ChannelClient> worker_;
  bool is_greeted_ = false;
  Account account_;               // of the last worker, while there is none
  std::uint64_t lost_drops_ = 0;  // of earlier workers
  TableName wanted_ = {};         // what is live
  TableName has_ = {};            // what the worker judges by
  Asked asked_ = Asked::nothing;
  Steady::time_point asked_at_;   // or connected
  bool is_slow_ = false;          // not waited for
  std::optional<Error> refusal_;  // of `wanted_`
  Steady::time_point refused_at_;
  std::optional<StatusMessage> told_;
  Steady::time_point told_at_;
  std::vector<std::string> mended_;
  Standing attended_;  // as attend() last left it
};

}  // namespace moat
