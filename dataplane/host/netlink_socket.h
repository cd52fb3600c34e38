// SPDX-License-Identifier: BSD-2-Clause
// Asking the kernel by netlink: a request, the socket that it goes by, and what the answer holds.
// For the files beside it that speak netlink.
#pragma once

#include <libmnl/libmnl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/address.h"
#include "dataplane/error.h"

namespace moat {

// Netlink's own header, the header that the subsystem wants behind it, then attributes.
template <typename Header>
class NetlinkRequest {
 public:
  // `flags`: NLM_F_DUMP or NLM_F_ACK, by which the answer has an end. `room`: for attributes.
  NetlinkRequest(int type, int flags, std::size_t room = 512)
      : bytes_(MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(Header)) + room) {
    nlmsghdr* message = mnl_nlmsg_put_header(bytes_.data());
    message->nlmsg_type = static_cast<std::uint16_t>(type);
    message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    mnl_nlmsg_put_extra_header(message, sizeof(Header));
  }

  // For libmnl to add attributes to, and for NetlinkSocket::ask().
  [[nodiscard]] nlmsghdr* message() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  // The subsystem's header; zero at first.
  Header* operator->() { return static_cast<Header*>(mnl_nlmsg_get_payload(message())); }

  // Attributes as the kernel wrote them.
  void append(std::span<const char> attributes) {
    std::ranges::copy(attributes, static_cast<char*>(mnl_nlmsg_get_payload_tail(message())));
    message()->nlmsg_len += static_cast<std::uint32_t>(attributes.size());
  }

 private:
  std::vector<char> bytes_;
};

// Closes itself.
class NetlinkSocket {
 public:
  // `bus`: NETLINK_ROUTE, ...; `groups`: multicast groups to hear, as a bit mask; `what` is to be
  // done by it, for the error.
  [[nodiscard]] static Result<NetlinkSocket> open(int bus, const std::string& what,
                                                  unsigned groups = 0, int flags = 0);

  [[nodiscard]] mnl_socket* get() const { return socket_.get(); }

  using Visit = std::function<void(const nlmsghdr*)>;
  // Sends the request and visits each message of the answer, up to its end. Returns 0 or the
  // kernel's errno.
  [[nodiscard]] int ask(nlmsghdr* request, Visit visit);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  explicit NetlinkSocket(mnl_socket* socket) : socket_(socket) {}

  std::unique_ptr<mnl_socket, Close> socket_;
  unsigned sequence_ = 0;  // of the last request
};

// What a message's payload begins with; null if the message is too short for it.
template <typename Header>
[[nodiscard]] const Header* header_of(const nlmsghdr* message) {
  return mnl_nlmsg_get_payload_len(message) < sizeof(Header)
             ? nullptr
             : static_cast<const Header*>(mnl_nlmsg_get_payload(message));
}

// Calls `visit(const nlattr*)` for each attribute behind the message's `Header`.
template <typename Header, typename Visit>
void for_each_attribute(const nlmsghdr* message, Visit&& visit) {
  const auto call = [](const nlattr* attribute, void* data) {
    (*static_cast<std::remove_reference_t<Visit>*>(data))(attribute);
    return MNL_CB_OK;
  };
  mnl_attr_parse(message, sizeof(Header), call, &visit);
}

// The same of the attributes inside one.
template <typename Visit>
void for_each_nested(const nlattr* nest, Visit&& visit) {
  const auto call = [](const nlattr* attribute, void* data) {
    (*static_cast<std::remove_reference_t<Visit>*>(data))(attribute);
    return MNL_CB_OK;
  };
  mnl_attr_parse_nested(nest, call, &visit);
}

// Empty if it is no text.
[[nodiscard]] inline std::string text_of(const nlattr* attribute) {
  return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(attribute) : "";
}

[[nodiscard]] inline Address address_of(const nlattr* attribute) {
  return Address::from_network(mnl_attr_get_u32(attribute));
}

[[nodiscard]] inline std::optional<Address6> address6_of(const nlattr* attribute) {
  Address6 address;
  if (mnl_attr_get_payload_len(attribute) != address.size()) return std::nullopt;
  std::memcpy(address.data(), mnl_attr_get_payload(attribute), address.size());
  return address;
}

}  // namespace moat
