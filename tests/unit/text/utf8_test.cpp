// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/utf8.h"

#include <gtest/gtest.h>

#include "control/text/fnv1a.h"

namespace moat {
namespace {

TEST(Printable, LeavesTextAsItIs) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("Büro, 事務所 \\x41"), "Büro, 事務所 \\x41");
}

TEST(Printable, ShowsWhatWouldMoveACursorOrBreakALine) {
  EXPECT_EQ(printable("a\nb\x1b[2J\x7f"), "a\\x0ab\\x1b[2J\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b") << "C1";
  EXPECT_EQ(printable("\xe2\x80\xa8\xe2\x80\xae"), "\\xe2\\x80\\xa8\\xe2\\x80\\xae")
      << "a line separator, and what turns the text around";
}

TEST(Printable, ShowsWhatIsNoUtf8ByteByByte) {
  EXPECT_EQ(printable("a\xff\xc3"), "a\\xff\\xc3");
  EXPECT_EQ(printable("\xc0\xaf/"), "\\xc0\\xaf/") << "an overlong slash";
  EXPECT_EQ(printable("\xe4\xba"
                      "b"),
            "\\xe4\\xbab");
}

// Values of the algorithm's authors.
TEST(Fnv1a, IsThatOfItsAuthors) {
  const auto hash = [](std::string_view text) {
    Fnv1a made;
    made.add(text);
    return made.value();
  };
  EXPECT_EQ(hash(""), 0xcbf29ce484222325);
  EXPECT_EQ(hash("a"), 0xaf63dc4c8601ec8c);
  EXPECT_EQ(hash("foobar"), 0x85944171f73967e8);
}

}  // namespace
}  // namespace moat
