// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/signature.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>

#include "control/os/file_io.h"
#include "control/os/run_program.h"
#include "dataplane/fd.h"

namespace moat {

Result<> verify_signature(const SignatureSettings& settings, std::string_view bytes,
                          std::string_view signature) {
  constexpr std::chrono::seconds patience{10};
  const Fd file(::memfd_create("signature", 0));  // ssh-keygen opens it by its number
  if (!file) return failed("keep a signature");
  if (const int error = write_all(file.get(), signature)) return failed("keep a signature", error);
  const auto path = fmt::format("/proc/self/fd/{}", file.get());
  const auto verified =
      run_program("ssh-keygen",
                  {"-Y", "verify", "-f", settings.allowed_signers, "-I", settings.identity, "-n",
                   std::string(signature_namespace), "-s", path},
                  patience, bytes);
  if (verified) return {};
  return std::unexpected(
      Error{fmt::format("the signature is not one of {}: {}", settings.identity,
                        verified.error().message),
            fmt::format("see {}; sign with: ssh-keygen -Y sign -f KEY -n {} LIST",
                        settings.allowed_signers, signature_namespace)});
}

}  // namespace moat
