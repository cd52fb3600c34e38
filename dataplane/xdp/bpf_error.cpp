// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/bpf_error.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

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

}  // namespace

std::vector<std::string> missing_capabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets = {};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return {};
  const auto has = [&sets](unsigned one) {
    return (sets[CAP_TO_INDEX(one)].effective & CAP_TO_MASK(one)) != 0;
  };
  std::vector<std::string> missing;
  // The kernel takes CAP_SYS_ADMIN for the two that were split off from it.
  if (!has(CAP_BPF) && !has(CAP_SYS_ADMIN)) missing.emplace_back("CAP_BPF");
  if (!has(CAP_NET_ADMIN)) missing.emplace_back("CAP_NET_ADMIN");
  if (!has(CAP_PERFMON) && !has(CAP_SYS_ADMIN)) missing.emplace_back("CAP_PERFMON");
  return missing;
}

std::string capability_remedy(const std::vector<std::string>& missing) {
  return fmt::format("moatd lacks {}: start it as root, with that in CapabilityBoundingSet=",
                     fmt::join(missing, " and "));
}

std::string usual_remedy(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      if (const auto missing = missing_capabilities(); !missing.empty())
        return capability_remedy(missing);
      if (error == EACCES) return "";
      return "no capability is missing: a seccomp filter, a security module or a user namespace "
             "may forbid it";
    case ENOMEM:
      return "free memory, or raise the memory limit of the service";
    case ENOSYS:
      return "a kernel from 6.1 on is needed, built with BPF";
    default:
      return "";
  }
}

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

// What libbpf itself has to say of a refusal is a guess: RLIMIT_MEMLOCK, mostly, which no kernel
// that Moat runs on applies.
std::string LibbpfLog::verifier_lines() const {
  constexpr std::string_view first = "-- BEGIN PROG LOAD LOG --\n";
  constexpr std::string_view last = "-- END PROG LOAD LOG --";
  constexpr std::size_t few = 600;
  const auto to = text_.rfind(last);
  if (to == std::string::npos) return {};
  // A long log has lost its beginning.
  const auto at = text_.rfind(first, to);
  const auto from = at == std::string::npos ? 0 : at + first.size();
  std::string end = text_.substr(std::max(from, to - std::min(to, few)));
  end.resize(end.rfind(last));
  while (!end.empty() && end.back() == '\n') end.pop_back();
  for (auto line = end.find('\n'); line != std::string::npos; line = end.find('\n', line + 3))
    end.replace(line, 1, " | ");
  return end;
}

}  // namespace moat
