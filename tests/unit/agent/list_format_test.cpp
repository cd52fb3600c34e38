// SPDX-License-Identifier: BSD-2-Clause
// Small lists, made from the fields that each provider documents; and large ones, generated.
#include "control/agent/parse_list.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <bitset>
#include <random>

#include "control/policy/prefix.h"

namespace moat {
namespace {

std::string cidrs_of(const Result<ParsedList>& list) {
  if (!list) return "error: " + format_error(list.error());
  std::string text;
  for (const auto& cidr : list->cidrs) text += (text.empty() ? "" : " ") + format_prefix(cidr);
  return text;
}

std::string parsed(ListFormat format, std::string_view bytes, const Selection& selection = {}) {
  return cidrs_of(parse_list(format, bytes, selection));
}

constexpr std::string_view aws = R"({
  "syncToken": "1753388594", "createDate": "2026-11-24-20-23-14",
  "prefixes": [
    {"ip_prefix": "3.5.140.0/22", "region": "eu-west-3", "service": "AMAZON",
     "network_border_group": "eu-west-3"},
    {"ip_prefix": "3.5.140.0/22", "region": "eu-west-3", "service": "EC2",
     "network_border_group": "eu-west-3"},
    {"ip_prefix": "3.5.144.0/23", "region": "eu-west-3", "service": "EC2",
     "network_border_group": "eu-west-3-cdg-1"},
    {"ip_prefix": "13.34.0.0/16", "region": "us-east-1", "service": "EC2",
     "network_border_group": "us-east-1"}],
  "ipv6_prefixes": [{"ipv6_prefix": "2600:1f00::/24", "region": "eu-west-3", "service": "EC2",
     "network_border_group": "eu-west-3"}]})";

TEST(ListFormat, Aws) {
  EXPECT_EQ(parsed(ListFormat::aws, aws, {{"service", {"EC2"}}, {"region", {"eu-west-3"}}}),
            "3.5.140.0/22 3.5.144.0/23");
  EXPECT_EQ(parsed(ListFormat::aws, aws, {{"network-border-group", {"eu-west-3-cdg-1"}}}),
            "3.5.144.0/23");
  EXPECT_EQ(parsed(ListFormat::aws, aws, {{"region", {"eu-west-3", "us-east-1"}}}),
            "3.5.140.0/22 3.5.144.0/23 13.34.0.0/16");
  const auto list = parse_list(ListFormat::aws, aws, {});
  ASSERT_TRUE(list);
  EXPECT_EQ(list->version, "1753388594");
  EXPECT_EQ(list->entries, 4U);
  EXPECT_EQ(list->ipv6, 1U);
}

TEST(ListFormat, AwsWhatTellsAnEntryMayStandBehindItsNetwork) {
  EXPECT_EQ(parsed(ListFormat::aws,
                   R"({"prefixes": [{"ip_prefix": "192.0.2.0/24", "service": "S3"},
                                    {"service": "EC2", "ip_prefix": "198.51.100.0/24"}]})",
                   {{"service", {"S3"}}}),
            "192.0.2.0/24");
}

TEST(ListFormat, GoogleCloud) {
  constexpr std::string_view list = R"({"syncToken": "1753409788780",
    "creationTime": "2026-11-24T19:16:28.780563", "prefixes": [
      {"ipv4Prefix": "34.1.208.0/20", "service": "Google Cloud", "scope": "africa-south1"},
      {"ipv6Prefix": "2600:1900:8000::/44", "service": "Google Cloud", "scope": "africa-south1"},
      {"ipv4Prefix": "34.22.0.0/17", "service": "Google Cloud", "scope": "europe-west9"}]})";
  EXPECT_EQ(parsed(ListFormat::google, list, {{"region", {"europe-west9"}}}), "34.22.0.0/17");
  EXPECT_EQ(parse_list(ListFormat::google, list, {})->ipv6, 1U);
}

TEST(ListFormat, GoogleHasNoScopeInGoogJson) {
  EXPECT_EQ(parsed(ListFormat::google,
                   R"({"syncToken": "1", "creationTime": "2026-11-24T19:16:28.780563",
                       "prefixes": [{"ipv4Prefix": "8.8.4.0/24"}, {"ipv4Prefix": "8.8.8.0/24"},
                                    {"ipv6Prefix": "2001:4860::/32"}]})"),
            "8.8.4.0/24 8.8.8.0/24");
}

