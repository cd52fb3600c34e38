// SPDX-License-Identifier: BSD-2-Clause
// A fuzzer is this one function, on any bytes. libfuzzer.cpp has it called by libFuzzer, replay.cpp
// on each file of a corpus.
#pragma once

#include <string_view>

namespace moat::testing {

void fuzz(std::string_view bytes);

}  // namespace moat::testing
