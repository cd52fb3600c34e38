// SPDX-License-Identifier: BSD-2-Clause
// What a packet path is to the daemon: a Backend, which judges packets by a table, and all around
// it (PacketPath). xdp/ is one; nothing above dataplane/ but main() knows which it has.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/suppressed_drops.h"
#include "dataplane/table/table.h"

namespace moat {

enum class WantedAttach : std::uint8_t { automatic, native, generic };
enum class AttachMode : std::uint8_t { none, native, generic };

// One interface as it is now, not as it was meant to be.
struct InterfaceStatus {
  std::string name;
  bool present = false;                // the host has an interface of this name
  AttachMode mode = AttachMode::none;  // how our program is attached
  std::uint32_t program_id = 0;        // of the program attached, ours or not; 0: none
  bool foreign = false;                // the attached program is somebody else's; left alone
  std::string reason;                  // why generic or none: the driver's or kernel's words
  std::string remedy;
  bool moved = false;  // absent here: in another network namespace, with our program still on it

  // Ours.
  [[nodiscard]] bool is_attached() const { return mode != AttachMode::none && !foreign; }
};

// How the backstop is, not how it was meant to be.
struct BackstopStatus {
  struct Part {
    bool on = false;
    // Whether it should be on: not where moat.yaml or the kernel leave no place for it.
    bool expected = true;
    std::string reason;  // why it is off
  };
  Part at_sockets;
  Part before_sockets;
  std::string cgroup;  // folder of the cgroup whose sockets it is at
  // Whether trust goes by name and number; else the kernel allows it by number alone.
  bool knows_names = true;
  // Why packets are judged only as NAT left them; empty: as they were on the wire, too.
  std::string as_nat_left;
  std::vector<std::string> mended;  // what somebody had done to it since it was last seen to
  std::vector<std::string> problems;

  [[nodiscard]] static BackstopStatus off(const std::string& reason) {
    return {.at_sockets = {.reason = reason}, .before_sockets = {.reason = reason}};
  }
};

// One end of the fast path.
struct FastPathPort {
  std::string name;       // DPDK's: "net_af_packet0"
  std::string interface;  // the kernel's; empty: it has none
  std::string problem;    // what is wrong with it, or empty
  std::uint32_t mtu = 0;
  bool has_link = false;
  std::uint64_t rx_packets = 0;
  std::uint64_t rx_missed = 0;   // the port was not polled often enough
  std::uint64_t rx_no_mbuf = 0;  // no buffer was left
  std::uint64_t rx_errors = 0;
  std::uint64_t tx_packets = 0;
  std::uint64_t tx_full = 0;  // the port's queue had no room
};

// The fast path, which judges in a process of its own (moat-dpdk): as it last told.
struct FastPathStatus {
  bool is_wanted = false;
  bool is_connected = false;     // its process runs and has told what it judges by
  std::uint64_t generation = 0;  // that it judges by; 0: none, and it lets nothing through
  bool is_behind = false;        // that is not what is live, as far as is known
  std::string problem;           // what is wrong with it, or empty
  std::string remedy;
  std::uint32_t lcores = 0;
  bool has_hugepages = false;
  std::uint64_t closed = 0;         // frames dropped before the first table
  std::vector<FastPathPort> ports;  // the NIC and the kernel port, as of a few seconds ago
};

struct Live {
  std::uint64_t generation = 0;  // 0: nothing is enforced
  std::uint64_t digest = 0;
  std::uint32_t size = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Stages the table, reads it back, commits it with one write. Returns when no packet is judged by
  // the old generation any more, but for where check_everywhere() names. On an error the old
  // generation is still the live one.
  [[nodiscard]] virtual Result<> publish(const Table& table) = 0;

  // Part of a packet path may be another process, which follows publish() in its own time and is
  // not waited for. Error: what does not judge by the live table yet, and why.
  [[nodiscard]] virtual Result<> check_everywhere() const { return {}; }

  // What is live now, read from the packet path itself and checked against its digest.
  [[nodiscard]] virtual Result<Live> live() = 0;

  // Whether the packet path still reads what publish() made live. Quick, as it asks which table
  // that is and not what is in it: whoever says that rules are enforced asks this first.
  [[nodiscard]] virtual Result<bool> is_live() = 0;

  // The live table as the packet path has it, for adoption and comparison; an empty one if nothing
  // is live. Copies nothing, so it keeps that table's memory while it lives.
  [[nodiscard]] virtual Result<Table> live_table() = 0;

  // Sums over all CPUs, MOAT_COUNTER_SLOTS of them, by slot.
  [[nodiscard]] virtual Result<std::vector<moat_counter>> counters() = 0;

