// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/agent_file.h"

#include <gtest/gtest.h>

#include "control/agent/presets.h"

namespace moat {
namespace {

std::string faults_of(std::string_view text) {
  std::string all;
  for (const auto& fault : read_agent_file("agent.yaml", text).faults)
    all += format_fault(fault) + "\n";
  return all;
}

TEST(AgentFile, PresetIsAllThatIsNeeded) {
  const auto reading =
      read_agent_file("agent.yaml",
                      "managed-ranges:\n"
                      "  - {id: mr-aws, preset: aws, service: [EC2, S3], region: eu-west-3}\n");
  ASSERT_TRUE(reading.value) << faults_of("");
  const auto& source = reading.value->ranges.at(0);
  EXPECT_EQ(std::get<WebList>(source.from).url, "https://ip-ranges.amazonaws.com/ip-ranges.json");
  EXPECT_EQ(source.format, ListFormat::aws);
  EXPECT_EQ(source.selection.at("service"), (std::vector<std::string>{"EC2", "S3"}));
  EXPECT_EQ(source.every, std::chrono::hours(1));
}

TEST(AgentFile, EveryPresetCanBeWritten) {
  for (const auto& preset : presets()) {
    const auto text = "managed-ranges:\n  - {id: mr-x, preset: " + std::string(preset.name) +
                      (preset.url.empty() ? ", file: /srv/tags.json" : "") +
                      (preset.format == ListFormat::github ? ", service: hooks" : "") + "}\n";
    EXPECT_EQ(faults_of(text), "") << text;
  }
}

TEST(AgentFile, ReadsAllThatAListMayHave) {
  const auto reading = read_agent_file(
      "agent.yaml",
      "moat: /srv/moat.yaml\n"
      "managed-ranges:\n"
      "  - id: mr-own\n    name: Ours\n    url: https://lists.example.com/own.txt\n    format: "
      "text\n"
      "    ca: /etc/ca.pem\n    proxy: http://proxy:3128\n    every: 5m\n    max-age: 2h\n"
      "    max-bytes: 64KiB\n    timeout: 10s\n"
      "    signature: {allowed-signers: /etc/moat/signers, identity: ops@example.com}\n"
      "  - {id: mr-osc, dns: egress.example.com, server: 127.0.0.1, hold: 30m}\n"
      "  - {id: mr-azure, preset: azure, file: /srv/tags.json, service: Sql.FranceCentral}\n");
  ASSERT_TRUE(reading.value) << format_fault(reading.faults.at(0));
  const auto& own = reading.value->ranges.at(0);
  EXPECT_EQ(std::get<WebList>(own.from).signature->identity, "ops@example.com");
  EXPECT_EQ(own.max_bytes, 64U << 10);
  EXPECT_EQ(std::get<DnsName>(reading.value->ranges.at(1).from).hold, std::chrono::minutes(30));
  EXPECT_EQ(std::get<LocalList>(reading.value->ranges.at(2).from).path, "/srv/tags.json");
}

TEST(AgentFile, SaysWhatIsWrongAndWhere) {
  const auto one = [](std::string_view range) {
    return faults_of("managed-ranges:\n  - {id: mr-x, " + std::string(range) + "}\n");
  };
  EXPECT_EQ(one("preset: awss"),
            "agent.yaml:2:24: error: no such preset: \"awss\" (do you mean aws?)\n");
  EXPECT_NE(one("url: http://x/").find("not an https URL"), std::string::npos);
  EXPECT_NE(one("url: https://x/, file: /x").find("several sources"), std::string::npos);
  EXPECT_NE(one("preset: azure").find("changes: it has no URL of its own"), std::string::npos);
  EXPECT_NE(one("preset: github").find("say which: `service: actions`"), std::string::npos);
  EXPECT_NE(one("preset: fastly, region: x").find("has no `region` to select by"),
            std::string::npos);
  EXPECT_NE(one("dns: 192.0.2.1").find("not a full DNS name"), std::string::npos);
  EXPECT_NE(one("url: https://x/, every: 1s").find("every 30 s at most"), std::string::npos);
  EXPECT_NE(one("url: https://x/, every: 2h, max-age: 1h").find("less often than `max-age`"),
            std::string::npos);
  EXPECT_NE(one("url: https://x/, max-bytes: 1GiB").find("not a size"), std::string::npos);
  EXPECT_NE(one("url: https://x/, urll: 3").find("urll"), std::string::npos);
  EXPECT_NE(faults_of("managed-ranges:\n- {id: a, preset: aws}\n- {id: a, preset: aws}\n")
                .find("the same managed range twice"),
            std::string::npos);
  EXPECT_NE(faults_of("").find("the file is empty"), std::string::npos);
}

TEST(AgentFile, ShowsNoSecretsOfAUrl) {
  EXPECT_EQ(public_url("https://user:secret@lists.example.com:8443/a/b?token=secret"),
            "https://lists.example.com:8443/a/b");
  EXPECT_EQ(public_url("https://lists.example.com/a@b"), "https://lists.example.com/a@b");
}

TEST(AgentFile, AnotherSelectionIsAnotherOrigin) {
  RangeSource a{.from = WebList{.url = "https://x/"}, .selection = {{"region", {"a", "b"}}}};
  auto b = a;
  EXPECT_EQ(origin_of(a), origin_of(b));
  b.selection = {{"region", {"ab"}}};
  EXPECT_NE(origin_of(a), origin_of(b));
  b = a;
  b.every = std::chrono::seconds(1);
  EXPECT_EQ(origin_of(a), origin_of(b));
}

}  // namespace
}  // namespace moat
