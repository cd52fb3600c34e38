// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>

#include "control/files/reading.h"
#include "control/text/input_limits.h"
#include "tests/support/fault_text.h"

namespace moat {
namespace {

using Files = std::map<std::string, std::string>;

ReadResult<std::vector<ManagedRange>> read(std::string_view text, const Files& files = {}) {
  const auto open = [&files](const std::string& path,
                             std::size_t) -> std::expected<std::string, std::string> {
    const auto file = files.find(path);
    if (file == files.end()) return std::unexpected("no such file");
    return file->second;
  };
  return read_managed_ranges("ranges.d/f.yaml", text, open);
}

// "file:3:5 message: value" for each fault.
std::string faults_with_files(const Faults& faults) {
  std::string text;
  for (const auto& fault : faults) text += fault.place.file + ":" + fault_text({fault});
  return text;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " (run in the source tree's root)";
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ReadManagedRanges, ReadsTheExample) {
  const std::string folder = "config/managed-ranges.d/";
  const auto reading = read_managed_ranges(
      folder + "scalingo.yaml", read_file(folder + "scalingo.yaml"),
      [&folder](const std::string& path, std::size_t) -> std::expected<std::string, std::string> {
        return read_file(folder + path);
      });
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_TRUE(reading.faults.empty()) << full_text(reading.faults);
  const auto& ranges = *reading.value;
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].id, "mr-scalingo-osc-fr1");
  EXPECT_EQ(ranges[0].name, "Scalingo osc-fr1 region");
  EXPECT_EQ(*ranges[0].cidrs, (Prefixes{{Address(0xc000020a), 32}, {Address(0xc0000240), 27}}));
  EXPECT_EQ(ranges[0].place, (Place{folder + "scalingo.yaml", 2, 3}));
  EXPECT_EQ(ranges[1].id, "mr-country-fr");
  EXPECT_EQ(ranges[1].cidrs->size(), 3u);
}

TEST(ReadManagedRanges, TakesNoneAtAll) {
  const auto reading = read("[]\n");
  ASSERT_TRUE(reading.value);
  EXPECT_TRUE(reading.value->empty());
  EXPECT_TRUE(read("- {id: mr, cidrs: []}\n").value->at(0).cidrs->empty());
}

std::string in_brackets(std::string_view unit, std::size_t times) {
  std::string text = "- {id: mr, cidrs: [";
  for (std::size_t i = 0; i < times; ++i) text += unit;
  return text + "]}\n";
}

