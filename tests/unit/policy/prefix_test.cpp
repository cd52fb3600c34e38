// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/prefix.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace moat {
namespace {

TEST(Prefix, MaskHasAsManyBitsAsItsLength) {
  EXPECT_EQ(Prefix::mask(0), 0u);
  EXPECT_EQ(Prefix::mask(1), 0x80000000u);
  EXPECT_EQ(Prefix::mask(24), 0xffffff00u);
  EXPECT_EQ(Prefix::mask(32), 0xffffffffu);
}

TEST(Prefix, HoldsItsFirstAndLastAddressAndNoNeighbour) {
  const Prefix prefix{Address(0xc0000240), 27};  // 192.0.2.64/27
  EXPECT_EQ(prefix.first(), Address(0xc0000240));
  EXPECT_EQ(prefix.last(), Address(0xc000025f));
  EXPECT_TRUE(prefix.contains(prefix.first()));
  EXPECT_TRUE(prefix.contains(prefix.last()));
  EXPECT_FALSE(prefix.contains(Address(prefix.first().value - 1)));
  EXPECT_FALSE(prefix.contains(Address(prefix.last().value + 1)));
}

TEST(ParsePrefix, TakesBothEndsOfTheRange) {
  EXPECT_EQ(parse_prefix("0.0.0.0/0"), (Prefix{}));
  EXPECT_EQ(parse_prefix("255.255.255.255/32"), (Prefix{Address(0xffffffff), 32}));
  EXPECT_EQ(parse_prefix("192.0.2.64/27"), (Prefix{Address(0xc0000240), 27}));
}

struct BadText {
  const char* text;
  const char* message;
  const char* remedy;
};

void PrintTo(const BadText& bad, std::ostream* out) { *out << '"' << bad.text << '"'; }

class BadPrefix : public testing::TestWithParam<BadText> {};

TEST_P(BadPrefix, IsRefusedWithARemedy) {
  const auto read = parse_prefix(GetParam().text);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().message, GetParam().message);
  EXPECT_EQ(read.error().remedy, GetParam().remedy);
}

constexpr auto as_in = "write four numbers, as in 192.0.2.1";
constexpr auto short_form = "the address is short of octets";
constexpr auto all_four = "write all four octets, as in 10.0.0.0";

INSTANTIATE_TEST_SUITE_P(
    Texts, BadPrefix,
    testing::Values(
        BadText{"", "the address is empty", "write as in 192.0.2.1"},
        BadText{"/24", "the address is empty", "write as in 192.0.2.1"},
        BadText{"10.0.0.0", "the prefix length is missing", "write 10.0.0.0/32 for this address"},
        BadText{"10.0.0.0/", "the prefix length is empty", "write 10.0.0.0/32 for one address"},
        BadText{"10.0.0.0/33", "prefix length 33 is over 32", "an IPv4 prefix has 0 to 32 bits"},
        BadText{"10.0.0.0/99999999999999999999", "prefix length 99999999999999999999 is over 32",
                "an IPv4 prefix has 0 to 32 bits"},
        BadText{"10.0.0.0/08", "the prefix length has a leading zero", "write 10.0.0.0/8"},
        BadText{"10.0.0.0/-1", "the prefix length is not a number",
                "write 0 to 32 after the slash"},
        BadText{"10.0.0.0/24/24", "the prefix length is not a number",
                "write 0 to 32 after the slash"},
        BadText{"10.0.0.0/255.255.255.0", "a netmask stands where the prefix length should",
                "write 10.0.0.0/24"},
        BadText{"10.0.0.0/255.0.255.0", "the prefix length is not a number",
                "write 0 to 32 after the slash"},
        BadText{"192.0.2.70/27", "host bits are set",
                "the network is 192.0.2.64/27, this address alone 192.0.2.70/32"},
        BadText{"192.0.2.1/0", "host bits are set",
                "the network is 0.0.0.0/0, this address alone 192.0.2.1/32"},
        BadText{"010.0.0.0/8", "an octet has a leading zero",
                "write 10.0.0.0 if decimal was meant"},
        BadText{"192.0.2.00/24", "an octet has a leading zero",
                "write 192.0.2.0 if decimal was meant"},
        BadText{"256.0.0.0/8", "octet 256 is over 255", "each octet is 0 to 255"},
        BadText{"99999999999999999999.0.0.0/8", "octet 99999999999999999999 is over 255",
                "each octet is 0 to 255"},
        BadText{"10/8", short_form, all_four}, BadText{"10.1/16", short_form, all_four},
        BadText{"10.1.2/24", short_form, all_four},
        BadText{"10.0.0.0.0/8", "an IPv4 address has four octets", "write as in 192.0.2.1"},
        BadText{"10..0.0/8", "an octet of the address is empty", as_in},
        BadText{"10.0.0./8", "an octet of the address is empty", as_in},
        BadText{" 10.0.0.0/8", "there is a space in the address", "write it without spaces"},
        BadText{"10.0.0.0 /8", "there is a space in the address", "write it without spaces"},
        BadText{"10.0.0.0/8 ", "the prefix length is not a number",
                "write 0 to 32 after the slash"},
        BadText{"+10.0.0.0/8", "not an IPv4 address", as_in},
        BadText{"0x0a.0.0.0/8", "not an IPv4 address", as_in},
        BadText{"db.example.net", "not an IPv4 address", as_in},
        BadText{"192.0.2.1:5432", "a port follows the address", "write 192.0.2.1"},
        BadText{"2001:db8::/32", "an IPv6 address",
                "there are rules for IPv4 alone: see `endpoint` in moat.yaml(5)"},
        BadText{"::ffff:192.0.2.1/128", "an IPv6 address",
                "there are rules for IPv4 alone: see `endpoint` in moat.yaml(5)"}));

