// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/expiry.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

constexpr WallTime now{std::chrono::seconds(1'800'000'000)};

TEST(ParseExpiry, TakesTimesAndLengths) {
  using namespace std::chrono;
  EXPECT_EQ(parse_expiry("90s", now), now + seconds(90));
  EXPECT_EQ(parse_expiry("30m", now), now + minutes(30));
  EXPECT_EQ(parse_expiry("7d", now), now + days(7));
  EXPECT_EQ(parse_expiry("2w", now), now + weeks(2));
  EXPECT_EQ(parse_expiry("2099-01-31T18:00:00Z", now).value(),
            parse_time("2099-01-31T18:00:00Z").value());
  EXPECT_EQ(parse_expiry("8h", now), now + hours(8));
  EXPECT_EQ(parse_expiry("2099-01-31", now), parse_time("2099-01-31T00:00:00Z").value());
  EXPECT_EQ(parse_expiry("2099-01-31T18:00:00+01:30", now),
            parse_time("2099-01-31T16:30:00Z").value());
  EXPECT_EQ(parse_expiry("2099-01-31T18:00:00-11:00", now),
            parse_time("2099-02-01T05:00:00Z").value());
  for (const auto* bad :
       {"2099-02-30", "2099-1-31", "2099-01-31T18:00", "2099-01-31T18:00:00+1:00",
        "2099-01-31T18:00:00+24:00", "2099-01-31 18:00:00Z", "", "m", "0m", "-5m", "5", "5 m", "1y",
        "99999999999999999999s", "100000000w", "2020-01-01T00:00:00Z", "tomorrow"}) {
    EXPECT_FALSE(parse_expiry(bad, now)) << bad;
  }
}

TEST(ParseSince, TakesTimesThatHaveBeen) {
  EXPECT_EQ(parse_since("2h", now), now - std::chrono::hours(2));
  EXPECT_EQ(parse_since("2020-01-31", now), parse_time("2020-01-31T00:00:00Z").value());
  EXPECT_EQ(parse_since("2020-01-31T18:00:00+01:30", now),
            parse_time("2020-01-31T16:30:00Z").value());
  for (const auto* bad : {"2099-01-31", "0h", "yesterday", "", "2020-02-30"}) {
    EXPECT_FALSE(parse_since(bad, now)) << bad;
  }
  EXPECT_TRUE(parse_since("yesterday", now).error().remedy.starts_with("write a length back"));
}

TEST(ParseLength, TakesLengthsAlone) {
  EXPECT_EQ(parse_length("30d").value(), std::chrono::days(30));
  EXPECT_EQ(parse_length("4w").value(), std::chrono::weeks(4));
  for (const auto* bad : {"", "30", "0d", "-1d", "2027-01-31", "100000001s"}) {
    EXPECT_FALSE(parse_length(bad)) << bad;
  }
}

}  // namespace
}  // namespace moat
