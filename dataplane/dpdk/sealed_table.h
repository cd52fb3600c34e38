// SPDX-License-Identifier: BSD-2-Clause
// A table on its way between processes: in a memfd that nobody can write to, cut or grow
// any more, so that what was checked is what is read.
#pragma once

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/table/table.h"

namespace moat {

// A sealed copy of the table.
[[nodiscard]] Result<Fd> seal_table(const Table& table);

// The table in a memfd that came from elsewhere, mapped read-only. Errors: it is no memfd, a seal
// is missing, it is of another size than its table says, magic, ABI version or digest are wrong.
[[nodiscard]] Result<Table> open_sealed_table(const Fd& memfd);

}  // namespace moat
