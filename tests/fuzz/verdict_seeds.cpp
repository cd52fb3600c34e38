// SPDX-License-Identifier: BSD-2-Clause
// verdict_seeds FOLDER: writes the case table's frames as inputs of verdict_fuzz.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "tests/verdict/case_table.h"

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: verdict_seeds FOLDER\n");
    return 1;
  }
  const auto cases = moat::testing::load_cases("tests/verdict/cases");
  if (!cases) {
    fmt::print(stderr, "{}\n", cases.error().message);
    return 1;
  }
  std::filesystem::create_directories(arguments[1]);
  unsigned char number = 0;  // spreads the frames over policies and times
  for (const auto& each : *cases)
    for (const auto* side : {&each.a, &each.b}) {
      if (side->frame().size() > 4096) continue;
      number++;
      std::ofstream file(fmt::format("{}/{}-{}-{}", arguments[1], each.group, each.name,
                                     side == &each.a ? "a" : "b"),
                         std::ios::binary);
      const char head[4] = {static_cast<char>(number), static_cast<char>(number >> 4), 20, 0};
      file.write(head, sizeof head);
      file.write(reinterpret_cast<const char*>(side->frame().data()),
                 static_cast<std::streamsize>(side->frame().size()));
    }
  return 0;
}
