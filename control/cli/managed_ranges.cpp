// SPDX-License-Identifier: BSD-2-Clause
// moat managed-ranges list, show
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/cli/output.h"
#include "control/cli/pager.h"

namespace moat {
namespace {

struct ShowOptions {
  std::string id;
};

Exit list(const Cli& cli) {
  const auto answer = Client(cli).get("/v1/managed-ranges");
  const auto ranges = as_list<ManagedRangeView>(answer, "managed_ranges");
  if (!ranges) return fail(cli, ranges.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  TextTable table({{"ID"},
                   {"NAME"},
                   {"PREFIXES", true},
                   {"STATUS"},
                   {"USED BY"},
                   {"CHANGED"},
                   {"DIGEST"},
                   {"FILE"}});
  for (const auto& range : *ranges) {
    table.add({{range.id},
               {range.name},
               {format_number(range.prefixes)},
               {range.withdrawn ? "withdrawn" : "active",
                range.withdrawn ? Colour::doubtful : Colour::good},
               {range.used_by.empty() ? "-" : fmt::format("{}", fmt::join(range.used_by, ", "))},
               {ago(range.changed)},
               {range.digest},
               {range.path}});
  }
  if (table.empty()) tell("no managed ranges");
  table.print();
  return Exit::done;
}

// In the form of a cidrs-file, for whoever wants one.
Exit show(const Cli& cli, const ShowOptions& options) {
  const auto answer = Client(cli).get("/v1/managed-ranges/" + escape(options.id));
  const auto range = as<ManagedRangeView>(answer);
  if (!range) return fail(cli, range.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  print_line(printable(fmt::format("# {}: {}", range->id, range->name)));
  print_line(printable(
      fmt::format("# {}, digest {}, {}{}",
                  range->prefixes == 1 ? "1 prefix" : fmt::format("{} prefixes", range->prefixes),
                  range->digest, range->path, range->withdrawn ? ", withdrawn" : "")));
  if (!range->used_by.empty()) {
    print_line(printable(fmt::format("# used by {}", fmt::join(range->used_by, ", "))));
  }
  for (const auto& cidr : range->cidrs) print_line(printable(cidr));
  return Exit::done;
}

}  // namespace

Action command::list_ranges(Options&) { return list; }

Action command::show_range(Options& options) {
  const auto values = std::make_shared<ShowOptions>();
  options = {{"ID", "", &values->id, "The managed range"}};
  return make_action(values, show);
}

}  // namespace moat
