// SPDX-License-Identifier: BSD-2-Clause
// What the benchmarks of this folder begin alike: options that all have, a CPU to stay on, and an
// error told in a line.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>

#include "bench/kernel/kernel.h"
#include "control/text/command_line.h"

namespace moat::bench {

// Bench(options).run_all(), with the options of the command line; `add` adds those of its own.
template <typename Bench, typename Options>
int run_bench(int argc, char** argv, const char* what,
              const std::function<void(CommandLine&, Options&)>& add) {
  Options options;
  CommandLine app{what};
  app.add("--rounds", options.rounds, "rounds; each figure is their median");
  app.add("--cpu", options.cpu, "the CPU to run on");
  app.add("--json", options.json, "file to write the results to");
  add(app, options);
  if (const auto done = app.parse(argc, argv)) return *done;
  pin_to_cpu(options.cpu);
  try {
    Bench(options).run_all();
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "bench: {}\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace moat::bench
