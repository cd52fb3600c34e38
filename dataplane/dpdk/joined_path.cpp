// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/joined_path.h"

#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "dataplane/dpdk/fast_path.h"

namespace moat {
namespace {

class JoinedDrops final : public DropSource {
 public:
  [[nodiscard]] static Result<std::unique_ptr<DropSource>> open(std::unique_ptr<DropSource> kernel,
                                                                FastPath& fast_path) {
    Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    for (const int fd : {kernel->fd(), fast_path.drops_fd()}) {
      epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
      if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) return failed("wait for drops");
    }
    return std::unique_ptr<DropSource>(
        new JoinedDrops(std::move(kernel), fast_path, std::move(epoll)));
  }

  [[nodiscard]] int fd() const override { return epoll_.get(); }
  void read(const std::function<void(const moat_drop&)>& callback) override {
    kernel_->read(callback);
    fast_path_.read_drops(callback);
  }

 private:
  JoinedDrops(std::unique_ptr<DropSource> kernel, FastPath& fast_path, Fd epoll)
      : kernel_(std::move(kernel)), fast_path_(fast_path), epoll_(std::move(epoll)) {}

  std::unique_ptr<DropSource> kernel_;
  FastPath& fast_path_;
  Fd epoll_;
};

class JoinedPath final : public PacketPath {
 public:
  JoinedPath(std::unique_ptr<PacketPath> kernel, std::unique_ptr<FastPath> fast_path)
      : kernel_(std::move(kernel)), fast_path_(std::move(fast_path)) {}

  // The kernel's first: whether there is a worker decides nothing for it.
  Result<> publish(const Table& table) override {
    auto published = kernel_->publish(table);
    if (published) fast_path_->follow(table);
    return published;
  }
  Result<> check_everywhere() const override { return fast_path_->check(); }
  Result<Live> live() override { return kernel_->live(); }
  Result<bool> is_live() override { return kernel_->is_live(); }
  Result<Table> live_table() override { return kernel_->live_table(); }
  Result<std::vector<moat_counter>> counters() override {
    auto counters = kernel_->counters();
    if (counters) fast_path_->add_counters(*counters);
    return counters;
  }
  Result<> clear_counters(const std::vector<std::uint32_t>& slots) override {
    auto cleared = kernel_->clear_counters(slots);
    if (cleared) fast_path_->clear_counters(slots);
    return cleared;
  }

  [[nodiscard]] const std::string& adoption() const override { return kernel_->adoption(); }
  InterfaceStatus ensure_attached(const std::string& interface, WantedAttach wanted) override {
    return kernel_->ensure_attached(interface, wanted);
  }
  InterfaceStatus inspect(const std::string& interface) override {
    return kernel_->inspect(interface);
  }
  std::vector<std::string> attached_interfaces() override { return kernel_->attached_interfaces(); }
  Result<> detach(const std::string& interface) override { return kernel_->detach(interface); }
  Result<> detach_all() override {
    if (auto open = fast_path_->let_all_pass(); !open) return open;
    return kernel_->detach_all();
  }
  BackstopStatus ensure_backstop(const std::string& cgroup,
                                 const std::vector<std::string>& trusted) override {
    kernel_->leave_counted(fast_path_->kernel_port());
    return kernel_->ensure_backstop(cgroup, trusted);
  }
  void remove_backstop() override { kernel_->remove_backstop(); }

  Result<std::unique_ptr<DropSource>> drops() override {
    auto drops = kernel_->drops();
    if (!drops) return drops;
    fast_path_->forget_suppressed_drops();
    return JoinedDrops::open(std::move(*drops), *fast_path_);
  }
  Result<SuppressedDrops> suppressed_drops() override {
    auto suppressed = kernel_->suppressed_drops();
    if (suppressed) fast_path_->add_suppressed_drops(*suppressed);
    return suppressed;
  }
  Result<std::unordered_map<std::uint64_t, std::uint32_t>> arrivals() override {
    return kernel_->arrivals();
  }
  Result<> ensure_pins() override { return kernel_->ensure_pins(); }
  Result<> check_pins_last() const override { return kernel_->check_pins_last(); }
  std::vector<std::string> pin_problems() const override { return kernel_->pin_problems(); }
  PinIds pinned() const override { return kernel_->pinned(); }
  std::vector<std::string> take_mended() override {
    auto mended = kernel_->take_mended();
    for (auto& what : fast_path_->take_mended()) mended.push_back(std::move(what));
    return mended;
  }

  void want_fast_path(bool is_wanted) override { fast_path_->want(is_wanted); }
  FastPathStatus fast_path() const override { return fast_path_->status(); }
  int fd() const override { return fast_path_->fd(); }
  bool attend() override { return fast_path_->attend(); }

 private:
  std::unique_ptr<PacketPath> kernel_;
  std::unique_ptr<FastPath> fast_path_;
};

}  // namespace

Result<std::unique_ptr<PacketPath>> join_fast_path(std::unique_ptr<PacketPath> kernel,
                                                   const std::string& folder) {
  auto* path = kernel.get();
  auto fast_path = FastPath::open(folder, [path] { return path->live_table(); });
  if (!fast_path) return std::unexpected(fast_path.error());
  return std::make_unique<JoinedPath>(std::move(kernel), std::move(*fast_path));
}

}  // namespace moat
