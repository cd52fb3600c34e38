// SPDX-License-Identifier: BSD-2-Clause
// Prints the prefixes that the benchmarks use, one a line, for those that read them from a file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/inputs.h"

int main(int argc, char** argv) {
  std::size_t count = 30;
  bool is_scattered = false;
  CLI::App app{"Prefixes that do not overlap, the same ones each time"};
  app.add_option("COUNT", count)->required();
  app.add_flag("--scattered", is_scattered, "single addresses");
  CLI11_PARSE(app, argc, argv);
  using moat::bench::Shape;
  for (const moat::Prefix prefix :
       moat::bench::make_prefixes(is_scattered ? Shape::scattered : Shape::mixed, count))
    fmt::print("{}\n", moat::format_prefix(prefix));
}
