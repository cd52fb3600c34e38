// SPDX-License-Identifier: BSD-2-Clause
// What the commands that change something have in common: they wait until the kernel enforces the
// change, and say so.
#pragma once

#include <functional>
#include <string>

#include "control/cli/announce.h"
#include "control/cli/ask.h"
#include "control/cli/client.h"

namespace moat {

struct ChangeOptions {
  bool no_wait = false;
  std::string confirm;  // within how long; empty: it needs no confirmation
  YesOptions yes;
};
Option no_wait(ChangeOptions& options);
Option confirm(ChangeOptions& options);
// Those of every edit.
void add_edit_options(ChangeOptions& options, Options& into);

// What the edit that `send` sends would do, with a preview. Nothing is changed.
[[nodiscard]] ClientResult<ChangeView> foretell(
    Client& client, const std::function<ClientResult<Document>()>& send);

// Sends an edit, once it was told what it would do and, unless --yes says otherwise, somebody was
// asked who is there: what is asked about is what is done. Where --confirm asks for it, as one that
// is undone unless it is confirmed. See announce() for `asks` and `meaning`.
[[nodiscard]] ClientResult<Document> send_edit(Client& client, const ChangeOptions& options,
                                               const std::function<ClientResult<Document>()>& send,
                                               Asks asks = Asks::where_due,
                                               std::string_view meaning = "");

// What was given of an edit, as the body of a request: without texts that are empty and flags that
// are not set.
[[nodiscard]] std::string body_of(const Json& edit);

enum class PrintRuleId { no, yes };  // on stdout
enum class TellGaps { no, yes };     // by what it is not enforced, which is then no success

// Tells what became of a change, having waited for it up to the bound if the daemon could not
// enforce it at once.
[[nodiscard]] Exit report_change(const Cli& cli, Client& client,
                                 const ClientResult<Document>& reply, const ChangeOptions& options,
                                 PrintRuleId print_rule_id = PrintRuleId::no,
                                 TellGaps tell_gaps = TellGaps::no);

}  // namespace moat