TEST(ListFormat, AzureServiceTags) {
  constexpr std::string_view list =
      "{\r\n  \"changeNumber\": 367,\r\n  \"cloud\": \"Public\",\r\n  \"values\": [\r\n"
      "    {\"name\": \"Sql.FranceCentral\", \"id\": \"Sql.FranceCentral\", \"properties\": {\r\n"
      "      \"changeNumber\": 12, \"region\": \"centralfrance\", \"platform\": \"Azure\",\r\n"
      "      \"systemService\": \"AzureSQL\", \"addressPrefixes\": [\r\n"
      "        \"20.43.40.0/25\", \"2603:1020:800::/47\", \"40.79.128.32/28\"],\r\n"
      "      \"networkFeatures\": [\"API\", \"NSG\"]}},\r\n"
      "    {\"properties\": {\"addressPrefixes\": [\"13.69.0.0/17\"], \"region\": \"\"},\r\n"
      "     \"name\": \"AzureCloud\"}]}\r\n";
  EXPECT_EQ(parsed(ListFormat::azure, list, {{"service", {"Sql.FranceCentral"}}}),
            "20.43.40.0/25 40.79.128.32/28");
  // The name behind the prefixes.
  EXPECT_EQ(parsed(ListFormat::azure, list, {{"service", {"AzureCloud"}}}), "13.69.0.0/17");
  EXPECT_EQ(parse_list(ListFormat::azure, list, {})->version, "367");  // the file's, no tag's
}

constexpr std::string_view github = R"({
  "verifiable_password_authentication": false,
  "ssh_keys": ["ssh-ed25519 AAAAC3"], "ssh_key_fingerprints": {"SHA256_RSA": "uNiV"},
  "hooks": ["192.30.252.0/22", "2a0a:a440::/29"], "web": ["192.30.252.0/22", "20.27.177.113/32"],
  "actions": ["4.148.0.0/16"],
  "domains": {"website": ["*.github.com"], "actions": ["*.actions.githubusercontent.com"]}})";

TEST(ListFormat, GitHubMeta) {
  EXPECT_EQ(parsed(ListFormat::github, github, {{"service", {"hooks"}}}), "192.30.252.0/22");
  EXPECT_EQ(parsed(ListFormat::github, github, {{"service", {"hooks", "actions"}}}),
            "4.148.0.0/16 192.30.252.0/22");
  EXPECT_EQ(parsed(ListFormat::github, github, {{"service", {"domains"}}}),
            "error: \"domains\" is no list of networks in GitHub's meta (check the URL and the "
            "format)");
  EXPECT_EQ(parsed(ListFormat::github, github, {{"service", {"action"}}}),
            "error: this is not GitHub's meta: it has no list \"action\" (do you mean "
            "\"actions\"?)");
  EXPECT_TRUE(
      parsed(ListFormat::github, github, {{"service", {"ssh_keys"}}}).starts_with("error: "));
}

TEST(ListFormat, CloudflareText) {
  EXPECT_EQ(parsed(ListFormat::text, "173.245.48.0/20\n103.21.244.0/22\n103.22.200.0/22"),
            "103.21.244.0/22 103.22.200.0/22 173.245.48.0/20");
}

TEST(ListFormat, CloudflareApi) {
  EXPECT_EQ(parsed(ListFormat::cloudflare_api,
                   R"({"result": {"ipv4_cidrs": ["173.245.48.0/20"],
                       "ipv6_cidrs": ["2400:cb00::/32"], "etag": "38f79d0"},
                       "success": true, "errors": [], "messages": []})"),
            "173.245.48.0/20");
  EXPECT_EQ(parsed(ListFormat::cloudflare_api,
                   R"({"result": {"ipv4_cidrs": ["173.245.48.0/20"]}, "success": false})"),
            "error: the provider's answer says that it is no success");
}

TEST(ListFormat, Fastly) {
  EXPECT_EQ(parsed(ListFormat::fastly,
                   R"({"addresses": ["23.235.32.0/20", "43.249.72.0/22"],
                       "ipv6_addresses": ["2a04:4e40::/32"]})"),
            "23.235.32.0/20 43.249.72.0/22");
}

TEST(ListFormat, Oracle) {
  constexpr std::string_view list = R"({"last_updated_timestamp": "2026-11-24T10:43:09.437834",
    "regions": [
      {"region": "eu-paris-1", "cidrs": [
        {"cidr": "129.149.92.0/22", "tags": ["OCI"]},
        {"cidr": "134.70.144.0/22", "tags": ["OSN", "OBJECT_STORAGE"]}]},
      {"region": "us-phoenix-1", "cidrs": [{"cidr": "129.146.0.0/21", "tags": ["OCI"]}]}]})";
  EXPECT_EQ(parsed(ListFormat::oracle, list, {{"region", {"eu-paris-1"}}}),
            "129.149.92.0/22 134.70.144.0/22");
  EXPECT_EQ(parsed(ListFormat::oracle, list, {{"service", {"OCI"}}}),
            "129.146.0.0/21 129.149.92.0/22");
  EXPECT_EQ(parsed(ListFormat::oracle, list,
                   {{"region", {"eu-paris-1"}}, {"service", {"OBJECT_STORAGE"}}}),
            "134.70.144.0/22");
}

