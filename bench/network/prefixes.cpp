// SPDX-License-Identifier: BSD-2-Clause
// Prints the prefixes that the benchmarks use, one a line, for those that read them from a file.
#include <fmt/format.h>

#include "bench/inputs.h"
#include "control/text/command_line.h"

int main(int argc, char** argv) {
  std::size_t count = 30;
  bool is_scattered = false;
  moat::CommandLine app{"Prefixes that do not overlap, the same ones each time"};
  app.require("COUNT", count);
  app.add_flag("--scattered", is_scattered, "single addresses");
  if (const auto done = app.parse(argc, argv)) return *done;
  using moat::bench::Shape;
  for (const moat::Prefix prefix :
       moat::bench::make_prefixes(is_scattered ? Shape::scattered : Shape::mixed, count))
    fmt::print("{}\n", moat::format_prefix(prefix));
}
