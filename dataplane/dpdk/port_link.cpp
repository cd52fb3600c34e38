// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/port_link.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <utility>

namespace moat {
namespace {

std::optional<LinkSettings> load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {};
  return LinkSettings::parse(std::string(std::istreambuf_iterator<char>(file), {}));
}

// A reader sees the file of before or this one.
Result<> store(const std::string& path, const std::string& bytes) {
  const std::string next = path + ".new";
  {
    std::ofstream file(next, std::ios::binary | std::ios::trunc);
    file << bytes;
    if (!file.flush()) return std::unexpected(Error{"write " + next + ": failed", {}});
  }
  if (std::rename(next.c_str(), path.c_str()) != 0) return failed("write " + path);
  return {};
}

}  // namespace

PortLink::PortLink(Ends ends, Netns home, Netns there, SettingsMonitor home_news,
                   SettingsMonitor there_news)
    : ends_(std::move(ends)),
      home_(std::move(home)),
      there_(std::move(there)),
      home_news_(std::move(home_news)),
      there_news_(std::move(there_news)) {}

Result<PortLink> PortLink::make(Ends ends, const std::string& interface, Netns home, Netns there,
                                std::string settings_file) {
  auto home_news = SettingsMonitor::open();
  if (!home_news) return std::unexpected(home_news.error());
  Result<SettingsMonitor> there_news = std::unexpected(Error{});
  {
    const auto visit = Visit::begin(there, home);
    if (!visit) return std::unexpected(visit.error());
    there_news = SettingsMonitor::open();
  }
  if (!there_news) return std::unexpected(there_news.error());
  const auto state = link_state(interface);
  if (!state) return std::unexpected(state.error());
  if (!*state) return std::unexpected(Error{"the kernel port " + interface + " is not there", {}});
  PortLink link(std::move(ends), std::move(home), std::move(there), std::move(*home_news),
                std::move(*there_news));
  link.settings_file_ = std::move(settings_file);
  link.ifindex_ = (*state)->ifindex;
  link.nic_mtu_ = link.ends_.nic.mtu();
  return link;
}

Result<> PortLink::keep(const LinkSettings& settings, const std::string& file) {
  return store(file, settings.bytes());
}

Result<> PortLink::restore() {
  if (nic_mtu_ != 0)
    if (auto set = set_link_mtu(ifindex_, nic_mtu_); !set) return set;
  if (auto set = set_link_up(ifindex_); !set) return set;
  const auto settings = load(settings_file_);
  return settings ? settings->apply(ifindex_) : Result<>();
}

Result<> PortLink::follow() {
  has_news_ |= home_news_.drain();
  (void)there_news_.drain();
  auto followed = follow_nic();
  if (followed) followed = follow_kernel_port();
  return followed;
}

Result<> PortLink::follow_nic() {
  bool has_carrier = false;
  if (ends_.nic_interface.empty()) {
    has_carrier = ends_.nic.has_link();
  } else {
    const auto visit = Visit::begin(there_, home_);
    if (!visit) return std::unexpected(visit.error());
    const auto state = link_state(ends_.nic_interface);
    if (!state) return std::unexpected(state.error());
    if (!*state)
      return std::unexpected(
          Error{fmt::format("the NIC's interface {} is gone", ends_.nic_interface), {}});
    has_carrier = (*state)->has_carrier;
  }
  if (nic_carrier_ == has_carrier) return {};
  nic_carrier_ = has_carrier;
  return set_link_carrier(ifindex_, has_carrier);
}

Result<> PortLink::follow_kernel_port() {
  const auto state = link_state(ifindex_);
  if (!state) return std::unexpected(state.error());
  if (!*state)
    return std::unexpected(Error{"somebody deleted the kernel port", "start moat-dpdk again"});
  kernel_state_ = **state;
  {
    const auto visit = Visit::begin(there_, home_);
    if (!visit) return std::unexpected(visit.error());
    if (kernel_state_.mtu != nic_mtu_) set_nic_mtu(kernel_state_.mtu);
    if (nic_promiscuous_ != kernel_state_.is_promiscuous) {
      nic_promiscuous_ = kernel_state_.is_promiscuous;
      // Not every port can choose; such a one gets all there is.
      (void)ends_.nic.set_promiscuous(*nic_promiscuous_);
    }
  }
  if (kernel_state_.mtu != nic_mtu_) return set_link_mtu(ifindex_, nic_mtu_);
  return {};
}

void PortLink::set_nic_mtu(std::uint32_t mtu) {
  Result<> set;
  if (mtu > ends_.max_mtu)
    set = std::unexpected(Error{
        fmt::format("MTU {} is more than {}, for which there are buffers", mtu, ends_.max_mtu),
        "set it on the NIC before moat-dpdk starts"});
  else
    set = ends_.nic.set_mtu(mtu);
  problem_ = set ? "" : format_error(set.error());
  if (set) nic_mtu_ = mtu;
}

Result<> PortLink::save() {
  if (!std::exchange(has_news_, false)) return {};
  auto settings = LinkSettings::read(ifindex_);
  if (!settings) return std::unexpected(settings.error());
  if (saved_ == *settings) return {};
  saved_ = std::move(*settings);
  return store(settings_file_, saved_->bytes());
}

void PortLink::close_ports() {
  ends_.kernel_port.close();
  const auto visit = Visit::begin(there_, home_);
  ends_.nic.close();
}

PortStatus PortLink::nic_status() const {
  PortStatus status = ends_.nic.status();
  put_text(status.interface, ends_.nic_interface);
  put_text(status.problem, problem_);
  status.mtu = nic_mtu_;
  status.has_link = nic_carrier_.value_or(false);
  return status;
}

PortStatus PortLink::kernel_status() const {
  PortStatus status = ends_.kernel_port.status();
  put_text(status.interface, kernel_state_.name);
  status.mtu = kernel_state_.mtu;
  status.has_link = kernel_state_.has_carrier;
  status.is_promiscuous = kernel_state_.is_promiscuous;
  if (!kernel_state_.is_up) put_text(status.problem, "it is switched off");
  return status;
}

}  // namespace moat
