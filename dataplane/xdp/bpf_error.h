// SPDX-License-Identifier: BSD-2-Clause
// What the kernel and libbpf say when they refuse, as Errors.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

// "WHAT: words of the errno". Without a remedy given, the usual one of that errno. Takes libbpf's
// negative numbers as well.
[[nodiscard]] std::unexpected<Error> bpf_failure(const std::string& what, int error = errno,
                                                 std::string remedy = {});

// What helps against that errno in most cases, or empty.
[[nodiscard]] std::string usual_remedy(int error);

// Those of the capabilities that Moat needs which this thread cannot use: {"CAP_BPF"}.
[[nodiscard]] std::vector<std::string> missing_capabilities();
[[nodiscard]] std::string capability_remedy(const std::vector<std::string>& missing);

// Collects what libbpf prints on this thread while the object lives; without one libbpf is mute.
// Objects nest.
class LibbpfLog {
 public:
  LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;
  ~LibbpfLog();

  [[nodiscard]] const std::string& text() const { return text_; }

  // The sentence that the kernel sent along with a netlink error, or empty.
  [[nodiscard]] std::string kernel_message() const;

  // The end of the verifier's log, where it says what it stumbled on, in one line; empty if the
  // verifier had no say.
  [[nodiscard]] std::string verifier_lines() const;

 private:
  std::string text_;
  std::string* outer_;
};

}  // namespace moat
