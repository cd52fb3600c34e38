// SPDX-License-Identifier: BSD-2-Clause
// Somebody who is quick: acts between two system calls of what a test is about.
#pragma once

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace moat {

using SystemCall = __ptrace_syscall_info;

// Runs `act` in a process that is stopped right before each of its system calls that is `wanted`,
// for `meanwhile` with the call's number from 1. Whether `act` returned true.
inline bool stopped_at(const std::function<bool(const SystemCall&)>& wanted,
                       const std::function<bool()>& act,
                       const std::function<void(int)>& meanwhile) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    ::_exit(act() ? 0 : 1);
  }
  int status = 0;
  int calls = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL),
            0);
  for (long signal = 0;;) {
    EXPECT_EQ(::ptrace(PTRACE_SYSCALL, child, nullptr, signal), 0);
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status)) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    const bool is_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    signal = is_call ? 0 : WSTOPSIG(status);  // it gets what was meant for it
    if (!is_call) continue;
    SystemCall info{};
    EXPECT_GT(::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), child, sizeof(info),
                       &info),
              0);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && wanted(info)) meanwhile(++calls);
  }
}

}  // namespace moat
