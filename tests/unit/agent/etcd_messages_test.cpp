// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/etcd_messages.h"

#include <gtest/gtest.h>

#include "control/agent/base64.h"

namespace moat {
namespace {

TEST(Base64, IsThatOfRfc4648) {
  const std::pair<const char*, const char*> pairs[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : pairs) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  const std::string all("\x00\xff\x80\x7f\xfe", 5);
  EXPECT_EQ(from_base64(to_base64(all)), all);
  for (const auto* none : {"Z", "Zg=", "Zg==Zg==", "Z!==", "=AAA", "A==="}) {
    EXPECT_FALSE(from_base64(none)) << none;
  }
}

TEST(EtcdMessages, PrefixesEndWhereTheNextBegins) {
  EXPECT_EQ(prefix_end("/moat/v1/prod/"), "/moat/v1/prod0");
  EXPECT_EQ(prefix_end("a\xff"), "b");
  EXPECT_EQ(prefix_end("\xff"), std::string(1, '\0'));
}

// As etcd 3.4 writes them.
TEST(EtcdMessages, ReadsAListing) {
  const auto listing = parse_listing(
      R"({"header":{"cluster_id":"33977","member_id":"26","revision":"3","raft_term":"2"},)"
      R"("kvs":[{"key":"L21vYXQvdjEvZi9oZWFk","create_revision":"2","mod_revision":"2",)"
      R"("version":"1","value":"aGk="}],"count":"2"})");
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->header.cluster, "33977");
  EXPECT_EQ(listing->header.revision, 3);
  EXPECT_EQ(listing->count, 2);
  ASSERT_EQ(listing->keys.size(), 1U);
  EXPECT_EQ(listing->keys[0].key, "/moat/v1/f/head");
  EXPECT_EQ(listing->keys[0].value, "hi");
  EXPECT_EQ(listing->keys[0].revision, 2);
  EXPECT_TRUE(parse_listing(R"({"header":{"cluster_id":"1","revision":"1"}})")->keys.empty());
  EXPECT_FALSE(parse_listing("<html>"));
  EXPECT_FALSE(parse_listing("[]"));
  EXPECT_FALSE(parse_listing(R"({"header":{},"kvs":[{"key":"!"}]})"));
}

TEST(EtcdMessages, ReadsWhatAWatchTells) {
  const auto created = parse_news(R"({"result":{"header":{"revision":"4"},"created":true}})");
  ASSERT_TRUE(created);
  EXPECT_TRUE(created->is_created);
  const auto changes = parse_news(R"({"result":{"header":{"revision":"4"},"events":[)"
                                  R"({"kv":{"key":"YQ==","mod_revision":"4","value":"Yg=="}},)"
                                  R"({"type":"DELETE","kv":{"key":"Yw==","mod_revision":"4"}}]}})");
  ASSERT_TRUE(changes);
  EXPECT_FALSE(changes->keys.at(0).is_deleted);
  EXPECT_TRUE(changes->keys.at(1).is_deleted);
  const auto compacted = parse_news(
      R"({"result":{"header":{"revision":"9"},"canceled":true,"compact_revision":"8"}})");
  ASSERT_TRUE(compacted);
  EXPECT_TRUE(compacted->is_cancelled);
  EXPECT_EQ(compacted->compacted, 8);
  const auto error = parse_news(R"({"error":{"grpc_code":14,"message":"etcdserver: no leader"}})");
  ASSERT_TRUE(error);
  EXPECT_TRUE(error->is_cancelled);
  EXPECT_EQ(error->why, "etcdserver: no leader");
}

TEST(EtcdMessages, KnowsWhenATokenIsWanted) {
  EXPECT_TRUE(
      parse_etcd_error(R"({"error":"x","message":"etcdserver: invalid auth token","code":16})")
          .wants_authentication());
  EXPECT_FALSE(parse_etcd_error(R"({"error":"etcdserver: permission denied","code":7})")
                   .wants_authentication());
  EXPECT_FALSE(parse_etcd_error("nothing").wants_authentication());
}

}  // namespace
}  // namespace moat
