// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/fast_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <tuple>
#include <utility>

namespace moat {
namespace {

// Between two tries to reach a worker, and two looks at what is due.
constexpr std::chrono::milliseconds tick{200};
constexpr std::chrono::milliseconds between_questions{2000};
constexpr std::chrono::milliseconds between_refusals{2000};

TableName name_of(const Table& table) {
  if (!table) return {};
  const moat_table& header = table.header();
  return {header.generation, header.digest, header.size};
}

bool is_same(const TableName& one, const TableName& other) {
  return one.generation == other.generation && one.digest == other.digest && one.size == other.size;
}

bool is_none(const TableName& name) { return name.size == 0; }

Result<> watch(const Fd& epoll, int fd) {
  epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return failed("wait for the fast path");
}

// In which no database is guarded.
Result<Table> table_without_databases(std::uint64_t generation) {
  TableInput input;
  input.generation = generation;
  input.ranges = {{0, 0}};
  return build_table(input);
}

FastPathPort port_of(const PortStatus& status) {
  return {.name = status.name,
          .interface = status.interface,
          .problem = status.is_present != 0 ? std::string(status.problem) : "it is gone",
          .mtu = status.mtu,
          .has_link = status.has_link != 0,
          .rx_packets = status.rx_packets,
          .rx_missed = status.rx_missed,
          .rx_no_mbuf = status.rx_no_mbuf,
          .rx_errors = status.rx_errors,
          .tx_packets = status.tx_packets,
          .tx_full = status.tx_full};
}

// Ends with a zero, whoever wrote it.
void end_texts(PortStatus& port) {
  port.name[sizeof port.name - 1] = '\0';
  port.interface[sizeof port.interface - 1] = '\0';
  port.problem[sizeof port.problem - 1] = '\0';
}

}  // namespace

Result<std::unique_ptr<FastPath>> FastPath::open(const std::string& folder, LiveTable live) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  Fd has_drops(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !timer || !has_drops) return failed("wait for the fast path");
  if (auto watched = watch(epoll, timer.get()); !watched) return std::unexpected(watched.error());
  return std::unique_ptr<FastPath>(new FastPath(folder, std::move(live), std::move(epoll),
                                                std::move(timer), std::move(has_drops)));
}

