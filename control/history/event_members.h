// SPDX-License-Identifier: BSD-2-Clause
// What the JSON of an event has for members, on disk and in the API: see json_codec.h.
#pragma once

#include "control/history/event.h"
#include "control/policy/json_codec.h"

namespace moat {

template <>
inline constexpr auto view::members_of<Event> = [](auto& v, auto& member) {
  member("number", v.number)("time", v.time)("kind", v.kind)("subject", v.subject)("code", v.code)(
      "generation", v.generation)("author", v.author)("message", v.message);
};

}  // namespace moat