TEST(ListFormat, GeofeedWithCommentsQuotesAndAddresses) {
  constexpr std::string_view list =
      "# prefix,country_code,region_code,city,postal\r\n"
      "2600:3c00::/32,US,US-TX,Richardson,\r\n"
      "139.162.128.0/18,DE,DE-HE,Frankfurt,\r\n"
      "172.236.0.7,FR,FR-IDF,\"Paris, Centre\",75001\r\n";
  EXPECT_EQ(parsed(ListFormat::geofeed, list), "139.162.128.0/18 172.236.0.7/32");
  EXPECT_EQ(parsed(ListFormat::geofeed, list, {{"country", {"FR"}}}), "172.236.0.7/32");
  EXPECT_EQ(parsed(ListFormat::geofeed, list, {{"city", {"Paris, Centre"}}}), "172.236.0.7/32");
  EXPECT_EQ(parsed(ListFormat::geofeed, list, {{"region", {"DE-HE"}}}), "139.162.128.0/18");
}

TEST(ListFormat, GeofeedWithoutHeading) {
  EXPECT_EQ(
      parsed(ListFormat::geofeed,
             "5.101.96.0/21,NL,NL-NH,Amsterdam,1098 XH\n24.144.64.0/22,US,US-NJ,Bergen,07047\n",
             {{"country", {"NL"}}}),
      "5.101.96.0/21");
  EXPECT_EQ(parsed(ListFormat::geofeed, "ip_prefix,country,region,city\n192.0.2.0/24,FR,,\n"),
            "192.0.2.0/24");
}

TEST(ListFormat, GeofeedOfManyCitiesInOneNetwork) {
  EXPECT_EQ(parsed(ListFormat::geofeed,
                   "172.224.226.0/27,GB,GB-EN,London,\n172.224.226.32/27,GB,GB-EN,Leeds,\n"),
            "172.224.226.0/26");
}

TEST(ListFormat, TextWithAllThatPeopleWrite) {
  EXPECT_EQ(parsed(ListFormat::text,
                   "\xef\xbb\xbf# heading\r\n; another\r\n// and another\r\n\r\n"
                   "192.0.2.1\t\n198.51.100.0/24\t# the office\n"
                   "  203.0.113.0/25 ; here\n203.0.113.128/25 // there\n"
                   "2001:db8::/32\n2001:db8::1\n"),
            "192.0.2.1/32 198.51.100.0/24 203.0.113.0/24");
  EXPECT_EQ(parse_list(ListFormat::text, "192.0.2.1\n2001:db8::/32\n::1", {})->ipv6, 2U);
  EXPECT_EQ(parse_list(ListFormat::text, "# serial: 42\n192.0.2.1\n", {})->version, "42");
}

TEST(ListFormat, RefusesAListWithAnEntryThatIsNone) {
  EXPECT_EQ(parsed(ListFormat::text, "192.0.2.0/24\n192.0.2.300/32\n"),
            "error: line 2: octet 300 is over 255: \"192.0.2.300/32\" (each octet is 0 to 255)");
  for (const std::string_view entry :
       {"192.0.2.1/24", "192.0.2", "192.0.2.0/33", "192.0.2.01", "example.com", "0.0.0.0/0",
        "10.0.0.0/7", "2001:db8::/129", "2001:zz::/32", "192.0.2.0/24 198.51.100.0/24"}) {
    EXPECT_TRUE(parsed(ListFormat::text, entry).starts_with("error: ")) << entry;
    const auto json = fmt::format(R"({{"prefixes": [{{"ip_prefix": "{}"}}]}})", entry);
    EXPECT_TRUE(parsed(ListFormat::aws, json).starts_with("error: ")) << entry;
  }
}

TEST(ListFormat, RefusesWhatIsNoList) {
  EXPECT_EQ(parsed(ListFormat::text, ""), "error: the list is empty");
  EXPECT_EQ(parsed(ListFormat::text, "# nothing\n"),
            "error: the list has no network of what was selected (an empty list is not taken)");
  EXPECT_EQ(parsed(ListFormat::aws, "<!DOCTYPE html><html>"),
            "error: this is a page for people (HTML), not a list (check the URL)");
  EXPECT_EQ(parsed(ListFormat::aws, R"({"error": "go away"})"),
            "error: this is not an ip-ranges.json of AWS: it has no list \"prefixes\" (check the "
            "URL and the format)");
  EXPECT_EQ(
      parsed(ListFormat::aws, R"({"prefixes": {"ip_prefix": "192.0.2.0/24"}})"),
      "error: \"prefixes\" is no list of networks in an ip-ranges.json of AWS (check the URL and "
      "the format)");
}