TEST(ReadManagedRanges, TakesALongListInBrackets) {
  EXPECT_EQ(read(in_brackets("192.0.2.0/24, ", 100'000)).value->at(0).cidrs->size(), 100'000u);
  EXPECT_TRUE(read("# [ not closed, {\n" + in_brackets("192.0.2.0/24, ", 1)).value);
}

// Their memory would be hundreds of times their size.
TEST(ReadManagedRanges, RefusesMoreInBracketsThanAnybodyWrites) {
  for (const auto* unit : {",", "[", "\"\" ", "a #\n"}) {
    const auto reading = read(in_brackets(unit, 310'000));
    ASSERT_EQ(reading.faults.size(), 1u) << unit;
    EXPECT_TRUE(reading.faults[0].message.starts_with("too much in one pair of brackets")) << unit;
  }
  std::string lines = "- id: mr\n  cidrs:\n";
  for (int i = 0; i < 100'000; ++i) lines += "    - 192.0.2.0/24 # [a, b]\n";
  EXPECT_EQ(read(lines).value->at(0).cidrs->size(), 100'000u) << "one a line may be any number";
}

TEST(ReadManagedRanges, TakesNestedAndRepeatedCidrsInFileOrder) {
  const auto reading = read("- {id: mr, cidrs: [10.1.0.0/16, 10.0.0.0/8, 10.1.0.0/16]}\n");
  EXPECT_EQ(reading.value->at(0).cidrs->size(), 3u);
  EXPECT_EQ(reading.value->at(0).cidrs->at(1), (Prefix{Address(0x0a000000), 8}));
}

TEST(ReadManagedRanges, ReadsACidrsFileWithCommentsAndAnyLineEnds) {
  const auto reading = read("- {id: mr, cidrs-file: sub/a.txt}\n", {{"sub/a.txt",
                                                                     "# top\r\n"
                                                                     "10.0.0.0/8\r\n"
                                                                     "\n"
                                                                     "  \t11.0.0.0/8 # trailing\n"
                                                                     "12.0.0.0/8#close\n"
                                                                     "13.0.0.0/8"}});
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_EQ(*reading.value->at(0).cidrs, (Prefixes{{Address(0x0a000000), 8},
                                                   {Address(0x0b000000), 8},
                                                   {Address(0x0c000000), 8},
                                                   {Address(0x0d000000), 8}}));
}

struct RangesCase : FaultCase {
  Files files = {};
};

class RangesFault : public testing::TestWithParam<RangesCase> {};

TEST_P(RangesFault, IsNamedWithItsFileAndPlace) {
  const auto& row = GetParam();
  const auto reading = read(row.text, row.files);
  EXPECT_EQ(faults_with_files(reading.faults), row.faults);
  EXPECT_EQ(reading.value.has_value(), !has_error(reading.faults));
}

INSTANTIATE_TEST_SUITE_P(
    Files, RangesFault,
    testing::Values(
        RangesCase{"empty", "", "ranges.d/f.yaml:1:1 the file is empty\n"},
        RangesCase{"a map", "id: mr\ncidrs: []\n", "ranges.d/f.yaml:1:1 `the file` is a list\n"},
        RangesCase{"nothing said", "- {}\n",
                   "ranges.d/f.yaml:1:3 a managed range has no `id`\n"
                   "ranges.d/f.yaml:1:3 the managed range has no CIDRs\n"},
        RangesCase{"no CIDRs", "- id: mr\n",
                   "ranges.d/f.yaml:1:3 the managed range has no CIDRs\n"},
        RangesCase{"both", "- {id: mr, cidrs: [], cidrs-file: a}\n",
                   "ranges.d/f.yaml:1:3 both `cidrs` and `cidrs-file`\n"},
        RangesCase{"cidrs without value", "- id: mr\n  cidrs:\n",
                   "ranges.d/f.yaml:2:3 `cidrs` has no value\n"},
        RangesCase{"same id twice", "- {id: mr, cidrs: []}\n- {id: mr, cidrs: []}\n",
                   "ranges.d/f.yaml:2:8 the same managed range twice: mr\n"},
        RangesCase{"unknown key", "- {id: mr, cidr: 10.0.0.0/8}\n",
                   "ranges.d/f.yaml:1:3 the managed range has no CIDRs\n"
                   "ranges.d/f.yaml:1:12 a managed range has no such key: cidr\n"},
        RangesCase{"bad CIDRs", "- id: mr\n  cidrs:\n  - 10.0.0.1/8\n  - [x]\n  -\n",
                   "ranges.d/f.yaml:3:5 host bits are set: 10.0.0.1/8\n"
                   "ranges.d/f.yaml:4:5 `cidrs` is a single value, not a list or map\n"
                   "ranges.d/f.yaml:6:1 an empty entry where `cidrs` is read\n"},
        RangesCase{"everybody", "- {id: mr, cidrs: [0.0.0.0/0]}\n",
                   "ranges.d/f.yaml:1:20 warning: a rule with this managed range allows every "
                   "address: 0.0.0.0/0\n"}));

INSTANTIATE_TEST_SUITE_P(
    CidrsFiles, RangesFault,
    testing::Values(
        RangesCase{"not there", "- {id: mr, cidrs-file: a.txt}\n",
                   "ranges.d/f.yaml:1:24 the cidrs-file cannot be read: no such file: a.txt\n"},
        RangesCase{"no name", "- {id: mr, cidrs-file: ''}\n",
                   "ranges.d/f.yaml:1:24 `cidrs-file` is empty\n"},
        RangesCase{"absolute", "- {id: mr, cidrs-file: /etc/shadow}\n",
                   "ranges.d/f.yaml:1:24 not a relative path: /etc/shadow\n"},
        RangesCase{"out of the folder", "- {id: mr, cidrs-file: a/../../b}\n",
                   "ranges.d/f.yaml:1:24 the path leaves its folder: a/../../b\n"},
        RangesCase{"bad lines",
                   "- {id: mr, cidrs-file: a.txt}\n- {id: MR, cidrs: []}\n",
                   "ranges.d/f.yaml:2:8 `id` is no id: MR\n"
                   "ranges.d/a.txt:2:3 host bits are set: 10.0.0.1/8\n"
                   "ranges.d/a.txt:3:1 the prefix length is not a number: 10.0.0.0/8 10.0.0.0/9\n",
                   {{"a.txt", "# x\n  10.0.0.1/8\n10.0.0.0/8 10.0.0.0/9\n"}}},
        RangesCase{"BOM",
                   "- {id: mr, cidrs-file: a.txt}\n",
                   "ranges.d/a.txt:1:1 there is a byte order mark\n"
                   "ranges.d/a.txt:1:4 the prefix length is missing: 10.0.0.0\n",
                   {{"a.txt",
                     "\xef\xbb\xbf"
                     "10.0.0.0\n"}}},
        RangesCase{"not UTF-8",
                   "- {id: mr, cidrs-file: a.txt}\n",
                   "ranges.d/a.txt:0:0 warning: 1 CIDRs are good, 1 not: the list is used as a "
                   "whole or not "
                   "at all\nranges.d/a.txt:2:3 not UTF-8: byte 0xe9\n",
                   {{"a.txt", "10.0.0.0/8\n# \xe9\n"}}},
        RangesCase{"NUL",
                   "- {id: mr, cidrs-file: a.txt}\n",
                   "ranges.d/a.txt:1:11 there is a NUL byte\n",
                   {{"a.txt", std::string("10.0.0.0/8\0\n", 12)}}},
        RangesCase{"everybody",
                   "- {id: mr, cidrs-file: a.txt}\n",
                   "ranges.d/a.txt:0:0 warning: a rule with this managed range allows every "
                   "address: 0.0.0.0/0\n",
                   {{"a.txt", "0.0.0.0/0\n"}}}));

std::string lines_of(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += fmt::format("{}.{}.{}.0/24\n", 1 + (i >> 16), i >> 8 & 255, i & 255);
  }
  return text;
}

TEST(ReadManagedRanges, CountsTheCidrsOfAllItsRanges) {
  const Files files = {{"a.txt", lines_of(limits::prefixes - 1)},
                       {"b.txt", "10.0.0.0/8\n11.0.0.0/8\n"}};
  const auto fits = read("- {id: a, cidrs-file: a.txt}\n- {id: b, cidrs: [10.0.0.0/8]}\n", files);
  EXPECT_TRUE(fits.value) << full_text(fits.faults);
  const auto too_many = read("- {id: a, cidrs-file: a.txt}\n- {id: b, cidrs-file: b.txt}\n", files);
  EXPECT_EQ(faults_with_files(too_many.faults),
            "ranges.d/b.txt:2:1 more than 1000000 CIDRs in all: 11.0.0.0/8\n");
}

TEST(ReadManagedRanges, CapsTheFaultsOfEachFile) {
  std::string bad;
  for (int i = 0; i < 1'000; ++i) bad += "x\n";
  const auto reading = read("- {id: a, cidrs-file: a.txt}\n", {{"a.txt", bad}});
  ASSERT_EQ(reading.faults.size(), limits::faults + 1);
  EXPECT_EQ(reading.faults.back().message, "900 more faults in this file");
}

TEST(ReadManagedRanges, ReadsAMillionLinesWithinTheTimeThatAChangeHas) {
  const Files files = {{"a.txt", lines_of(limits::prefixes)}};
  const auto start = std::chrono::steady_clock::now();
  const auto reading = read("- {id: a, cidrs-file: a.txt}\n", files);
  const auto elapsed = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(reading.value);
  EXPECT_EQ(reading.value->at(0).cidrs->size(), limits::prefixes);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed);
  RecordProperty("milliseconds", static_cast<int>(milliseconds.count()));
  EXPECT_LT(elapsed, std::chrono::seconds(1));  // some 100 ms alone on a core
}

}  // namespace
}  // namespace moat
