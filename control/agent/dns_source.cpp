// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/dns_source.h"

#include <fmt/format.h>

#include <algorithm>

namespace moat {
namespace {

constexpr std::chrono::seconds min_ttl{30};

}  // namespace

Result<std::unique_ptr<Source>> DnsSource::make(EventLoop& loop, const RangeSource& settings,
                                                const Prefixes& held) {
  const auto& name = std::get<DnsName>(settings.from);
  auto resolver = Resolver::open(loop, name.server);
  if (!resolver) return std::unexpected(resolver.error());
  std::unique_ptr<DnsSource> source(new DnsSource(name, settings.every, std::move(*resolver)));
  std::vector<Address> before;
  for (const auto& prefix : held) {
    for (auto address = prefix.first();; ++address.value) {
      before.push_back(address);
      if (address == prefix.last() || before.size() == HeldAddresses::max_addresses) break;
    }
  }
  source->addresses_.add(before, std::chrono::system_clock::now());
  return source;
}

void DnsSource::ask(const KnownList&, Done done) {
  resolver_->ask(name_, [this, done = std::move(done)](const Result<Resolver::Answer>& answer) {
    done(take(answer));
  });
}

Result<SourceAnswer> DnsSource::take(const Result<Resolver::Answer>& answer) {
  if (!answer) return std::unexpected(answer.error());
  for (const auto address : answer->addresses) {
    if (is_martian(address)) {
      return std::unexpected(Error{fmt::format("{}: the answer has {}, which no client can have",
                                               name_, format_address(address)),
                                   ""});
    }
  }
  addresses_.add(answer->addresses, std::chrono::system_clock::now());
  SourceAnswer result;
  result.list.cidrs = merge_prefixes(addresses_.prefixes());
  result.list.entries = answer->addresses.size();
  result.ttl = std::clamp(answer->ttl, min_ttl, std::max(min_ttl, max_ttl_));
  result.note = answer->is_validated ? "validated by DNSSEC" : "not validated by DNSSEC";
  return result;
}

}  // namespace moat
