// SPDX-License-Identifier: BSD-2-Clause
// moat help: topics that concern several commands. Help on a command is made from its row, by
// moat.cpp.
#include "control/cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/cli/output.h"

namespace moat {
namespace {

constexpr std::array topics{
    Topic{"expires", "How to write when a rule ends",
          "--expires takes\n"
          "  a length from now       90s  30m  8h  7d  2w\n"
          "  a day, 0:00 in UTC      2027-01-31\n"
          "  a time in UTC           2027-01-31T18:00:00Z\n"
          "  a time with its offset  2027-01-31T19:00:00+01:00\n\n"
          "Rule files say it in UTC alone. A rule that has expired stays in its file, lets nobody\n"
          "in, and is valid again after moat rules set ... --expires or --no-expires."},
    Topic{"modes", "What enforce and monitor mean",
          "enforce: packets that no rule allows are dropped.\n"
          "monitor: they are counted, listed by moat drops, and pass: everybody reaches the "
          "database.\n\n"
          "moat.yaml has the host's mode, and a database's file may have its own:\n"
          "  moat databases monitor ID\n"
          "  moat databases enforce ID\n"
          "moat preflight says what enforcing would end."},
    Topic{
        "exit", "What the exit codes mean",
        "0  done\n"
        "1  refused and nothing changed; different, faults found, or something is wrong (status)\n"
        "2  wrong use of the command line\n"
        "3  moatd is not reachable\n"
        "4  accepted but not enforced within the bound, or moatd does not answer"},
    Topic{"files", "Which files there are",
          "/etc/moat/moat.yaml          interfaces, mode, settings\n"
          "/etc/moat/databases.d/       a file for each database: its endpoint and rules\n"
          "/etc/moat/managed-ranges.d/  named lists of networks, kept by their provider\n"
          "/var/lib/moat/               what moatd keeps over a restart\n"
          "/run/moat/moatd.sock         where moatd listens\n\n"
          "All of their keys: man moat.yaml. What is wrong with them: moat check."},
};

struct HelpOptions {
  std::string topic{"topics"};
};

Exit print_topic(const Cli& cli, const HelpOptions& options) {
  const auto* topic = find_topic(options.topic);
  if (topic != nullptr) {
    print_line(topic->text);
    return Exit::done;
  }
  if (options.topic == "topics") {
    print_line(list_topics());
    return Exit::done;
  }
  return fail(cli, {Exit::usage,
                    {Refusal::Kind::invalid,
                     fmt::format("there is no topic \"{}\"", options.topic),
                     "see moat help",
                     {}}});
}

}  // namespace

const Topic* find_topic(std::string_view name) {
  const auto found = std::ranges::find(topics, name, &Topic::name);
  return found == topics.end() ? nullptr : &*found;
}

std::vector<std::string_view> topic_names() {
  std::vector<std::string_view> names;
  for (const auto& topic : topics) names.push_back(topic.name);
  return names;
}

std::string list_topics() {
  std::string text = "Topics, besides the commands (moat help TOPIC):";
  for (const auto& topic : topics) text += fmt::format("\n  {:<26}{}", topic.name, topic.help);
  return text;
}

Action command::help(Options& options) {
  const auto values = std::make_shared<HelpOptions>();
  options = {{"TOPIC", "", &values->topic, "A command, or one of the topics"}};
  return make_action(values, print_topic);
}

}  // namespace moat
