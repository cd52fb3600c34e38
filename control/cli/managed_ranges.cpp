// SPDX-License-Identifier: BSD-2-Clause
// moat managed-ranges list, show
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/cli/output.h"

namespace moat {
namespace {

struct ListOptions {};

struct ShowOptions {
  std::string id;
};

Exit list_ranges(const Cli& cli, const ListOptions&) {
  const auto answer = Client(cli).get("/v1/managed-ranges");
  const auto ranges = as_list<ManagedRangeView>(answer, "managed_ranges");
  if (!ranges) return fail(cli, ranges.error());
  if (cli.json) {
    print_json(*answer);
    return Exit::done;
  }
  Table table(
      {{"ID"}, {"NAME"}, {"PREFIXES", true}, {"STATUS"}, {"USED BY"}, {"DIGEST"}, {"FILE"}});
  for (const auto& range : *ranges) {
    table.add({{range.id},
               {range.name},
               {format_number(range.prefixes)},
               {range.withdrawn ? "withdrawn" : "active",
                range.withdrawn ? Colour::doubtful : Colour::good},
               {range.used_by.empty() ? "-" : fmt::format("{}", fmt::join(range.used_by, ", "))},
               {range.digest},
               {range.path}});
  }
  if (table.empty()) tell("no managed ranges");
  table.print();
  return Exit::done;
}

// In the form of a cidrs-file, for whoever wants one.
Exit show_range(const Cli& cli, const ShowOptions& options) {
  const auto answer = Client(cli).get("/v1/managed-ranges/" + escape(options.id));
  const auto range = as<ManagedRangeView>(answer);
  if (!range) return fail(cli, range.error());
  if (cli.json) {
    print_json(*answer);
    return Exit::done;
  }
  print_line(printable(fmt::format("# {}: {}", range->id, range->name)));
  print_line(printable(fmt::format("# {} prefixes, digest {}, {}{}", range->prefixes, range->digest,
                                   range->path, range->withdrawn ? ", withdrawn" : "")));
  if (!range->used_by.empty()) {
    print_line(printable(fmt::format("# used by {}", fmt::join(range->used_by, ", "))));
  }
  for (const auto& cidr : range->cidrs) print_line(printable(cidr));
  return Exit::done;
}

}  // namespace

void add_managed_ranges(CLI::App& app, Cli& cli) {
  auto* command = app.add_subcommand(
      "managed-ranges", "List the named networks that rules can refer to, or show one");
  command->require_subcommand(1);

  auto* list = command->add_subcommand("list", "List the managed ranges");
  on_command(*list, cli, list_ranges);
  list->footer(
      "Managed ranges are kept by their provider, in the files of managed-ranges.d; a\n"
      "withdrawn one is named by rules but by no file any more, and keeps its last CIDRs.");

  auto* show = command->add_subcommand("show", "Print the CIDRs of a managed range");
  auto& options = on_command(*show, cli, show_range);
  show->add_option("ID", options.id, "The managed range")->required();
  show->footer(
      "The output has the form of a cidrs-file.\n\n"
      "Example:\n  moat managed-ranges show mr-scalingo-osc-fr1");
}

}  // namespace moat
