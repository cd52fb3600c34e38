// SPDX-License-Identifier: BSD-2-Clause
// moatd's half of the fast path: a packet path in memory in the kernel's place, and a worker at the
// other end of a real socket, which the tests stop, end and start.
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <optional>

#include "bpf/verdict.h"
#include "dataplane/dpdk/fast_path.h"
#include "dataplane/dpdk/joined_path.h"
#include "tests/support/fake_path.h"
#include "tests/support/patience.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/dpdk/tables.h"
#include "tests/unit/dpdk/thread_worker.h"

namespace moat {
namespace {

class FastPathTest : public testing::Test {
 protected:
  void SetUp() override { start_moatd(); }

  void start_moatd() {
    path_.reset();
    auto kernel = std::make_unique<FakePath>();
    if (kernel_ != nullptr) kernel->table = live_;
    kernel_ = kernel.get();
    path_ = join_fast_path(std::move(kernel), folder_.path()).value();
  }
  void start_worker() { worker_.emplace(folder_.path()); }
  void publish(std::uint64_t generation) {
    live_ = table_for({{10u << 24, 1}}, generation);
    const auto published = path_->publish(live_);
    ASSERT_TRUE(published) << published.error().message;
  }
  [[nodiscard]] std::string behind() const {
    const auto everywhere = path_->check_everywhere();
    return everywhere ? "" : everywhere.error().message;
  }
  // As moatd's event loop does it.
  template <typename Condition>
  [[nodiscard]] bool await(const Condition& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10) * patience();
    while (!holds() && std::chrono::steady_clock::now() < end) {
      pollfd waits = {path_->fd(), POLLIN, 0};
      if (::poll(&waits, 1, 1000) > 0) (void)path_->attend();
    }
    return holds();
  }
  [[nodiscard]] bool await_news() {
    bool is_news = false;
    return await([&] { return is_news = is_news || path_->attend(); });
  }
  [[nodiscard]] bool await_everywhere() {
    return await([this] { return behind().empty(); });
  }
  [[nodiscard]] std::uint64_t generation_there() {
    const auto lock = worker_->stop();
    return worker_->table ? worker_->table.header().generation : 0;
  }

  TemporaryFolder folder_;
  Table live_;
  FakePath* kernel_ = nullptr;
  std::unique_ptr<PacketPath> path_;
  std::optional<ThreadWorker> worker_;
};

TEST_F(FastPathTest, WithoutOneNothingIsMissed) {
  path_->want_fast_path(false);
  publish(1);
  EXPECT_EQ(behind(), "");
  EXPECT_TRUE(path_->fast_path().problem.empty());
  EXPECT_FALSE(path_->fast_path().is_connected);
}

TEST_F(FastPathTest, AChangeIsEverywhereOnceTheWorkerHasSaidSo) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  EXPECT_EQ(generation_there(), 1u);
  EXPECT_EQ(kernel_->table.header().generation, 1u);
  const auto status = path_->fast_path();
  EXPECT_TRUE(status.is_connected);
  EXPECT_EQ(status.generation, 1u);
  EXPECT_EQ(status.problem, "");
}

TEST_F(FastPathTest, AWorkerThatIsNotThereIsMissedAndTheKernelHasTheChange) {
  path_->want_fast_path(true);
  publish(1);
  EXPECT_EQ(kernel_->table.header().generation, 1u);
  EXPECT_TRUE(behind().contains("reach moat-dpdk at")) << behind();
  EXPECT_EQ(path_->fast_path().remedy, "start moat-dpdk");
  start_worker();
  ASSERT_TRUE(await_everywhere());
  EXPECT_EQ(generation_there(), 1u);
}

TEST_F(FastPathTest, AWorkerThatIsStartedAnewGetsWhatIsLive) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  worker_.reset();
  ASSERT_TRUE(await([this] { return !path_->fast_path().is_connected; }));
  EXPECT_NE(behind(), "");
  publish(2);
  start_worker();
  ASSERT_TRUE(await_everywhere());
  EXPECT_EQ(generation_there(), 2u);
}

// Or a change that waits for it would go on waiting.
TEST_F(FastPathTest, AWorkerThatWasReachedMeanwhileIsNewsAllTheSame) {
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_news()) << "that it is missing";
  start_worker();
  path_->want_fast_path(true);
  ASSERT_EQ(behind(), "");
  EXPECT_TRUE(path_->attend());
}

TEST_F(FastPathTest, AStoppedWorkerGetsTheLatestWhenItGoesOn) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  {
    const auto stopped = worker_->stop();
    publish(2);
    EXPECT_TRUE(behind().contains("judges by generation 1, and does not have 2")) << behind();
    publish(3);
    publish(4);
    ASSERT_TRUE(await([this] { return path_->fast_path().problem.contains("does not answer"); }));
    EXPECT_TRUE(path_->fast_path().is_behind);
    EXPECT_EQ(kernel_->table.header().generation, 4u);
  }
  ASSERT_TRUE(await_everywhere());
  EXPECT_EQ(generation_there(), 4u);
  EXPECT_EQ(path_->fast_path().problem, "");
  const auto lock = worker_->stop();
  EXPECT_LE(worker_->published, 3u) << "3 was never sent";
}

TEST_F(FastPathTest, AWorkerThatIsStoppedWhenMoatdComesIsTold) {
  start_worker();
  {
    const auto stopped = worker_->stop();
    path_->want_fast_path(true);
    publish(1);
    EXPECT_NE(behind(), "");
    ASSERT_TRUE(await([this] { return path_->fast_path().problem.contains("does not answer"); }));
  }
  EXPECT_TRUE(await_everywhere());
}