FastPath::FastPath(std::string folder, LiveTable live, Fd epoll, Fd timer, Fd has_drops)
    : folder_(std::move(folder)),
      live_(std::move(live)),
      epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      has_drops_(std::move(has_drops)) {
  // The totals go on where the daemon before left them, also while there is no worker.
  Fd file(::open((folder_ + "/account").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return;
  if (auto account = Account::map(std::move(file))) account_ = std::move(*account);
}

void FastPath::want(bool is_wanted) {
  is_wanted_ = is_wanted;
  if (!worker_) {
    connect();
    await([this] { return is_greeted_ && (is_following() || refusal_); });
  }
  set_timer();
}

// Without a fast path nothing wakes moatd for it.
void FastPath::set_timer() const {
  const bool is_needed = is_wanted_ || worker_;
  const auto nanoseconds = is_needed ? std::chrono::nanoseconds(tick).count() : 0;
  const itimerspec when = {.it_interval = {.tv_nsec = nanoseconds},
                           .it_value = {.tv_nsec = nanoseconds}};
  itimerspec before = {};
  ::timerfd_gettime(timer_.get(), &before);
  if ((before.it_interval.tv_nsec != 0) != is_needed)
    ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

bool FastPath::attend() {
  std::uint64_t ticks = 0;
  const bool is_time = ::read(timer_.get(), &ticks, sizeof ticks) > 0;
  if (!worker_ && is_time) connect();
  hear();
  if (worker_ && is_time) catch_up();
  set_timer();
  const auto now = standing();
  return std::exchange(attended_, now) != now;
}

FastPath::Standing FastPath::standing() const {
  const auto wrong = problem();
  return {is_greeted_, is_greeted_ ? worker_->hello().ifindex : 0, has_.generation,
          wrong ? wrong->message : ""};
}

void FastPath::connect() {
  auto client = ChannelClient::begin(folder_ + "/socket");
  if (!client) {
    absence_ = client.error();
    return;
  }
  worker_.emplace(std::move(*client));
  asked_ = Asked::nothing;
  asked_at_ = Steady::now();
  is_slow_ = false;
  if (auto watched = watch(epoll_, worker_->fd()); !watched) lose(watched.error());
}

// The kernel takes what is closed out of epoll by itself.
void FastPath::lose(Error why) {
  absence_ = std::move(why);
  if (is_greeted_) {
    account_ = worker_->take_account();
    lost_drops_ += worker_->lost_drops();
  }
  worker_.reset();
  is_greeted_ = false;
  has_ = {};
  asked_ = Asked::nothing;
  refusal_.reset();
  told_.reset();
}

void FastPath::hear() {
  while (worker_) {
    auto message = worker_->answer();
    if (!message) return lose(message.error());
    if (worker_->is_greeted() && !is_greeted_) greet();
    if (worker_ && worker_->has_drops()) ::eventfd_write(has_drops_.get(), 1);
    if (!worker_ || !*message) return;
    take(**message);
  }
}

void FastPath::greet() {
  is_greeted_ = true;
  is_slow_ = false;
  has_ = worker_->hello().live;
  if (const auto live = live_()) wanted_ = name_of(*live);
  catch_up();
}

void FastPath::take(const Message& message) {
  const auto asked = std::exchange(asked_, Asked::nothing);
  is_slow_ = false;
  if (const auto* published = message.as<PublishedMessage>()) {
    has_ = published->live;
    refusal_.reset();
  } else if (const auto* refused = message.as<RefusedMessage>()) {
    if (asked == Asked::table) refusal_ = Error{refused->message, refused->remedy};
    refused_at_ = Steady::now();
  } else if (const auto* status = message.as<StatusMessage>()) {
    take_status(*status);
  } else {
    return lose({"moat-dpdk says something unknown", "install moatd and moat-dpdk of one version"});
  }
  catch_up();
}

void FastPath::take_status(const StatusMessage& status) {
  if (!is_same(status.live, has_) && !is_none(has_))
    mended_.emplace_back("the fast path's table was not what it should be");
  has_ = status.live;
  told_ = status;
  told_at_ = Steady::now();
  end_texts(told_->nic);
  end_texts(told_->kernel_port);
}

// Asks what is to be asked next, if nothing is.
void FastPath::catch_up() {
  if (!is_greeted_ || asked_ != Asked::nothing || lets_all_pass_) return;
  const auto now = Steady::now();
  const bool may_try = !refusal_ || now - refused_at_ >= between_refusals;
  if (!is_following() && may_try) {
    const auto live = live_();
    if (!live) {
      refusal_ = live.error();
      refused_at_ = now;
    } else if (*live) {
      return ask_table(*live);
    }
  }
  if (!told_ || now - told_at_ >= between_questions)
    note_asked(Asked::status, worker_->ask_status());
}

void FastPath::ask_table(const Table& table) {
  wanted_ = name_of(table);
  note_asked(Asked::table, worker_->ask_publish(table));
}

void FastPath::note_asked(Asked what, const Result<>& done) {
  asked_at_ = Steady::now();
  if (done)
    asked_ = what;
  else
    lose(done.error());
}

void FastPath::follow(const Table& table) {
  lets_all_pass_ = false;
  wanted_ = name_of(table);
  refusal_.reset();
  if (!worker_) return;
  catch_up();
  await([this] { return is_greeted_ && (is_following() || refusal_); });
}

template <typename Done>
void FastPath::await(const Done& is_done) {
  const auto end = Steady::now() + moment;
  while (worker_ && !is_slow_ && !is_done()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Steady::now());
    is_slow_ = left.count() <= 0;
    pollfd waits = {worker_->fd(), POLLIN, 0};
    if (!is_slow_ && ::poll(&waits, 1, static_cast<int>(left.count())) > 0) hear();
  }
}

// What was asked before is answered first.
Result<> FastPath::let_all_pass() {
  if (!worker_) return {};
  lets_all_pass_ = true;
  is_slow_ = false;
  await([this] { return is_greeted_ && asked_ == Asked::nothing; });
  const auto open = table_without_databases(has_.generation + 1);
  if (!open) return std::unexpected(open.error());
  if (worker_ && !is_slow_) {
    ask_table(*open);
    await([this] { return is_following() || refusal_; });
  }
  if (!worker_ || is_following()) return {};
  lets_all_pass_ = false;
  if (const auto live = live_()) wanted_ = name_of(*live);
  return std::unexpected(
      Error{fmt::format("moat-dpdk goes on judging by generation {}: {}", has_.generation,
                        refusal_ ? refusal_->message : "it does not answer"),
            "stop moat-dpdk and give the NIC back: see moat-dpdk(8)"});
}

bool FastPath::is_following() const { return is_none(wanted_) || is_same(has_, wanted_); }

bool FastPath::is_silent() const {
  const bool is_awaited = !is_greeted_ || asked_ != Asked::nothing;
  return worker_ && is_awaited && Steady::now() - asked_at_ >= patience;
}

std::optional<Error> FastPath::problem() const {
  if (!worker_ && !is_wanted_) return std::nullopt;
  if (!worker_) return absence_;
  if (is_silent())
    return Error{fmt::format("moat-dpdk does not answer{}",
                             is_following() && is_greeted_
                                 ? ""
                                 : fmt::format(", and does not have generation {} as far as is "
                                               "known",
                                               wanted_.generation)),
                 "see `systemctl status moat-dpdk`, and restart it"};
  if (refusal_)
    return Error{
        fmt::format("moat-dpdk refuses generation {}: {}", wanted_.generation, refusal_->message),
        refusal_->remedy};
  if (auto follows = check(); !follows) return follows.error();
  if (!is_wanted_)
    return Error{"moat-dpdk runs, and moat.yaml has no `fast-path`",
                 "write it there, or stop moat-dpdk"};
  return std::nullopt;
}

Result<> FastPath::check() const {
  if (!worker_ && !is_wanted_) return {};
  if (!worker_) return std::unexpected(absence_);
  if (!is_greeted_)
    return std::unexpected(Error{"moat-dpdk has not told yet what it judges by", {}});
  if (is_following()) return {};
  if (refusal_) return std::unexpected(*refusal_);
  return std::unexpected(Error{
      is_none(has_) ? fmt::format("moat-dpdk does not have generation {} yet", wanted_.generation)
                    : fmt::format("moat-dpdk judges by generation {}, and does not have {} yet",
                                  has_.generation, wanted_.generation),
      {}});
}

FastPathStatus FastPath::status() const {
  FastPathStatus status;
  status.is_wanted = is_wanted_;
  status.is_connected = is_greeted_;
  status.is_behind = !check();
  if (const auto wrong = problem()) {
    status.problem = wrong->message;
    status.remedy = wrong->remedy;
  }
  if (!is_greeted_) return status;
  status.generation = has_.generation;
  status.lcores = worker_->hello().lcores;
  if (!told_) return status;
  status.has_hugepages = told_->has_hugepages != 0;
  status.closed = told_->closed;
  status.ports = {port_of(told_->nic), port_of(told_->kernel_port)};
  return status;
}

std::vector<std::string> FastPath::kernel_port() const {
  std::array<char, IF_NAMESIZE> name{};
  if (!is_greeted_ || ::if_indextoname(worker_->hello().ifindex, name.data()) == nullptr) return {};
  return {name.data()};
}

std::vector<std::string> FastPath::take_mended() { return std::exchange(mended_, {}); }

const Account* FastPath::account() const {
  const Account& account = is_greeted_ ? worker_->account() : account_;
  return account ? &account : nullptr;
}

void FastPath::add_counters(std::vector<moat_counter>& to) const {
  const auto* account = this->account();
  if (account == nullptr) return;
  const auto own = account->sum();
  for (std::size_t slot = 0; slot < std::min(to.size(), own.size()); slot++) {
    to[slot].packets += own[slot].packets;
    to[slot].bytes += own[slot].bytes;
  }
  to[MOAT_LOST_DROPS_SLOT].packets += lost_drops_ + (worker_ ? worker_->lost_drops() : 0);
}

void FastPath::clear_counters(const std::vector<std::uint32_t>& slots) const {
  if (const auto* account = this->account()) account->clear(slots);
}

void FastPath::add_suppressed_drops(SuppressedDrops& to) const {
  if (const auto* account = this->account()) account->add_suppressed_drops(to);
}

void FastPath::forget_suppressed_drops() const {
  if (const auto* account = this->account()) account->forget_suppressed_drops();
}

void FastPath::read_drops(const std::function<void(const moat_drop&)>& callback) {
  eventfd_t count = 0;
  ::eventfd_read(has_drops_.get(), &count);
  if (worker_) worker_->take_drops(callback);
}

}  // namespace moat