TEST(ParseAddress, PointsToWhatTheManualHas) {
  const auto remedy = parse_address("2001:db8::1").error().remedy;
  const auto begin = remedy.find('`') + 1;
  const auto word = remedy.substr(begin, remedy.find('`', begin) - begin);
  std::ifstream manual("config/moat.yaml.5.scd");
  ASSERT_TRUE(manual) << "run in the source tree's root";
  const std::string text((std::istreambuf_iterator<char>(manual)), {});
  EXPECT_NE(text.find("\n*" + word + "*\n"), std::string::npos) << word;
}

TEST(ParseAddress, TakesAnAddressAndNothingAfterIt) {
  EXPECT_EQ(parse_address("192.0.2.1"), Address(0xc0000201));
  EXPECT_FALSE(parse_address("192.0.2.1/32").has_value());
  EXPECT_FALSE(parse_address("192.0.2.1\n").has_value());
  EXPECT_FALSE(parse_address(std::string_view("192.0.2.1\0", 10)).has_value());
}

Prefix arbitrary_prefix() {
  const auto length = *rc::gen::inRange<unsigned>(0, 33);
  return Prefix::of(Address(*rc::gen::arbitrary<std::uint32_t>()),
                    static_cast<std::uint8_t>(length));
}

RC_GTEST_PROP(ParsePrefix, ReadsBackWhatFormatWrote, ()) {
  const auto prefix = arbitrary_prefix();
  const auto text = format_prefix(prefix);
  RC_ASSERT(parse_prefix(text).value() == prefix);
}

// One text for one prefix: whatever is taken is what format would have written.
RC_GTEST_PROP(ParsePrefix, TakesOnlyTheOneWayToWriteIt, ()) {
  const auto prefix = arbitrary_prefix();
  auto text = format_prefix(prefix);
  const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  const auto erased = *rc::gen::inRange<std::size_t>(0, 2);
  const std::string inserted(*rc::gen::inRange<std::size_t>(0, 2),
                             *rc::gen::elementOf(std::string("0123456789./ -+x:")));
  text.replace(at, erased, inserted);
  const auto read = parse_prefix(text);
  RC_CLASSIFY(read.has_value(), "taken");
  if (read) RC_ASSERT(format_prefix(*read) == text);
  if (!read) RC_ASSERT(!read.error().message.empty() && !read.error().remedy.empty());
}

}  // namespace
}  // namespace moat
