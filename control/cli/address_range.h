// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "dataplane/address.h"

namespace moat {

// By default every IPv4 address.
struct AddressRange {
  Address first{};
  Address last{~0u};  // included

  friend bool operator==(const AddressRange&, const AddressRange&) = default;
};

}  // namespace moat
