// SPDX-License-Identifier: BSD-2-Clause
// What moatd and moat-dpdk say to each other, over a unix socket of packets (SOCK_SEQPACKET) that
// moat-dpdk listens on: a message is one packet, in host byte order, at most with one file beside
// it.
//
//   moatd                                  moat-dpdk
//   connects                        ---->  takes one moatd at a time, of its own user or root
//                                   <----  Hello      + the account (account.h)
//   Publish  + a sealed table       ---->  checks it (sealed_table.h), swaps it in, and waits until no
//                                          lcore uses the one before
//                                   <----  Published, or Refused: the table before is still live
//   AskTable                        ---->
//                                   <----  Table      + the memfd of the live one, or Refused
//   AskStatus                       ---->
//                                   <----  Status     the live table's digest is computed anew
//                                   <----  Drops      unasked, as they happen; with nobody connected
//                                                     the oldest are kept, and losses are counted
//
// moatd asks one thing at a time. An answer has the number of its request; what is said unasked has
// 0. Whoever gets a message that it does not know, or one of another size, closes the channel: the
// two are of different versions. moat-dpdk also closes it on a moatd that does not read its answer
// within a second. Either may die at any time. moat-dpdk then goes on with the table it has, and
// one that is started anew has none, drops all, and waits for a Publish.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

inline constexpr std::uint32_t channel_version = 1;

enum class MessageType : std::uint32_t {
  hello = 1,
  publish,
  published,
  refused,
  ask_table,
  table,
  ask_status,
  status,
  drops,
};

struct MessageHeader {
  MessageType type;
  std::uint32_t request;  // number of the request, also in its answer; 0: unasked
};

// A table by name; all zero: none.
struct TableName {
  std::uint64_t generation;
  std::uint64_t digest;
  std::uint64_t size;
};

struct HelloMessage {
  static constexpr auto type = MessageType::hello;
  MessageHeader header;
  std::uint32_t version;  // channel_version; this and `abi` stay where they are for ever
  std::uint32_t abi;      // MOAT_ABI
  std::uint32_t pid;
  std::uint32_t lcores;
  std::uint32_t ifindex;  // of the kernel port, as the drops name it
  std::uint32_t reserved;
  TableName live;
};

struct PublishMessage {
  static constexpr auto type = MessageType::publish;
  MessageHeader header;
  TableName table;  // what the file must hold
};

struct PublishedMessage {
  static constexpr auto type = MessageType::published;
  MessageHeader header;
  TableName live;
};

struct RefusedMessage {
  static constexpr auto type = MessageType::refused;
  MessageHeader header;
  char message[512];  // ends with a zero, as all texts here
  char remedy[256];
};

struct AskTableMessage {
  static constexpr auto type = MessageType::ask_table;
  MessageHeader header;
};

struct TableMessage {
  static constexpr auto type = MessageType::table;
  MessageHeader header;
};

struct AskStatusMessage {
  static constexpr auto type = MessageType::ask_status;
  MessageHeader header;
};

struct PortStatus {
  char name[64];       // DPDK's: "net_af_packet0"
  char interface[16];  // the kernel's, where it has one
  char problem[192];   // what is wrong with it, for people; or empty
  std::uint32_t mtu;
  std::uint8_t is_present;
  std::uint8_t has_link;
  std::uint8_t is_promiscuous;
  std::uint8_t reserved;
  std::uint64_t rx_packets;
  std::uint64_t rx_bytes;
  std::uint64_t rx_missed;   // the port was not polled often enough
  std::uint64_t rx_no_mbuf;  // no buffer was left
  std::uint64_t rx_errors;
  std::uint64_t tx_packets;
  std::uint64_t tx_bytes;
  std::uint64_t tx_full;  // let through or sent by the host, and the port's queue had no room
};

struct StatusMessage {
  static constexpr auto type = MessageType::status;
  MessageHeader header;
  TableName live;  // the digest is that of the bytes that lcores read
  std::uint32_t lcores;
  std::uint8_t has_hugepages;
  std::uint8_t reserved[3];
  std::uint64_t closed;  // frames dropped before the first table
  PortStatus nic;
  PortStatus kernel_port;
};

struct DropsMessage {
  static constexpr auto type = MessageType::drops;
  static constexpr std::size_t max_drops = 56;
  MessageHeader header;
  std::uint32_t count;
  std::uint32_t reserved;
  moat_drop drop[max_drops];
};

// A message that came in.
class Message {
 public:
  Message(std::vector<std::byte> bytes, Fd file)
      : bytes_(std::move(bytes)), file_(std::move(file)) {}

  [[nodiscard]] const MessageHeader& header() const {
    return *reinterpret_cast<const MessageHeader*>(bytes_.data());
  }
  // Null where it is another one, or not of its size.
  template <typename T>
  [[nodiscard]] const T* as() const {
    if (header().type != T::type || bytes_.size() != sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(bytes_.data());
  }
  [[nodiscard]] Fd& file() { return file_; }

 private:
  std::vector<std::byte> bytes_;
  Fd file_;
};

// One end of a connection.
class Channel {
 public:
  explicit Channel(Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int fd() const { return socket_.get(); }

  // Where the socket waits, waits for room, as long as the socket's SO_SNDTIMEO says.
  template <typename T>
  [[nodiscard]] Result<> send(T message, std::uint32_t request, int file = -1) {
    message.header = {T::type, request};
    return send_bytes(std::as_bytes(std::span(&message, 1)), file, true);
  }
  // False where there is no room now.
  template <typename T>
  [[nodiscard]] Result<bool> try_send(T message) {
    message.header = {T::type, 0};
    auto sent = send_bytes(std::as_bytes(std::span(&message, 1)), -1, false);
    if (sent) return true;
    if (sent.error().message.empty()) return false;
    return std::unexpected(sent.error());
  }

  // The next message; nothing: none is there. Errors: the other end closed, or is of another
  // version.
  [[nodiscard]] Result<std::optional<Message>> receive();

  // The user at the other end: "uid 1000 (pid 77)" where it is neither root nor our own user.
  [[nodiscard]] Result<> check_peer() const;

 private:
  [[nodiscard]] Result<> send_bytes(std::span<const std::byte> bytes, int file, bool waits);

  Fd socket_;
};

// Copies text, cutting it to the room there is.
void put_text(std::span<char> to, std::string_view text);

}  // namespace moat