TEST_F(FastPathTest, ARefusalIsToldAndTriedAgain) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  {
    const auto lock = worker_->stop();
    worker_->refusal = {"no memory for a table", "give it more hugepages"};
  }
  publish(2);
  ASSERT_TRUE(await([this] { return path_->fast_path().problem.contains("refuses"); }));
  EXPECT_EQ(behind(), "no memory for a table");
  EXPECT_EQ(path_->fast_path().remedy, "give it more hugepages");
  EXPECT_EQ(generation_there(), 1u);
  {
    const auto lock = worker_->stop();
    worker_->refusal.reset();
  }
  ASSERT_TRUE(await_everywhere());
  EXPECT_EQ(generation_there(), 2u);
}

TEST_F(FastPathTest, AMoatdThatIsStartedAnewLeavesAloneWhatIsRight) {
  start_worker();
  path_->want_fast_path(true);
  publish(7);
  ASSERT_TRUE(await_everywhere());
  start_moatd();
  path_->want_fast_path(true);
  ASSERT_TRUE(await([this] { return path_->fast_path().is_connected; }));
  EXPECT_EQ(behind(), "");
  const auto lock = worker_->stop();
  EXPECT_EQ(worker_->published, 1u);
}

TEST_F(FastPathTest, AMoatdThatIsStartedAnewMendsWhatIsOld) {
  start_worker();
  path_->want_fast_path(true);
  publish(7);
  ASSERT_TRUE(await_everywhere());
  live_ = table_for({}, 8);  // what moatd published just before it died
  start_moatd();
  path_->want_fast_path(true);
  ASSERT_TRUE(await([this] { return path_->fast_path().generation == 8; }));
  EXPECT_EQ(generation_there(), 8u);
}

TEST_F(FastPathTest, ATableThatIsNotWhatItShouldBeIsSentAnew) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  {
    const auto lock = worker_->stop();
    worker_->damage = 1;
  }
  ASSERT_TRUE(await([this] {
    const auto lock = worker_->stop();
    return worker_->published == 2;
  }));
  EXPECT_TRUE(await_everywhere());
  EXPECT_EQ(path_->take_mended(),
            std::vector<std::string>{"the fast path's table was not what it should be"});
}

TEST_F(FastPathTest, AWorkerThatMoatYamlDoesNotNameIsFollowedAndTold) {
  start_worker();
  path_->want_fast_path(false);
  publish(1);
  EXPECT_TRUE(await_everywhere());
  EXPECT_EQ(generation_there(), 1u);
  EXPECT_TRUE(path_->fast_path().problem.contains("moat.yaml has no"))
      << path_->fast_path().problem;
}

TEST_F(FastPathTest, CountersAreThoseOfBothAlsoWithoutAWorker) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  kernel_->counts[5] = {.packets = 2, .bytes = 200};
  worker_->account().counters(0)[5] = {3, 300};
  worker_->account().counters(1)[5] = {4, 400};
  EXPECT_EQ(path_->counters().value()[5].packets, 9u);
  EXPECT_EQ(path_->counters().value()[5].bytes, 900u);
  worker_.reset();
  ASSERT_TRUE(await([this] { return !path_->fast_path().is_connected; }));
  EXPECT_EQ(path_->counters().value()[5].packets, 9u);
  start_moatd();
  EXPECT_EQ(path_->counters().value()[5].packets, 7u) << "as the file has them";
  EXPECT_TRUE(path_->clear_counters({5}));
  EXPECT_EQ(path_->counters().value()[5].packets, 0u);
}

TEST_F(FastPathTest, DropsOfTheWorkerWakeWhoeverReadsThem) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  auto drops = path_->drops().value();
  {
    const auto lock = worker_->stop();
    EXPECT_EQ(worker_->server->send_drops(std::vector<moat_drop>(100)), 100u);
  }
  unsigned read = 0;
  ASSERT_TRUE(await([&] {
    pollfd looks = {drops->fd(), POLLIN, 0};
    if (::poll(&looks, 1, 0) == 1) drops->read([&](const moat_drop&) { read++; });
    return read == 100;
  }));
  pollfd looks = {drops->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&looks, 1, 0), 0);
}

TEST_F(FastPathTest, DetachLetsAllPass) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  const auto detached = path_->detach_all();
  ASSERT_TRUE(detached) << detached.error().message;
  EXPECT_TRUE(kernel_->is_gone);
  const auto lock = worker_->stop();
  const auto frame = syn_from(11u << 24);
  EXPECT_EQ(judge(live_, frame, 0).drop, 1);
  EXPECT_EQ(judge(worker_->table, frame, 0).drop, 0);
}

TEST_F(FastPathTest, DetachIsRefusedWhileTheWorkerWouldGoOn) {
  start_worker();
  path_->want_fast_path(true);
  publish(1);
  ASSERT_TRUE(await_everywhere());
  {
    const auto stopped = worker_->stop();
    const auto detached = path_->detach_all();
    ASSERT_FALSE(detached);
    EXPECT_TRUE(detached.error().message.contains("goes on judging by generation 1"));
    EXPECT_FALSE(kernel_->is_gone);
  }
  ASSERT_TRUE(await([this] {
    const auto lock = worker_->stop();
    return worker_->published >= 1 && name_of(worker_->table).digest == live_.header().digest;
  }));
  EXPECT_TRUE(await_everywhere());
}

}  // namespace
}  // namespace moat
