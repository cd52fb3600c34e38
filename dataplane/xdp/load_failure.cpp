// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/load_failure.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "dataplane/host/kernel.h"

namespace moat {

LoadFacts LoadFacts::this_host(int error, bool has_verifier_log) {
  auto kernel = read_kernel_facts();
  return {std::abs(error), has_verifier_log, moat::missing_capabilities(),
          std::move(kernel.release), std::move(kernel.lockdown)};
}

std::string load_remedy(const LoadFacts& facts, const KernelNeed& need) {
  if (facts.error == ENOMEM) return usual_remedy(ENOMEM);
  // Without one of them the verifier refuses this and that, and names anything but the capability.
  if (!facts.missing_capabilities.empty()) return capability_remedy(facts.missing_capabilities);
  if (is_older(facts.release, need.major, need.minor))
    return fmt::format("Linux {}.{} and later have it; this is {}", need.major, need.minor,
                       facts.release);
  if (facts.has_verifier_log && facts.lockdown == "confidentiality")
    return "the kernel is in lockdown (/sys/kernel/security/lockdown: confidentiality) and lets no "
           "program read its memory; boot with lockdown=integrity";
  if (facts.has_verifier_log)
    return fmt::format(
        "the verifier of Linux {} refuses what others accept: report it, with this message, to "
        "Moat's makers; another kernel may take it",
        facts.release);
  if (facts.error != EINVAL && facts.error != EOPNOTSUPP && facts.error != ENOENT)
    return usual_remedy(facts.error);
  return fmt::format("this kernel, {}, seems to be built without CONFIG_{}", facts.release,
                     need.option);
}

std::unexpected<Error> load_failure(const std::string& what, int error, const LibbpfLog& log,
                                    const KernelNeed& need) {
  const std::string said = log.verifier_lines();
  const auto facts = LoadFacts::this_host(error, !said.empty());
  auto message = what + ": " + errno_words(error);
  // What the verifier says for want of a capability leads astray.
  if (!said.empty() && facts.missing_capabilities.empty()) message += ": " + said;
  return std::unexpected(Error{std::move(message), load_remedy(facts, need)});
}

}  // namespace moat
