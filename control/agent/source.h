// SPDX-License-Identifier: BSD-2-Clause
// Where a managed range comes from.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "control/agent/list_format.h"
#include "dataplane/error.h"

namespace moat {

// What was fetched before, so that an unchanged list need not come again; empty: it shall come.
struct KnownList {
  std::string etag;
  std::string modified;
};

struct SourceAnswer {
  bool is_unchanged = false;  // then there is no list
  ParsedList list = {};
  std::string etag = {};
  std::string modified = {};
  std::optional<std::chrono::seconds> ttl = {};  // when to ask again, if the source tells
  std::string note = {};                         // what else there is to know, or empty
};

class Source {
 public:
  using Done = std::function<void(const Result<SourceAnswer>&)>;

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  // Gives up what is under way.
  virtual ~Source() = default;

  // One question at a time. `done` is called once, and never from within ask().
  virtual void ask(const KnownList& known, Done done) = 0;
};

}  // namespace moat
