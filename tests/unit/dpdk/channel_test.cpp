// SPDX-License-Identifier: BSD-2-Clause
// Both ends of the channel.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "dataplane/dpdk/channel_client.h"
#include "dataplane/dpdk/channel_server.h"
#include "dataplane/dpdk/sealed_table.h"
#include "dataplane/dpdk/unix_address.h"
#include "tests/support/patience.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/dpdk/tables.h"
#include "tests/unit/dpdk/thread_worker.h"

namespace moat {
namespace {

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override { worker_.emplace(folder_.path(), version_); }

  void stop() { worker_.reset(); }
  ChannelClient connect() { return ChannelClient::connect(path_).value(); }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "socket";
  std::uint32_t version_ = channel_version;
  std::optional<ThreadWorker> worker_;
};

TEST_F(ChannelTest, TheWorkerSaysWhoItIs) {
  const ChannelClient moatd = connect();
  EXPECT_EQ(moatd.hello().pid, 4711u);
  EXPECT_EQ(moatd.hello().ifindex, 1u);
  EXPECT_EQ(moatd.hello().live.generation, 0u);
}

TEST_F(ChannelTest, APublishedTableIsLiveAndCanBeHadBack) {
  ChannelClient moatd = connect();
  EXPECT_FALSE(moatd.table());
  const Table table = table_for({{10u << 24, 1}}, 9);
  const auto published = moatd.publish(table);
  ASSERT_TRUE(published) << published.error().message;
  EXPECT_EQ(moatd.status()->live.generation, 9u);
  EXPECT_EQ(moatd.status()->nic.mtu, 1500u);
  EXPECT_EQ(moatd.table()->header().digest, table.header().digest);
}

TEST_F(ChannelTest, ANewMoatdFindsTheLiveTable) {
  {
    EXPECT_TRUE(connect().publish(table_for({}, 3)));
  }
  ChannelClient next = connect();
  EXPECT_EQ(next.hello().live.generation, 3u);
  EXPECT_EQ(next.table()->header().generation, 3u);
}

TEST_F(ChannelTest, ARefusalIsHeardAndTheChannelGoesOn) {
  ChannelClient moatd = connect();
  {
    const auto lock = worker_->stop();
    worker_->refusal = {"no memory", "give it more hugepages"};
  }
  const auto refused = moatd.publish(table_for({}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "no memory");
  EXPECT_EQ(refused.error().remedy, "give it more hugepages");
  EXPECT_TRUE(moatd.status());
}

TEST_F(ChannelTest, OnlyASoundSealedTableIsTaken) {
  ChannelClient moatd = connect();
  ASSERT_TRUE(moatd.publish(table_for({}, 1)));
  const Table next = table_for({{10u << 24, 1}}, 2);
  const Fd open(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_GT(::write(open.get(), next.bytes().data(), next.bytes().size()), 0);
  EXPECT_TRUE(moatd.publish(name_of(next), open.get()).error().message.contains("seals"));
  const Fd sealed = seal_table(next).value();
  EXPECT_TRUE(moatd.publish({7, 7, 7}, sealed.get()).error().message.contains("another one"));
  EXPECT_FALSE(moatd.publish(name_of(next), -1));
  EXPECT_EQ(moatd.status()->live.generation, 1u);
  EXPECT_TRUE(moatd.publish(name_of(next), sealed.get()));
}

TEST_F(ChannelTest, CountsAreSharedAndOutliveTheWorker) {
  const ChannelClient moatd = connect();
  worker_->account().counters(1)[5].packets = 8;
  EXPECT_EQ(moatd.account().sum()[5].packets, 8u);
  stop();
  EXPECT_EQ(moatd.account().sum()[5].packets, 8u);
}

TEST_F(ChannelTest, DropsComeInOrderAlsoBetweenAnswers) {
  ChannelClient moatd = connect();
  std::vector<moat_drop> drops(200);
  for (std::uint32_t i = 0; i < drops.size(); i++) drops[i].bytes = i;
  std::size_t sent = 0;
  while (sent < drops.size()) {
    {
      const auto lock = worker_->stop();
      sent += worker_->server->send_drops(std::span(drops).subspan(sent));
    }
    EXPECT_TRUE(moatd.status());  // reads what stands before its answer
  }
  std::vector<std::uint32_t> read;
  EXPECT_TRUE(moatd.read_drops([&](const moat_drop& drop) { read.push_back(drop.bytes); }));
  ASSERT_EQ(read.size(), 200u);
  for (std::uint32_t i = 0; i < read.size(); i++) EXPECT_EQ(read[i], i);
}

TEST_F(ChannelTest, WithNobodyToHearDropsStay) {
  const auto lock = worker_->stop();
  EXPECT_EQ(worker_->server->send_drops(std::vector<moat_drop>(3)), 0u);
}

TEST_F(ChannelTest, AMoatdThatReadsNothingIsNotWaitedFor) {
  const ChannelClient moatd = connect();
  const std::vector<moat_drop> drops(100'000);
  const auto lock = worker_->stop();
  EXPECT_LT(worker_->server->send_drops(drops), drops.size());
  EXPECT_GE(worker_->server->connection(), 0);
}

// Stopped just after it has asked, with the channel full: its answer does not keep the worker from
// all else, its own end among it.
TEST_F(ChannelTest, AMoatdThatDoesNotReadItsAnswerIsHungUpOn) {
  const auto address = unix_address(path_).value();
  const Fd stopped(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(stopped.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  pollfd hello = {stopped.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&hello, 1, 10'000 * patience()), 1);
  {
    const std::vector<moat_drop> drops(100'000);
    const auto lock = worker_->stop();
    ASSERT_LT(worker_->server->send_drops(drops), drops.size());
  }
  const MessageHeader asked = {MessageType::ask_table, 1};
  ASSERT_GT(::send(stopped.get(), &asked, sizeof asked, 0), 0);
  pollfd end = {stopped.get(), 0, 0};
  ASSERT_EQ(::poll(&end, 1, 10'000 * patience()), 1) << "the worker still waits for it";
  const auto lock = worker_->stop();
  EXPECT_TRUE(worker_->said.contains("does not read")) << worker_->said;
}

TEST_F(ChannelTest, ASecondMoatdIsTurnedAway) {
  ChannelClient first = connect();
  const auto second = ChannelClient::connect(path_);
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message.contains("another moatd"));
  EXPECT_TRUE(first.status());
}

// Both are known to the worker at once, the new one first.
TEST_F(ChannelTest, AMoatdThatIsBackAtOnceIsTaken) {
  std::optional<ChannelClient> first = connect();
  std::optional<Result<ChannelClient>> second;
  std::thread connecting;
  {
    const auto lock = worker_->stop();
    first.reset();
    connecting = std::thread([&] { second.emplace(ChannelClient::connect(path_)); });
    pollfd waits = {worker_->server->listener(), POLLIN, 0};
    ASSERT_EQ(::poll(&waits, 1, 10'000 * patience()), 1);
    EXPECT_TRUE(worker_->server->accept());
  }
  connecting.join();
  ASSERT_TRUE(*second) << second->error().message;
}

TEST_F(ChannelTest, WithoutAWorkerTheErrorNamesTheRemedy) {
  stop();
  const auto none = ChannelClient::connect(path_);
  ASSERT_FALSE(none);
  EXPECT_TRUE(none.error().message.contains(path_));
  EXPECT_EQ(none.error().remedy, "start moat-dpdk");
}

TEST_F(ChannelTest, ASecondWorkerIsTurnedAway) {
  EXPECT_FALSE(ChannelServer::listen(path_, {}, worker_->account(), {}));
}

TEST_F(ChannelTest, AWorkerThatEndsIsNoticed) {
  ChannelClient moatd = connect();
  stop();
  EXPECT_FALSE(moatd.status());
  EXPECT_FALSE(moatd.read_drops([](const moat_drop&) {}));
}

TEST_F(ChannelTest, UnknownWordsEndTheChannelAndNotTheWorker) {
  {
    const auto address = unix_address(path_).value();
    const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    const MessageHeader unknown = {static_cast<MessageType>(99), 1};
    ASSERT_GT(::send(socket.get(), &unknown, sizeof unknown, 0), 0);
    char bytes[8192];
    while (::recv(socket.get(), bytes, sizeof bytes, 0) > 0) {
    }  // hello, and the end
  }
  EXPECT_TRUE(connect().status());
}

// The socket's mode alone keeps others out; should somebody relax it, their user does.
TEST(ChannelAsRoot, APeerOfAnotherUserIsTurnedAway) {
  const TemporaryFolder folder;
  ThreadWorker worker(folder.path());
  ASSERT_EQ(::chmod(folder.path().c_str(), 0711), 0);
  ASSERT_EQ(::chmod((folder / "socket").c_str(), 0666), 0);
  const auto address = unix_address(folder / "socket").value();
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    char byte = 0;
    const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    const bool is_connected =
        ::setresuid(nobody, nobody, nobody) == 0 &&
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::_exit(is_connected && ::recv(socket.get(), &byte, 1, 0) == 0 ? 0 : 1);  // closed, unheard
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(ChannelClient::connect(folder / "socket")) << "moatd is taken all the same";
  const auto lock = worker.stop();
  EXPECT_TRUE(worker.said.contains("uid 65534")) << worker.said;
}

class OtherVersionTest : public ChannelTest {
 protected:
  OtherVersionTest() { version_ = channel_version + 1; }
};

TEST_F(OtherVersionTest, IsRefused) {
  const auto other = ChannelClient::connect(path_);
  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error().message.contains("version 2"));
}

// It has as many connections as the kernel takes for it, and accepts none of them.
TEST(HangingWorkerTest, ASecondOneDoesNotWaitForIt) {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  const auto address = unix_address(path).value();
  const auto* place = reinterpret_cast<const sockaddr*>(&address);
  const Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), place, sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const Fd waiting(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(waiting.get(), place, sizeof address), 0);
  const auto account = Account::open(folder / "account", 1).value();
  const auto second = ChannelServer::listen(path, {}, account, {});
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message.contains("another moat-dpdk"));
}

// A worker that is stopped takes connections, as the kernel does that, and never answers.
TEST(StoppedWorkerTest, IsNotWaitedForForEver) {
  const TemporaryFolder folder;
  const std::string path = folder / "socket";
  const auto address = unix_address(path).value();
  const Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const auto stopped = ChannelClient::connect(path, std::chrono::milliseconds{20});
  ASSERT_FALSE(stopped);
  EXPECT_TRUE(stopped.error().message.contains("in time"));
}

}  // namespace
}  // namespace moat
