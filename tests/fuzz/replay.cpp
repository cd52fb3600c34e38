// SPDX-License-Identifier: BSD-2-Clause
// Runs a fuzzer's function once on each file of a folder, as an ordinary test: replay CORPUS
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/fuzz.h"

int main(int count, char** arguments) {
  if (count != 2) return 2;
  int inputs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1])) {
    // Told before it is run: a broken promise ends the process.
    std::printf("%s\n", entry.path().c_str());
    std::fflush(stdout);
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    moat::testing::fuzz(bytes);
    ++inputs;
  }
  if (inputs == 0) std::fprintf(stderr, "there is nothing in %s\n", arguments[1]);
  return inputs == 0 ? 1 : 0;
}