TEST(ListFormat, RefusesEveryListThatIsCutOff) {
  for (std::size_t size = 1; size < aws.size(); ++size) {
    const auto list = parse_list(ListFormat::aws, aws.substr(0, size), {});
    EXPECT_FALSE(list) << size;
  }
}

TEST(ListFormat, RefusesDeepNesting) {
  EXPECT_TRUE(parsed(ListFormat::aws, std::string(100'000, '[')).starts_with("error: "));
}

TEST(ListFormat, NoKeyIsTakenForAPath) {
  EXPECT_TRUE(parsed(ListFormat::aws, R"({"prefixes/*/ip_prefix": "192.0.2.0/24", "prefixes": []})")
                  .starts_with("error: "));
}

TEST(ListFormat, NamesWhatWasMeantWhereNothingIsSelected) {
  EXPECT_EQ(parsed(ListFormat::aws, aws, {{"region", {"eu-west-33"}}}),
            "error: the list has no entry with region \"eu-west-33\" (do you mean \"eu-west-3\"?)");
}

TEST(ListFormat, VersionsGoByNumberOrByText) {
  EXPECT_TRUE(is_older("9", "10"));
  EXPECT_TRUE(is_older("1753388594", "1753388595"));
  EXPECT_FALSE(is_older("10", "10"));
  EXPECT_FALSE(is_older("010", "9"));
  EXPECT_TRUE(is_older("2026-11-24T10:43:09", "2026-11-24T10:43:10"));
  EXPECT_FALSE(is_older("", "10"));
}

TEST(MergePrefixes, IsTheSameSetOfAddressesInTheLeastPrefixes) {
  std::minstd_rand random(1);
  for (int round = 0; round < 200; ++round) {
    Prefixes prefixes;
    std::bitset<4096> expected;
    for (unsigned i = 0; i < 1 + random() % 40; ++i) {
      const auto length = static_cast<std::uint8_t>(20 + random() % 13);
      const auto prefix = Prefix::of(Address(0xc6120000U + random() % 4096), length);
      prefixes.push_back(prefix);
      for (auto a = prefix.first().value; a <= prefix.last().value; ++a) expected.set(a & 4095);
    }
    const auto merged = merge_prefixes(prefixes);
    std::bitset<4096> found;
    for (std::size_t i = 0; i < merged.size(); ++i) {
      for (auto a = merged[i].first().value; a <= merged[i].last().value; ++a) {
        EXPECT_FALSE(found.test(a & 4095)) << "twice";
        found.set(a & 4095);
      }
      if (i == 0) continue;
      const auto& before = merged[i - 1];
      const bool are_halves =
          before.length == merged[i].length && Prefix::of(before.address, before.length - 1) ==
                                                   Prefix::of(merged[i].address, before.length - 1);
      EXPECT_FALSE(are_halves) << format_prefix(before);
    }
    EXPECT_EQ(found, expected);
  }
  EXPECT_EQ(merge_prefixes({{Address(0), 1}, {Address(0x80000000), 1}}),
            (Prefixes{{Address(0), 0}}));
  EXPECT_EQ(merge_prefixes({{Address(0xffffffff), 32}}), (Prefixes{{Address(0xffffffff), 32}}));
}

// Ten times what AWS publishes.
TEST(ListFormat, ReadsALargeListInBoundedMemory) {
  std::string list = R"({"syncToken": "1", "prefixes": [)";
  for (unsigned i = 0; i < 90'000; ++i) {
    list += fmt::format(
        R"({}{{"ip_prefix": "{}.{}.{}.0/25", "region": "eu-west-{}", "service": "EC2", )"
        R"("network_border_group": "eu-west-3"}})",
        i == 0 ? "" : ", ", 11 + (i >> 16), (i >> 8) & 255, i & 255, i % 5);
  }
  list += "]}";
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto parsed_list = parse_list(ListFormat::aws, list, {{"region", {"eu-west-3"}}});
  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  ASSERT_TRUE(parsed_list) << parsed_list.error().message;
  EXPECT_EQ(parsed_list->cidrs.size(), 18'000U);
#ifndef __SANITIZE_ADDRESS__  // which keeps what is freed, to tell who still uses it
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 8 << 10) << "KiB more than before";
#endif
}

TEST(ListFormat, AVersionIsShort) {
  const auto list = [](std::size_t bytes) {
    return parse_list(ListFormat::aws,
                      R"({"syncToken": ")" + std::string(bytes, '1') +
                          R"(", "prefixes": [{"ip_prefix": "192.0.2.0/24"}]})",
                      {});
  };
  EXPECT_TRUE(list(256));
  EXPECT_EQ(list(5 << 20).error().message, "the list's version has 5242880 bytes, of 256 at most");
}

}  // namespace
}  // namespace moat
