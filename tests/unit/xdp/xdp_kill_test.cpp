// SPDX-License-Identifier: BSD-2-Clause
// SIGKILL after every single system call of a publish that changes something outside the process:
// an interface must be judged by the old table or by the new one, and the next daemon must go on
// from there.
//
// The publishing process is traced, so that it is killed at exactly the call that is meant; a case
// is over when a process gets to the end of its publish alive.
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/support/xdp_scene.h"

namespace moat {
namespace {

bool changes_something(const __ptrace_syscall_info& call) {
  switch (call.entry.nr) {
    case SYS_unlink:
    case SYS_rename:
      return true;
    case SYS_bpf:
      switch (call.entry.args[0]) {
        case BPF_MAP_UPDATE_ELEM:
        case BPF_MAP_DELETE_ELEM:
        case BPF_OBJ_PIN:
        case BPF_LINK_UPDATE:
          return true;
        default:
          return false;
      }
    default:
      return false;
  }
}

// Lets the stopped child go on until it has done `calls` of those. True if it is still alive then.
bool run_for(pid_t child, int calls) {
  bool counted = false;
  for (int status = 0;;) {
    if (ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) != 0) return false;
    if (waitpid(child, &status, 0) != child || WIFEXITED(status) || WIFSIGNALED(status))
      return false;
    __ptrace_syscall_info call = {};
    ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call);
    if (call.op == PTRACE_SYSCALL_INFO_ENTRY) {
      counted = changes_something(call);
    } else if (call.op == PTRACE_SYSCALL_INFO_EXIT && counted && --calls == 0) {
      return true;
    }
  }
}

// Publishes in a process that is killed after `calls` of its calls. False if it came to its end.
bool publish_and_kill(std::unique_ptr<XdpBackend> backend, const Table& table, int calls) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    _exit(backend->publish(table) ? 0 : 1);
  }
  backend.reset();  // the child alone holds what is not pinned
  int status = 0;
  waitpid(child, &status, 0);
  ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD);
  if (!run_for(child, calls)) return false;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return true;
}

class XdpKillTest : public XdpScene {
 protected:
  static constexpr int many = 100;

  // One table allows 10/8 alone, the other 11/8 alone.
  [[nodiscard]] static bool is_judged_by(std::uint8_t octet) {
    return drops("mt0", 10) == (octet != 10) && drops("mt0", 11) == (octet != 11);
  }

  // Kills the publish of another table after `calls`. What the next daemon makes of it is in
  // `backend` then. False if the publish came to its end.
  bool kill_once(std::unique_ptr<XdpBackend>& backend, std::uint32_t from, std::uint32_t to,
                 int calls) {
    const Table before = make_table(1, 10, from), after = make_table(2, 11, to);
    EXPECT_TRUE(backend->publish(before));
    EXPECT_NE(backend->ensure_attached("mt0", WantedAttach::automatic).program_id, 0u);
    const bool killed = publish_and_kill(std::move(backend), after, calls);

    const bool is_new = is_judged_by(11);
    EXPECT_TRUE(is_new || is_judged_by(10));
    EXPECT_TRUE(killed || is_new);
    backend = open();
    EXPECT_EQ(backend->adoption(), "it took over the rules in force");
    expect_live(*backend, is_new ? after : before);
    EXPECT_EQ(pins().list(), pins_with(is_new ? "table-2" : "table-1"));
    EXPECT_EQ((occupant("policy-small") != 0) + (occupant("policy-medium") != 0), 1);
    return killed;
  }

  void kill_at_every_call(std::uint32_t from, std::uint32_t to) {
    auto backend = open();
    int calls = 1;
    while (calls < many && kill_once(backend, from, to, calls) && !HasFailure()) calls++;
    EXPECT_FALSE(HasFailure()) << "killed after change " << calls;
    EXPECT_GT(calls, 4) << "nothing was killed";
    EXPECT_LT(calls, many);
  }
};

TEST_F(XdpKillTest, in_one_tier) { kill_at_every_call(0, 0); }
TEST_F(XdpKillTest, growing) { kill_at_every_call(0, medium_ranges); }
TEST_F(XdpKillTest, shrinking) { kill_at_every_call(medium_ranges, 0); }

// The first publish of a new version, over an older one that drops everything.
TEST_F(XdpKillTest, taking_over_from_another_version) {
  const Table table = make_table(1, 11);
  int calls = 1;
  for (bool killed = true; killed && calls < many && !HasFailure(); calls++) {
    SCOPED_TRACE(fmt::format("killed after change {}", calls));
    ASSERT_TRUE(pins().prepare());
    {
      const Fd counters(bpf_map_create(BPF_MAP_TYPE_ARRAY, "counters", 4, 8, 100, nullptr));
      const Fd program = tiny_program("ancient", XDP_DROP, {counters.get()});
      const Fd link = link_program("mt0", program.get());
      ASSERT_TRUE(pins().put("counters", counters.get()));
      ASSERT_TRUE(pins().put("links/mt0", link.get()));
      ASSERT_TRUE(pins().put("xdp", program.get()));
    }
    killed = publish_and_kill(open(), table, calls);
    EXPECT_TRUE(drops("mt0", 10)) << "no version lets it pass";

    const auto backend = open();
    ASSERT_TRUE(backend->publish(make_table(2, 10)));
    EXPECT_TRUE(is_judged_by(10));
    EXPECT_EQ(pins().list(), pins_with("table-2"));
    ASSERT_TRUE(backend->detach_all());
  }
  EXPECT_GT(calls, 10);
  EXPECT_LT(calls, many);
}

}  // namespace
}  // namespace moat