  // Zeroes counters that no live generation names.
  [[nodiscard]] virtual Result<> clear_counters(const std::vector<std::uint32_t>& slots) = 0;
};

// The events that a packet path tells drops by. For one reader.
class DropSource {
 public:
  virtual ~DropSource() = default;

  // Readable while there are events.
  [[nodiscard]] virtual int fd() const = 0;

  // Calls back for each event that is there, the oldest first, and no more often in one go than
  // there is room for events, however fast more come in.
  virtual void read(const std::function<void(const moat_drop&)>& callback) = 0;
};

// Ids of kernel objects, by the names of their pins. No object of its kind gets the id again.
using PinIds = std::map<std::string, std::uint32_t>;

class PacketPath : public Backend {
 public:
  // How it began, for the log: that it took over what an earlier daemon left, or why it could not.
  [[nodiscard]] virtual const std::string& adoption() const = 0;

  // Makes the interface have our program, mending whatever is different. Somebody else's program is
  // named and left alone. Does nothing where all is well. Reports what is there afterwards.
  //
  // From generic mode that was asked for it goes to native if that is wanted now and the backstop
  // judges meanwhile; otherwise it stays, and the status tells how to change it.
  [[nodiscard]] virtual InterfaceStatus ensure_attached(const std::string& interface,
                                                        WantedAttach wanted) = 0;

  // As it is now; changes nothing.
  [[nodiscard]] virtual InterfaceStatus inspect(const std::string& interface) = 0;

  // Interfaces that have our program and keep it when this process ends, whether wanted or not.
  [[nodiscard]] virtual std::vector<std::string> attached_interfaces() = 0;

  // Takes the program off one interface.
  [[nodiscard]] virtual Result<> detach(const std::string& interface) = 0;

  // Ends the guard: interfaces, backstop, and all that is kept for the next daemon.
  [[nodiscard]] virtual Result<> detach_all() = 0;

  // Has the backstop on that cgroup (empty: the root), with these interfaces exempt; mends what is
  // different. Not before the first publish() has put a table there.
  [[nodiscard]] virtual BackstopStatus ensure_backstop(const std::string& cgroup,
                                                       const std::vector<std::string>& trusted) = 0;
  virtual void remove_backstop() = 0;

  // What it tells of drops, and the drops of loud sources that it has not told of yet.
  [[nodiscard]] virtual Result<std::unique_ptr<DropSource>> drops() = 0;
  [[nodiscard]] virtual Result<SuppressedDrops> suppressed_drops() = 0;

  // By which interface the packets of TCP sessions come in: interface index by socket cookie, for
  // each TCP socket of this network namespace that has received a packet; not for handshakes under
  // way, nor for what is in TIME_WAIT.
  [[nodiscard]] virtual Result<std::unordered_map<std::uint64_t, std::uint32_t>> arrivals() = 0;

  // Has all of it outlive this process, mending what is gone. Error: the guard would end with this
  // process, and why.
  [[nodiscard]] virtual Result<> ensure_pins() = 0;

  // Error: all of it is kept, and yet ends with this process's own mounts.
  [[nodiscard]] virtual Result<> check_pins_last() const = 0;

  // What may keep an earlier program of Moat's attached, out of reach; with remedies.
  [[nodiscard]] virtual std::vector<std::string> pin_problems() const = 0;

  // For the next daemon's OpenPath.
  [[nodiscard]] virtual PinIds pinned() const = 0;

  // Packets that come by these interfaces were counted by another packet path: from the next
  // ensure_backstop() on, the backstop counts of them only what it drops.
  virtual void leave_counted(const std::vector<std::string>& /*interfaces*/) {}

  // Whether there is to be a fast path. One that is there is followed in either case.
  virtual void want_fast_path(bool /*is_wanted*/) {}
  [[nodiscard]] virtual FastPathStatus fast_path() const { return {}; }
  // To wait on: readable when there is something for attend() to do; -1: never.
  [[nodiscard]] virtual int fd() const { return -1; }
  // Hears the fast path and answers it. True: it stands otherwise than before.
  [[nodiscard]] virtual bool attend() { return false; }

  // What others had done to it and was put right since this was last asked, by whichever of these
  // functions: "the pin links/eth0 was missing".
  [[nodiscard]] virtual std::vector<std::string> take_mended() = 0;
};

// Opens a packet path, whose pins are in that folder; `earlier`: those of the daemon before, if
// that was in this boot.
using OpenPath =
    std::function<Result<std::unique_ptr<PacketPath>>(const std::string& pins, PinIds earlier)>;

}  // namespace moat
