// SPDX-License-Identifier: BSD-2-Clause
// The addresses of a DNS name. What a name can be trusted with is said in agent.yaml(5).
#pragma once

#include <memory>

#include "control/agent/agent_file.h"
#include "control/agent/held_addresses.h"
#include "control/agent/resolver.h"
#include "control/agent/source.h"

namespace moat {

class DnsSource final : public Source {
 public:
  // `held`: what was written for this name before. `loop` must outlive this.
  [[nodiscard]] static Result<std::unique_ptr<Source>> make(EventLoop& loop,
                                                            const RangeSource& settings,
                                                            const Prefixes& held);
  void ask(const KnownList& known, Done done) override;

 private:
  DnsSource(const DnsName& settings, std::chrono::seconds every, std::unique_ptr<Resolver> resolver)
      : name_(settings.name),
        max_ttl_(every),
        addresses_(settings.hold),
        resolver_(std::move(resolver)) {}
  [[nodiscard]] Result<SourceAnswer> take(const Result<Resolver::Answer>& answer);

  std::string name_;
  std::chrono::seconds max_ttl_;
  HeldAddresses addresses_;
  std::unique_ptr<Resolver> resolver_;
};

}  // namespace moat
