// SPDX-License-Identifier: BSD-2-Clause
// How long tests wait for an event before they fail, and how much longer where all is slow.
#pragma once

#include <cstdlib>

namespace moat {

// MOAT_TEST_PATIENCE, a whole number: so many times the usual. 1 unless set.
inline int patience() {
  const char* set = std::getenv("MOAT_TEST_PATIENCE");
  const int times = set ? std::atoi(set) : 1;
  return times > 0 ? times : 1;
}

}  // namespace moat
