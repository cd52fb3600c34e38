// SPDX-License-Identifier: BSD-2-Clause
// What the kernel and libbpf say when they refuse, as Errors.
#pragma once

#include <cerrno>
#include <expected>
#include <string>

#include "dataplane/error.h"

namespace moat {

// "WHAT: words of the errno". Without a remedy given, the usual one of that errno. Takes libbpf's
// negative numbers as well.
[[nodiscard]] std::unexpected<Error> bpf_failure(const std::string& what, int error = errno,
                                                 std::string remedy = {});

[[nodiscard]] std::string errno_words(int error);

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

  // The end of the text, where the verifier says what it stumbled on, in one line.
  [[nodiscard]] std::string last_lines() const;

 private:
  std::string text_;
  std::string* outer_;
};

}  // namespace moat
