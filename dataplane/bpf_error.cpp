// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/bpf_error.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace moat {
namespace {

// A variable outside of any object, as libbpf's callback carries no context. It belongs to a
// thread, and only LibbpfLog's constructor and destructor set it: to the text of the innermost one
// alive.
thread_local std::string* sink = nullptr;

constexpr std::size_t max_log_bytes = std::size_t{64} << 10;

int collect(libbpf_print_level level, const char* format, va_list arguments) {
  if (!sink || level == LIBBPF_DEBUG) return 0;
  // A verifier's log comes in one call and can have megabytes, of which the end tells most.
  char* line = nullptr;
  const int length = vasprintf(&line, format, arguments);
  if (length < 0) return 0;
  const std::string_view said(line, static_cast<std::size_t>(length));
  sink->append(said.substr(said.size() - std::min(said.size(), max_log_bytes)));
  if (sink->size() > max_log_bytes) sink->erase(0, sink->size() - max_log_bytes);
  std::free(line);
  return 0;
}

const char* usual_remedy(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed";
    case ENOMEM:
      return "free memory, or raise the memory limit of the service";
    case ENOSYS:
      return "a kernel from 6.1 on is needed, built with BPF";
    default:
      return "";
  }
}

}  // namespace

std::string errno_words(int error) { return std::generic_category().message(std::abs(error)); }

std::unexpected<Error> bpf_failure(const std::string& what, int error, std::string remedy) {
  if (remedy.empty()) remedy = usual_remedy(std::abs(error));
  return std::unexpected(Error{what + ": " + errno_words(error), std::move(remedy)});
}

LibbpfLog::LibbpfLog() : outer_(sink) {
  libbpf_set_print(collect);
  sink = &text_;
}

LibbpfLog::~LibbpfLog() { sink = outer_; }

std::string LibbpfLog::kernel_message() const {
  constexpr std::string_view lead = "Kernel error message: ";
  const auto at = text_.rfind(lead);
  if (at == std::string::npos) return {};
  const auto from = at + lead.size();
  return text_.substr(from, text_.find('\n', from) - from);
}

std::string LibbpfLog::last_lines() const {
  constexpr std::size_t few = 600;
  std::string end = text_.substr(text_.size() - std::min(text_.size(), few));
  while (!end.empty() && end.back() == '\n') end.pop_back();
  for (auto at = end.find('\n'); at != std::string::npos; at = end.find('\n', at + 3))
    end.replace(at, 1, " | ");
  return end;
}

}  // namespace moat
