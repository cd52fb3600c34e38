// SPDX-License-Identifier: BSD-2-Clause
// What is said to etcd's JSON gateway and what it says (etcd 3.4 and later): keys and values in
// base64, 64-bit numbers as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/error.h"

namespace moat {

struct EtcdKey {
  std::string key;
  std::string value;
  std::int64_t revision = 0;  // of its last change
  bool is_deleted = false;    // of a watch alone
  std::int64_t lease = 0;     // with which it goes; of what is put alone
};

// What a store is, and where it stands.
struct EtcdHeader {
  std::string cluster;
  std::int64_t revision = 0;
};

struct EtcdListing {
  EtcdHeader header;
  std::int64_t count = 0;  // of keys in the range, also of those that were not asked for
  std::vector<EtcdKey> keys;
};

struct EtcdNews {
  EtcdHeader header;
  bool is_created = false;
  bool is_cancelled = false;   // the stream says no more
  std::int64_t compacted = 0;  // then what came before this revision is not to be had any more
  std::string why;
  std::vector<EtcdKey> keys;
};

struct EtcdTxnResult {
  EtcdHeader header;
  bool succeeded = false;
};

// The end of the range of all keys that begin with `prefix`.
[[nodiscard]] std::string prefix_end(std::string prefix);

// All keys with `prefix`, or with `from_revision` those that have changed since.
[[nodiscard]] std::string list_request(const std::string& prefix, std::int64_t from_revision = 0,
                                       bool keys_only = false);
[[nodiscard]] std::string watch_request(const std::string& prefix, std::int64_t from_revision);
[[nodiscard]] std::string put_request(const std::string& key, const std::string& value,
                                      std::int64_t lease);
// All of it, or nothing.
struct EtcdTxn {
  std::string guard;  // a key that was last changed at `revision` (0: does not exist), else nothing
  std::int64_t revision = 0;
  std::string needs;  // a key that must exist; empty: none
  std::vector<EtcdKey> puts;
  std::vector<std::string> deletes;
};
[[nodiscard]] std::string txn_request(const EtcdTxn& txn);
[[nodiscard]] std::string lease_request(std::int64_t seconds);

[[nodiscard]] Result<EtcdListing> parse_listing(std::string_view json);
// A line of the stream.
[[nodiscard]] Result<EtcdNews> parse_news(std::string_view json);
[[nodiscard]] Result<EtcdTxnResult> parse_txn(std::string_view json);
// Of a grant the lease's id; of a keep-alive what is left of its time, 0 if it has ended.
[[nodiscard]] Result<std::int64_t> parse_lease(std::string_view json);
[[nodiscard]] Result<std::int64_t> parse_time_left(std::string_view json);
[[nodiscard]] Result<std::string> parse_token(std::string_view json);

// Of an answer that is no success.
struct EtcdError {
  int code = 0;  // of gRPC
  std::string message;
  [[nodiscard]] bool wants_authentication() const;
};
[[nodiscard]] EtcdError parse_etcd_error(std::string_view json);

}  // namespace moat
